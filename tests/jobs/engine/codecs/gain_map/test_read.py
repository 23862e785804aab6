"""Gain maps of files: found wherever the file puts them, brought to one form, and dropped with a word if unusable."""

import io
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jobs.engine.codec import decode
from jobs.engine.codecs.gain_map import heif
from jobs.engine.codecs.gain_map.parameters import usable_iso, usable_xmp
from jobs.engine.codecs.metadata.xmp_outline import value
from jobs.engine.types import Limits, Picture
from tests.jobs.engine.codecs.gain_map import files
from tests.jobs.engine.conftest import LIMITS, difference, photo, picture


def read(data: bytes, tmp_path: Path, limits: Limits = LIMITS) -> Picture:
    (tmp_path / "in").write_bytes(data)
    return decode(tmp_path / "in", limits)


@pytest.mark.parametrize("mpf", [True, False])
@pytest.mark.parametrize(("xmp", "iso"), [(True, False), (True, True), (False, True)])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_map_is_read_with_its_parameters(tmp_path: Path, mpf: bool, xmp: bool, iso: bool, channels: int) -> None:
    gain = files.map_pixels(channels=channels)
    made = read(files.ultra_hdr(mpf=mpf, xmp=xmp, iso=iso, gain=gain), tmp_path)
    assert made.notes == ()
    assert made.gain_map is not None
    assert made.gain_map.xmp == (files.MAP_XMP if xmp else None)
    assert made.gain_map.iso == (files.MAP_ISO if iso else None)
    assert made.gain_map.frame.color.shape == gain.shape
    assert difference(made.gain_map.frame.color, gain) <= 12  # JPEG's loss at the corner's edge
    assert (made.width, made.height) == (40, 24)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("gap", [b"", b"\0" * 100, b"\xff\xd8 no picture"])
def test_the_index_is_read_in_both_byte_orders_and_padding_is_skipped(tmp_path: Path, order: str, gap: bytes) -> None:
    second = files.jpeg(files.map_pixels(), files.xmp_segment(files.MAP_XMP))
    for others in ([second], [files.jpeg(photo(40, 24)), second], [second, files.jpeg(photo(40, 24))]):
        made = read(files.with_index(files.jpeg(photo(40, 24)), others, order, gap), tmp_path)
        assert made.gain_map is not None
        if others[0] is second:
            assert made.notes == ()
        else:
            assert made.notes == ("not kept: 1 further picture in the JPEG file",)


