"""JPEG files with a gain map, as written: read by Pillow, by bytes against the standards, and by ourselves again."""

import io
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, MpoImagePlugin

from jobs.engine.codec import decode, encode
from jobs.engine.codecs.jpeg import mpf
from jobs.engine.codecs.jpeg.segments import before_pixels, end_of_image
from jobs.engine.codecs.metadata.xmp_outline import value
from jobs.engine.errors import EngineError
from jobs.engine.types import EncodeOptions, GainMap, Picture, Text
from tests.jobs.engine.codecs.gain_map import files
from tests.jobs.engine.codecs.samples import SRGB
from tests.jobs.engine.conftest import LIMITS, difference, photo, picture


def with_map(xmp: bytes | None = files.MAP_XMP, iso: bytes | None = files.MAP_ISO, **fields: Any) -> Picture:
    made = picture(photo(40, 24), fmt="jpeg")
    frame = replace(made.frames[0], color=files.map_pixels(channels=fields.pop("channels", 1)))
    return replace(made, metadata=replace(made.metadata, **fields), gain_map=GainMap(frame, xmp=xmp, iso=iso, icc=None))


def parts(data: bytes) -> tuple[bytes, bytes]:
    """The two pictures of a file, by their end markers alone."""
    end = end_of_image(data, 0)
    assert end is not None
    assert end_of_image(data, end) == len(data)
    return data[:end], data[end:]


FORMS = [(files.MAP_XMP, files.MAP_ISO), (files.MAP_XMP, None), (None, files.MAP_ISO)]


@pytest.mark.parametrize(("xmp", "iso"), FORMS)
@pytest.mark.parametrize("channels", [1, 3])
def test_pillow_finds_both_pictures_by_the_index(
    tmp_path: Path, xmp: bytes | None, iso: bytes | None, channels: int
) -> None:
    assert encode(with_map(xmp, iso, channels=channels), tmp_path / "out").notes == ()
    first, second = parts((tmp_path / "out").read_bytes())
    with Image.open(tmp_path / "out") as image:
        assert image.format == ("MPO" if xmp is None else "JPEG")  # Pillow knows the claim, and shows the picture
    with MpoImagePlugin.MpoImageFile(str(tmp_path / "out")) as image:
        assert image.n_frames == 2
        assert image.mpinfo is not None
        entries = image.mpinfo[0xB002]
        assert [entry["Size"] for entry in entries] == [len(first), len(second)]
        assert [entry["Attribute"]["MPType"] for entry in entries] == ["Baseline MP Primary Image", "Undefined"]
        assert image.size == (40, 24)
        image.seek(1)
        image.load()
        assert image.size == (20, 12)
        assert difference(np.asarray(image).reshape(12, 20, channels), files.map_pixels(channels=channels)) <= 12


@pytest.mark.parametrize("large", [False, True])
def test_the_pictures_xmp_tells_of_the_map_and_its_length(tmp_path: Path, large: bool) -> None:
    more = f'<rdf:Description rdf:about="" xmlns:d="urn:d" d:kept="{"z" * 150_000 if large else "yes"}"/>'
    made = with_map(xmp=files.MAP_XMP, texts=(Text("Comment", "hello"),))
    made = replace(made, metadata=replace(made.metadata, xmp=files.packet(more)))
    assert encode(made, tmp_path / "out").notes == ()
    first, second = parts((tmp_path / "out").read_bytes())
    with Image.open(tmp_path / "out") as image:
        xmp = image.info["xmp"]  # the first segment alone: what every reader sees
    assert value(xmp, files.HDRGM, "Version") == "1.0"
    assert f'Item:Semantic="GainMap" Item:Mime="image/jpeg" Item:Length="{len(second)}"'.encode() in xmp
    assert (b"HasExtendedXMP" in xmp) is large
    back = decode(tmp_path / "out", LIMITS)
    assert value(back.metadata.xmp or b"", "urn:d", "kept") == ("z" * 150_000 if large else "yes")
    assert b"hello" in first


