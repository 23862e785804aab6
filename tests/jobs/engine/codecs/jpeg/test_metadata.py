"""Metadata of JPEG files, from a file to a picture and back: nothing is lost, or its loss is named."""

import io
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jobs.engine.codec import decode, encode
from jobs.engine.codecs.jpeg.segments import APP13, COM, before_pixels, compose
from jobs.engine.types import Encoded, EncodeOptions, Metadata, Picture, Text
from tests.jobs.engine.conftest import LIMITS, photo, picture

PHOTOSHOP = b"Photoshop 3.0\0"


def jpeg(path: Path, extra: bytes = b"", **settings: Any) -> Path:
    Image.fromarray(photo(40, 30)).save(path, "JPEG", extra=extra, **settings)
    return path


def with_meta(**fields: Any) -> Picture:
    return replace(picture(photo(40, 30), fmt="jpeg"), metadata=Metadata(**fields))


def written(made: Picture, tmp_path: Path, **options: Any) -> tuple[Picture, Encoded]:
    encoded = encode(made, tmp_path / "out", EncodeOptions(format="jpeg", **options))
    return decode(tmp_path / "out", LIMITS), encoded


def resource(number: int, data: bytes, name: bytes = b"\0\0") -> bytes:
    return b"8BIM" + struct.pack(">H", number) + name + struct.pack(">I", len(data)) + data + b"\0" * (len(data) % 2)


COMMENTS = [b"hello", "Größe".encode(), b"Gr\xf6\xdfe in latin-1", b"\0zeros\0", b"hello", b"x" * 65_533]


def test_all_comments_are_kept_in_their_order_byte_for_byte(tmp_path: Path) -> None:
    path = jpeg(tmp_path / "in", extra=b"".join(compose(COM, each) for each in COMMENTS))
    made = decode(path, LIMITS)
    assert [text.keyword for text in made.metadata.texts] == ["Comment"] * len(COMMENTS)
    back, encoded = written(made, tmp_path, provenance="by us")
    assert encoded.notes == ()
    assert back.metadata.texts == (*made.metadata.texts, Text("Comment", "by us"))
    with (tmp_path / "out").open("rb") as file:
        assert [one.content for one in before_pixels(file) if one.marker == COM] == [*COMMENTS, b"by us"]
    with Image.open(tmp_path / "out") as image:
        assert image.info["comment"] == b"by us"
    again, _ = written(back, tmp_path, provenance="by us")
    assert again.metadata.texts == back.metadata.texts


def test_a_comment_that_is_too_long_is_split_between_characters_and_that_is_said(tmp_path: Path) -> None:
    line = "x" + "ö" * 70_000
    back, encoded = written(with_meta(texts=(Text("Comment", line),)), tmp_path)
    assert encoded.notes == ("a comment is split into 3: JPEG holds 64 kB in one",)
    assert "".join(text.value for text in back.metadata.texts) == line
    assert all("\ufffd" not in text.value and "\udcc3" not in text.value for text in back.metadata.texts)


def test_exif_that_does_not_fit_is_named(tmp_path: Path) -> None:
    image = Image.new("RGB", (1, 1))
    for length in (60_000, 80_000):
        exif = image.getexif()
        exif[0x010E] = "x" * length
        back, encoded = written(with_meta(exif=exif.tobytes()), tmp_path)
        if length < 65_000:
            assert (encoded.notes, back.metadata.exif is not None) == ((), True)
        else:
            assert encoded.notes == ("not kept: EXIF of 79 kB, JPEG holds 64 kB",)
            assert back.metadata.exif is None


@pytest.mark.parametrize("length", [10, 11, 65_000, 65_507, 65_508, 200_001])
def test_iptc_of_any_length_is_kept(tmp_path: Path, length: int) -> None:
    record = np.random.default_rng(2).integers(0, 256, length, np.uint8).tobytes()
    back, encoded = written(with_meta(iptc=record), tmp_path)
    assert encoded.notes == ()
    assert back.metadata.iptc == record


def test_iptc_is_found_among_other_resources_and_in_several_segments(tmp_path: Path) -> None:
    record = bytes(range(250)) * 3
    chain = resource(0x03ED, b"res") + resource(0x0404, record, b"\x03abc") + resource(0x0425, b"x" * 16)
    for cuts in ([0], [0, 1], [0, 9], [0, 25, 26, 400], [0, len(chain) - 1]):
        ends = [*cuts[1:], len(chain)]
        extra = b"".join(compose(APP13, PHOTOSHOP + chain[a:b]) for a, b in zip(cuts, ends, strict=True))
        assert decode(jpeg(tmp_path / "in", extra), LIMITS).metadata.iptc == record
    extra = b"".join(compose(APP13, PHOTOSHOP + resource(0x0404, each)) for each in (b"one!", b"two!", b"one!"))
    assert decode(jpeg(tmp_path / "in", extra), LIMITS).metadata.iptc == b"one!two!"
    extra = compose(APP13, PHOTOSHOP + b"8BIM\4\0\0\0\xff\xff\xff\xff") + compose(APP13, PHOTOSHOP + chain)
    assert decode(jpeg(tmp_path / "in", extra), LIMITS).metadata.iptc == record
    assert decode(jpeg(tmp_path / "in", compose(APP13, b"Adobe_CM\0")), LIMITS).metadata.iptc is None