def test_an_index_that_lies_does_not_hide_the_map(tmp_path: Path) -> None:
    whole = files.ultra_hdr()
    at = whole.index(b"MPF\0") + 4
    for offset, size in ((0, 0), (1, 1), (5, 2**32 - 1), (2**32 - 1, 5), (3000, 10)):
        lying = bytearray(whole)
        struct.pack_into(">II", lying, at + 50 + 16 + 4, size, offset)
        assert read(bytes(lying), tmp_path).gain_map is not None


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_map_is_turned_as_the_picture(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    gain = files.map_pixels(40, 24)
    same = gain.repeat(3, 2)
    made = read(files.ultra_hdr(pixels=same, gain=gain, exif=exif.tobytes()), tmp_path)
    assert made.gain_map is not None
    assert made.gain_map.frame.color.shape[:2] == (made.height, made.width)
    assert np.abs(made.gain_map.frame.color.astype(int) - made.frames[0].color[:, :, :1]).mean() < 3


def test_the_claim_leaves_the_xmp_and_the_rest_stays(tmp_path: Path) -> None:
    more = '<rdf:Description rdf:about="" xmlns:d="urn:d" d:kept="yes"/>'
    made = read(files.ultra_hdr(more=more), tmp_path)
    assert made.metadata.xmp is not None
    assert value(made.metadata.xmp, "urn:d", "kept") == "yes"
    assert b"hdr-gain-map" not in made.metadata.xmp
    assert b"GainMap" not in made.metadata.xmp


UNUSABLE: dict[str, Any] = {
    "missing": (lambda whole: whole[: whole.rindex(b"\xff\xd8\xff")], "it is missing"),
    "cut off": (lambda whole: whole[:-30], "it is missing"),
    "broken": (
        lambda whole: whole[: whole.rindex(b"\xff\xc0") + 4] + b"\x63" + whole[whole.rindex(b"\xff\xc0") + 5 :],
        "it is broken",
    ),
    "without parameters": (lambda whole: whole.replace(b"GainMapMax", b"GainMapMix"), "it is missing"),
    "infinite": (lambda whole: whole.replace(b'GainMapMax="2.5"', b'GainMapMax="inf"'), "it is missing"),
}


def _damaged(whole: bytes) -> bytes:
    at = whole.rindex(b"\xff\xc0")
    return whole[: at + 4] + b"\x63" + whole[at + 5 :]  # 99 bits per sample


@pytest.mark.parametrize("kind", UNUSABLE)
def test_of_an_unusable_map_neither_claim_nor_silence_is_left(tmp_path: Path, kind: str) -> None:
    change, reason = UNUSABLE[kind]
    made = read(change(files.ultra_hdr()), tmp_path)
    assert made.gain_map is None
    assert f"not kept: the gain map (HDR): {reason}" in made.notes
    assert b"hdr-gain-map" not in (made.metadata.xmp or b"")


def test_a_map_beyond_the_limits_is_not_decoded(tmp_path: Path) -> None:
    whole = files.ultra_hdr(gain=files.map_pixels(300, 200))
    fits = 40 * 24 + 300 * 200
    assert read(whole, tmp_path, replace(LIMITS, max_input_pixels=fits)).gain_map is not None
    for limits in (replace(LIMITS, max_input_pixels=fits - 1), replace(LIMITS, max_side=299)):
        made = read(whole, tmp_path, limits)
        assert made.gain_map is None
        assert made.notes == ("not kept: the gain map (HDR): its 300×200 px are beyond the limits",)


def test_a_bomb_in_place_of_a_map_costs_nothing(tmp_path: Path) -> None:
    whole = bytearray(files.ultra_hdr())
    struct.pack_into(">HH", whole, whole.rindex(b"\xff\xc0") + 5, 65500, 65500)
    made = read(bytes(whole), tmp_path)
    assert made.gain_map is None
    assert made.notes == ("not kept: the gain map (HDR): its 65500×65500 px are beyond the limits",)


def test_pictures_of_other_kinds_are_named_and_thumbnails_are_not(tmp_path: Path) -> None:
    first, other = files.jpeg(photo(40, 24)), files.jpeg(photo(40, 24, seed=1))
    made = read(files.with_index(first, [other, other], kind=0x020002), tmp_path)  # stereo
    assert made.notes == ("not kept: 2 further pictures in the JPEG file",)
    assert read(first + b"\0" * 100 + other, tmp_path).notes == ()  # nothing tells of it


def test_large_thumbnails_are_no_loss(tmp_path: Path) -> None:
    first, other = files.jpeg(photo(40, 24)), files.jpeg(photo(40, 24, seed=1))
    data = files.with_index(first, [other], kind=0x010001)
    assert read(data, tmp_path).notes == ()


@pytest.mark.parametrize(
    ("first", "second"), [(0.5, 0.005), (0.5, 0.2), (1.5189, 0.0), (1.2, 0.005), (1.2, 0.3), (0.0, 0.0)]
)
def test_apples_map_becomes_one_of_logarithms_by_the_cameras_note(tmp_path: Path, first: float, second: float) -> None:
    gain = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(8, 0).repeat(8, 1)
    made = read(files.apple_jpeg(None, files.apple_exif(first, second), gain), tmp_path)
    assert made.notes == ()
    headroom = files.headroom_by_apple(first, second)
    assert made.gain_map is not None
    _by_apples_formula(made, gain, headroom)


@pytest.mark.parametrize("headroom", [1.01, 2.0, 4.532783, 8.0])
def test_apples_newer_maps_name_the_headroom_themselves(tmp_path: Path, headroom: float) -> None:
    gain = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(8, 0).repeat(8, 1)
    made = read(files.apple_jpeg(headroom, files.apple_exif(0.5, 0.0), gain), tmp_path)
    _by_apples_formula(made, gain, headroom)


def _by_apples_formula(made: Picture, gain: np.ndarray[Any, Any], headroom: float) -> None:
    assert made.gain_map is not None
    assert made.gain_map.xmp is not None
    most = float(value(made.gain_map.xmp, files.HDRGM, "GainMapMax") or "nan")
    assert most == pytest.approx(np.log2(headroom), abs=1e-5)
    assert made.gain_map.iso is not None
    numbers = struct.unpack_from(">HHB 4I 2i 2i 2I 2i 2i", made.gain_map.iso)
    assert numbers[5] / numbers[6] == pytest.approx(most, abs=1e-5)
    assert numbers[9] / numbers[10] == pytest.approx(most, abs=1e-5)
    ours = files.stops_by_hdrgm(made.gain_map.frame.color, most)
    wanted = files.stops_by_apple(gain, headroom)
    # Half a step of the new map and what JPEG lost of the old one: about a step of it, whose curve is steepest at 0.
    assert (
        np.abs(ours - wanted).max()
        <= most / 255 / 2 + 3 * np.diff(files.stops_by_apple(np.arange(256), headroom)).max()
    )


@pytest.mark.parametrize("headroom", [None, 0.5, 1.0, 1e9])
def test_apples_map_without_a_headroom_is_dropped_with_a_word(tmp_path: Path, headroom: float | None) -> None:
    made = read(files.apple_jpeg(headroom), tmp_path)
    assert made.gain_map is None
    assert made.notes == ("not kept: the gain map (HDR): the file does not tell its headroom",)


def test_heic_gives_apples_map(tmp_path: Path) -> None:
    gain = files.map_pixels(64, 48)
    made = read(files.heic(gain, exif=files.apple_exif(1.2, 0.005)), tmp_path)
    assert (made.format, made.notes) == ("heic", ())
    assert made.gain_map is not None
    most = float(value(made.gain_map.xmp or b"", files.HDRGM, "GainMapMax") or "nan")
    assert most == pytest.approx(2.65, abs=1e-5)
    ours = files.stops_by_hdrgm(made.gain_map.frame.color, most)
    assert np.abs(ours - files.stops_by_apple(gain, 2**2.65)).mean() < 0.03  # what HEVC loses


def test_heic_without_a_headroom_or_beyond_the_limits_is_noted(tmp_path: Path) -> None:
    made = read(files.heic(files.map_pixels(64, 48)), tmp_path)
    assert (made.gain_map, made.notes) == (None, ("not kept: the gain map (HDR): the file does not tell its headroom",))
    limits = replace(LIMITS, max_input_pixels=128 * 96 + 64 * 48 - 1)
    made = read(files.heic(files.map_pixels(64, 48), exif=files.apple_exif(1.2, 0.0)), tmp_path, limits)
    assert made.notes == ("not kept: the gain map (HDR): its 64×48 px are beyond the limits",)


def test_other_auxiliary_pictures_of_heic_are_no_gain_maps(tmp_path: Path) -> None:
    kind = b"urn:com:apple:photo:2018:aux:portraiteffectsmatte"
    made = read(files.heic(files.map_pixels(64, 48), exif=files.apple_exif(1.2, 0.0), kind=kind), tmp_path)
    assert (made.gain_map, made.notes) == (None, ())


def test_avif_and_heic_whose_brand_tells_of_a_tone_map_are_noted(tmp_path: Path) -> None:
    """The first box alone: no library at hand writes such a file, and libavif refuses one without the rest."""
    made = picture(photo(32, 32), fmt="avif")
    for brands, notes in (
        (b"mif1avif", ()),
        (b"miafmdattmap", ()),
        (b"mif1tmap", ("not kept: the gain map (HDR), which we do not read from AVIF",)),
    ):
        (tmp_path / "in").write_bytes(files.box(b"ftyp", b"avif" + bytes(4) + brands) + files.box(b"mdat", b"tmap"))
        assert heif.read(tmp_path / "in", made, LIMITS) == (None, notes)


@pytest.mark.parametrize("name", ["color_nogrid_alpha_nogrid_gainmap_grid", "colors_hdr_srgb"])
def test_the_samples_of_libavif_are_noted(shared_dir: Path, name: str) -> None:
    path = shared_dir / "corpus" / f"AOMediaCodec+libavif/tests__data__{name}.avif"
    if not path.is_file():
        pytest.skip(f"{name} is not in shared/corpus")
    made = decode(path, LIMITS)
    assert (made.gain_map, made.notes) == (None, ("not kept: the gain map (HDR), which we do not read from AVIF",))


@pytest.mark.parametrize("name", ["PNG", "WEBP", "AVIF", "TIFF"])
def test_claims_in_files_that_hold_no_map_are_removed_with_a_word(tmp_path: Path, name: str) -> None:
    xmp = files.packet(files.claim(100, "other", "boxes") + '<rdf:Description xmlns:d="urn:d" d:kept="yes"/>')
    stream = io.BytesIO()
    image = Image.fromarray(photo(32, 32))
    if name == "PNG":
        from PIL import PngImagePlugin

        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", xmp.decode())
        image.save(stream, name, pnginfo=text)
    elif name == "TIFF":
        image.save(stream, name, tiffinfo={700: xmp})
    else:
        image.save(stream, name, xmp=xmp)
    made = read(stream.getvalue(), tmp_path)
    assert made.notes == (f"not kept: the XMP's claim of a gain map (HDR), which the {name} file lacks",)
    assert value(made.metadata.xmp or b"", "urn:d", "kept") == "yes"
    assert b"hdr-gain-map" not in (made.metadata.xmp or b"")


def test_parameters_that_readers_need_are_asked_for() -> None:
    assert usable_xmp(files.MAP_XMP) == files.MAP_XMP
    for missing in (b"Version", b"GainMapMax", b"HDRCapacityMax"):
        assert usable_xmp(files.MAP_XMP.replace(b"hdrgm:" + missing, b"hdrgm:X")) is None
    triple = "<h:GainMapMax><rdf:Seq><rdf:li>1</rdf:li><rdf:li>2</rdf:li><rdf:li>3</rdf:li></rdf:Seq></h:GainMapMax>"
    inner = f'<rdf:Description xmlns:h="{files.HDRGM}" h:Version="1.0" h:HDRCapacityMax="3">{triple}</rdf:Description>'
    assert usable_xmp(files.packet(inner)) is not None
    assert usable_xmp(files.packet(inner.replace(">2<", ">two<"))) is None
    assert usable_xmp(files.packet(inner.replace(">2<", ">nan<"))) is None
    assert usable_xmp(b"<x") is None
    assert usable_iso(files.MAP_ISO) == files.MAP_ISO
    assert usable_iso(files.MAP_ISO + b"later versions add to it") is not None
    assert usable_iso(files.MAP_ISO[:-1]) is None
    assert usable_iso(b"\0\1" + files.MAP_ISO[2:]) is None  # asks for a newer reader
    assert usable_iso(files.MAP_ISO[:4] + b"\x80" + files.MAP_ISO[5:]) is None  # three channels, one there
    assert usable_iso(bytes(4)) is None


SAMPLES = {
    "google+libultrahdr/tests__data__apple_gainmap_new.jpg": (256, 192),
    "google+libultrahdr/tests__data__apple_gainmap_old.jpg": (256, 192),
    "AOMediaCodec+libavif/tests__data__paris_exif_xmp_gainmap_bigendian.jpg": (384, 512),
    "AOMediaCodec+libavif/tests__data__paris_exif_xmp_gainmap_littleendian.jpg": (384, 512),
    "AOMediaCodec+libavif/tests__data__paris_exif_xmp_icc_gainmap_bigendian.jpg": (384, 512),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_the_samples_of_other_projects_are_read(shared_dir: Path, name: str) -> None:
    path = shared_dir / "corpus" / name
    if not path.is_file():
        pytest.skip(f"shared/corpus/{name} is not here")
    made = decode(path, LIMITS)
    assert made.notes == ()
    assert made.gain_map is not None
    assert made.gain_map.frame.color.shape[:2] == SAMPLES[name]