@pytest.mark.parametrize(("xmp", "iso"), FORMS)
def test_the_segments_are_where_readers_look(tmp_path: Path, xmp: bytes | None, iso: bytes | None) -> None:
    encode(with_map(xmp, iso), tmp_path / "out")
    data = (tmp_path / "out").read_bytes()
    first, second = parts(data)
    of_first = [(one.marker, one.content) for one in before_pixels(io.BytesIO(first))]
    of_second = [(one.marker, one.content) for one in before_pixels(io.BytesIO(second))]
    assert ((0xE2, files.ISO + bytes(4)) in of_first) is (iso is not None)
    assert ((0xE2, files.ISO + files.MAP_ISO) in of_second) is (iso is not None)
    assert ((0xE1, b"http://ns.adobe.com/xap/1.0/\0" + files.MAP_XMP) in of_second) is (xmp is not None)
    at = data.index(b"MPF\0") + 4
    assert data[at : at + 8] == b"MM\0*\0\0\0\x08"
    size, offset = struct.unpack_from(">II", data, at + 50 + 16 + 4)
    assert data[at + offset : at + offset + size] == second
    assert at + offset + size == len(data)


def test_what_came_is_what_is_written_again(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(files.ultra_hdr(iso=True))
    one = decode(tmp_path / "in", LIMITS)
    encode(one, tmp_path / "out")
    two = decode(tmp_path / "out", LIMITS)
    assert one.gain_map is not None
    assert two.gain_map is not None
    assert (two.gain_map.xmp, two.gain_map.iso) == (one.gain_map.xmp, one.gain_map.iso)
    assert difference(two.gain_map.frame.color, one.gain_map.frame.color) <= 6
    assert two.notes == ()


def test_the_maps_profile_is_kept(tmp_path: Path) -> None:
    made = with_map(channels=3)
    assert made.gain_map is not None
    encode(replace(made, gain_map=replace(made.gain_map, icc=SRGB)), tmp_path / "out")
    back = decode(tmp_path / "out", LIMITS)
    assert back.gain_map is not None
    assert back.gain_map.icc == SRGB


def test_stripping_keeps_the_map_and_nothing_else(tmp_path: Path) -> None:
    made = with_map(texts=(Text("Comment", "secret"),))
    made = replace(
        made, metadata=replace(made.metadata, xmp=files.packet('<rdf:Description xmlns:d="d" d:s="secret"/>'))
    )
    encode(made, tmp_path / "out", EncodeOptions(format="jpeg", strip_metadata=True, provenance="secret"))
    data = (tmp_path / "out").read_bytes()
    assert b"secret" not in data
    assert b"dc:source" not in data  # the map's own packet had it
    back = decode(tmp_path / "out", LIMITS)
    assert back.gain_map is not None
    assert value(back.gain_map.xmp or b"", files.HDRGM, "GainMapMax") == "2.5"


def test_xmp_that_leaves_no_place_for_the_claim_is_named(tmp_path: Path) -> None:
    encoded = encode(with_map(), tmp_path / "out")
    assert encoded.notes == ()
    made = with_map()
    encoded = encode(replace(made, metadata=replace(made.metadata, xmp=b"<x>no RDF</x>")), tmp_path / "out")
    assert encoded.notes == ("not kept: XMP that is no RDF; the gain map needs its place",)
    assert decode(tmp_path / "out", LIMITS).gain_map is not None


@pytest.mark.parametrize(("name", "said"), [("png", "PNG"), ("webp", "WebP"), ("tiff", "TIFF"), ("avif", "AVIF")])
def test_formats_without_a_place_for_it_say_so(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "in").write_bytes(files.ultra_hdr())
    made = decode(tmp_path / "in", LIMITS)
    encoded = encode(made, tmp_path / "out", EncodeOptions(format=name))  # type: ignore[arg-type]
    assert encoded.notes == (f"not kept: the gain map (HDR), which {said} cannot hold",)
    assert b"hdr-gain-map" not in (tmp_path / "out").read_bytes()
    back = decode(tmp_path / "out", LIMITS)
    assert b"hdr-gain-map" not in (back.metadata.xmp or b"")


def test_heic_written_as_jpeg_keeps_apples_map(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(files.heic(files.map_pixels(64, 48), exif=files.apple_exif(1.2, 0.005)))
    made = decode(tmp_path / "in", LIMITS)
    assert encode(made, tmp_path / "out").notes == ("not kept: the gain map (HDR), which PNG cannot hold",)
    assert encode(made, tmp_path / "out", EncodeOptions(format="jpeg")).notes == ()
    back = decode(tmp_path / "out", LIMITS)
    assert back.gain_map is not None
    assert made.gain_map is not None
    assert back.gain_map.xmp == made.gain_map.xmp


def test_an_index_without_sense_is_none() -> None:
    whole = mpf.compose(100, 5000, 300)
    assert mpf.read(whole, 100) == (mpf.Entry(5000, 300, 0),)
    for length in range(len(whole)):
        assert len(mpf.read(whole[:length], 100)) <= 1
    assert mpf.read(b"MPF\0XX\0*" + whole[8:], 100) == ()


def test_mutated_files_end_in_pictures_or_in_errors_of_ours(tmp_path: Path) -> None:
    """600 files: bytes changed, cut out, doubled, cut off; half of them where the maps' descriptions stand."""
    sources = [
        files.ultra_hdr(iso=True),
        files.ultra_hdr(mpf=False),
        files.apple_jpeg(None, files.apple_exif(1.2, 0.005)),
        files.apple_jpeg(4.5),
    ]
    random = np.random.default_rng(11)
    ends = {"map": 0, "no map": 0, "refused": 0}
    for turn in range(600):
        data = bytearray(sources[turn % len(sources)])
        words = [data.find(word) for word in (b"MPF\0", b"hdrgm", b"21496", b"Container", b"HDRGain", b"Apple iOS")]
        places = [at for at in words if at >= 0] + [data.rindex(b"\xff\xd8\xff")]
        for _ in range(random.integers(1, 5)):
            near = int(random.choice(places)) + int(random.integers(0, 120))
            at = (near if random.random() < 0.5 else int(random.integers(0, len(data)))) % len(data)
            match random.integers(0, 5):
                case 0:
                    data[at] = random.integers(0, 256)
                case 1:
                    data[at] = random.choice([0, 255, 0x7F, 0x80])
                case 2:
                    del data[at : at + int(random.integers(1, 40))]
                case 3:
                    data[at:at] = data[at : at + int(random.integers(1, 40))]
                case _ if random.random() < 0.2:
                    del data[at:]
        if not data:
            continue
        (tmp_path / "in").write_bytes(data)
        try:
            made = decode(tmp_path / "in", LIMITS)
            encode(made, tmp_path / "out", EncodeOptions(format="jpeg"))
        except EngineError:
            ends["refused"] += 1
            continue
        ends["map" if made.gain_map else "no map"] += 1
        if made.gain_map is not None:
            assert decode(tmp_path / "out", LIMITS).gain_map is not None
    assert min(ends.values()) > 20, ends


def test_mutated_heic_ends_in_pictures_or_in_errors_of_ours(tmp_path: Path) -> None:
    whole = files.heic(files.map_pixels(64, 48), exif=files.apple_exif(1.2, 0.005))
    random = np.random.default_rng(12)
    header = whole.index(b"mdat")
    read = 0
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(random.integers(1, 4)):
            limit = header if random.random() < 0.7 else len(data)
            data[int(random.integers(40, limit))] = random.integers(0, 256)
        (tmp_path / "in").write_bytes(data)
        try:
            decode(tmp_path / "in", LIMITS)
            read += 1
        except EngineError:
            pass
    assert read > 20