def with_density(path: Path, unit: int, across: int, down: int, exif: bytes = b"") -> Path:
    data = bytearray(jpeg(path, exif=exif).read_bytes())
    struct.pack_into(">BHH", data, 13, unit, across, down)
    path.write_bytes(data)
    return path


def test_pixels_that_are_not_square_stay_so(tmp_path: Path) -> None:
    made = decode(with_density(tmp_path / "in", 0, 4, 3), LIMITS)
    assert (made.metadata.aspect, made.metadata.dpi) == ((4, 3), None)
    assert written(made, tmp_path)[0].metadata.aspect == (4, 3)
    assert written(made, tmp_path, strip_metadata=True)[0].metadata.aspect == (4, 3)  # needed to show it rightly
    with Image.open(tmp_path / "out") as image:
        assert (image.info["jfif_unit"], image.info["jfif_density"]) == (0, (4, 3))


@pytest.mark.parametrize(("unit", "across", "down"), [(0, 1, 1), (0, 7, 7), (0, 0, 3), (0, 3, 0), (1, 300, 150)])
def test_square_pixels_and_those_with_a_unit_have_no_aspect(tmp_path: Path, unit: int, across: int, down: int) -> None:
    assert decode(with_density(tmp_path / "in", unit, across, down), LIMITS).metadata.aspect is None


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_has_a_turned_aspect(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    made = decode(with_density(tmp_path / "in", 0, 4, 3, exif.tobytes()), LIMITS)
    assert made.metadata.aspect == ((3, 4) if made.height == 40 else (4, 3))


def test_an_aspect_of_large_numbers_is_reduced(tmp_path: Path) -> None:
    assert written(with_meta(aspect=(400_000, 300_000)), tmp_path)[0].metadata.aspect == (4, 3)
    across, down = written(with_meta(aspect=(1_000_003, 500_000)), tmp_path)[0].metadata.aspect or (0, 0)
    assert across / down == pytest.approx(2.0, rel=1e-4)


def test_a_resolution_that_does_not_fit_is_named(tmp_path: Path) -> None:
    back, encoded = written(with_meta(dpi=(70_000.0, 70_000.0)), tmp_path)
    assert encoded.notes == ("not kept: a resolution of 70000 dpi, JPEG holds 65535",)
    assert back.metadata.dpi is None


def test_everything_large_at_once_is_read_by_pillow_too(tmp_path: Path) -> None:
    xmp = b"<x>" + b" " * 66_000 + b"</x>"
    exif = Image.Exif()
    exif[0x010E] = "y" * 60_000
    made = with_meta(
        xmp=xmp,
        exif=exif.tobytes()[6:],
        iptc=b"z" * 100_000,
        texts=(Text("Comment", "c" * 60_000),),
        dpi=(300.0, 300.0),
    )
    back, encoded = written(made, tmp_path)
    assert encoded.notes == ()
    assert back.metadata == made.metadata
    with Image.open(tmp_path / "out") as image:
        assert image.getexif()[0x010E] == "y" * 60_000
        assert b"HasExtendedXMP" in image.info["xmp"]
        image.load()


def test_mutated_metadata_crashes_nothing(tmp_path: Path) -> None:
    """Random bytes in the segments before the pixels: the picture is read, or refused by an error of ours."""
    from jobs.engine.errors import EngineError

    rich = with_meta(
        xmp=b"<x>" + b" " * 70_000 + b"</x>", iptc=b"z" * 70_000, texts=(Text("Comment", "c"),), aspect=(4, 3)
    )
    encode(rich, tmp_path / "whole", EncodeOptions(format="jpeg"))
    whole = (tmp_path / "whole").read_bytes()
    ends = [one.at for one in before_pixels(io.BytesIO(whole))]
    random = np.random.default_rng(5)
    read = 0
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(random.integers(1, 6)):
            at = int(random.choice(ends)) + int(random.integers(-4, 80))
            data[at] = random.integers(0, 256)
        (tmp_path / "in").write_bytes(data)
        try:
            encode(decode(tmp_path / "in", LIMITS), tmp_path / "out", EncodeOptions(format="jpeg"))
            read += 1
        except EngineError:
            pass
    assert read > 30
