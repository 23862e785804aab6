"""Everything beside a PNG's pixels comes through, wherever it stands and however large it is."""

import io
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from jobs.engine.codecs.probe import probe
from jobs.engine.errors import ImageRejected
from jobs.engine.types import Cicp, Frame, LightLevel, MasteringDisplay, Picture, Text
from tests.jobs.engine.codecs.samples import SRGB, chunk, chunks_of, png, read, written
from tests.jobs.engine.conftest import LIMITS, photo

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'


def at(place: str, content: bytes) -> bytes:
    """A PNG with that chunk before or after its pixels."""
    return png(content) if place == "before" else png(b"", content)


def text(keyword: str, value: str) -> bytes:
    return chunk(b"tEXt", keyword.encode("latin-1") + b"\0" + value.encode("latin-1"))


def packed(keyword: str, value: str) -> bytes:
    return chunk(b"zTXt", keyword.encode("latin-1") + b"\0\0" + zlib.compress(value.encode("latin-1")))


def international(keyword: str, value: str, *, language: str = "", translated: str = "", pack: bool = False) -> bytes:
    content = zlib.compress(value.encode()) if pack else value.encode()
    head = keyword.encode("latin-1") + b"\0" + bytes((pack, 0)) + language.encode() + b"\0"
    return chunk(b"iTXt", head + translated.encode() + b"\0" + content)


TEXTS = {
    "tEXt": (text("parameters", "cat, 8k\nSteps: 20"), Text("parameters", "cat, 8k\nSteps: 20")),
    "tEXt Latin-1": (text("Author", "Jürgen ½"), Text("Author", "Jürgen ½")),
    "tEXt empty": (text("Title", ""), Text("Title", "")),
    "zTXt": (packed("workflow", "{}" * 900), Text("workflow", "{}" * 900)),
    "iTXt": (international("Title", "Größe 猫"), Text("Title", "Größe 猫")),
    "iTXt packed": (international("prompt", "猫" * 5000, pack=True), Text("prompt", "猫" * 5000)),
    "iTXt language": (
        international("Title", "Katze", language="de-AT", translated="Überschrift"),
        Text("Title", "Katze", "de-AT", "Überschrift"),
    ),
}


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("kind", TEXTS)
def test_texts_are_kept_before_and_after_the_pixels(tmp_path: Path, kind: str, place: str) -> None:
    content, expected = TEXTS[kind]
    made = read(tmp_path, at(place, content))
    assert made.metadata.texts == (expected,)
    assert made.notes == ()
    back = written(tmp_path, made)
    assert read(tmp_path, back).metadata.texts == (expected,)
    with Image.open(io.BytesIO(back)) as other:  # a reader that is not ours
        assert isinstance(other, PngImagePlugin.PngImageFile)
        assert other.text[expected.keyword] == expected.value


def test_several_texts_of_one_keyword_stay_in_order(tmp_path: Path) -> None:
    made = read(tmp_path, png(text("Comment", "one") + text("Comment", "two"), text("Comment", "three")))
    assert [found.value for found in made.metadata.texts] == ["one", "two", "three"]


def test_texts_are_stripped_when_asked(tmp_path: Path) -> None:
    made = read(tmp_path, png(text("parameters", "secret")))
    assert b"secret" not in written(tmp_path, made, strip_metadata=True)


@pytest.mark.parametrize("megabytes", [1, 5, 63])
def test_a_large_text_and_a_large_profile_are_read(tmp_path: Path, megabytes: int) -> None:
    value = "x" * ((megabytes << 20) - 10)
    assert read(tmp_path, png(packed("workflow", value))).metadata.texts == (Text("workflow", value),)
    profile = SRGB.ljust(megabytes << 20, b"\1")[: (megabytes << 20) - 10]
    made = read(tmp_path, png(chunk(b"iCCP", b"x\0\0" + zlib.compress(profile))))
    assert made.metadata.icc == profile
    again = read(tmp_path, written(tmp_path, made))
    assert again.metadata.icc == profile


def test_texts_beyond_64_mib_are_left_out_and_said(tmp_path: Path) -> None:
    bomb = chunk(b"zTXt", b"one\0\0" + zlib.compress(b"x" * (40 << 20)))
    other = chunk(b"zTXt", b"two\0\0" + zlib.compress(b"x" * (40 << 20)))
    made = read(tmp_path, png(bomb + other))
    assert [found.keyword for found in made.metadata.texts] == ["one"]
    assert made.notes == ("not kept: the text 'two': texts and profiles of more than 64 MiB",)


def test_the_probe_inflates_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in.png").write_bytes(png(packed("one", "x" * 1_000_000)))

    def refuse(*_: object) -> None:
        raise AssertionError("a text was inflated")

    monkeypatch.setattr(zlib, "decompressobj", refuse)
    assert probe(tmp_path / "in.png", LIMITS).width == 4


@pytest.mark.parametrize(
    "name", ["tEXt", "zTXt", "iTXt", "iCCP", "cICP", "gAMA", "cHRM", "pHYs", "eXIf", "mDCV", "cLLI"]
)
@pytest.mark.parametrize("content", [b"", b"\0", b"a", b"\0" * 4, b"a\0\0\xff\xff", b"\xff" * 40])
def test_a_damaged_chunk_costs_nothing_but_itself(tmp_path: Path, name: str, content: bytes) -> None:
    made = read(tmp_path, png(chunk(name.encode(), content) + text("Title", "here")))
    assert Text("Title", "here") in made.metadata.texts
    assert written(tmp_path, made)


def test_a_chunk_with_a_wrong_checksum_is_left_out(tmp_path: Path) -> None:
    broken = text("Title", "here")[:-4] + b"\0\0\0\0"
    assert read(tmp_path, png(broken + text("Author", "me"))).metadata.texts == (Text("Author", "me"),)


def test_too_many_chunks_are_refused(tmp_path: Path) -> None:
    (tmp_path / "in.png").write_bytes(png(text("a", "") * 10_001))
    with pytest.raises(ImageRejected, match="more than 10000 chunks"):
        probe(tmp_path / "in.png", LIMITS)


def exif(orientation: int) -> bytes:
    return b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHH", 0x112, 3, 1, orientation, 0) + b"\0" * 4


@pytest.mark.parametrize(("place", "height"), [("before", 4), ("after", 2)])
def test_exif_counts_before_the_pixels_and_is_kept_behind_them(tmp_path: Path, place: str, height: int) -> None:
    made = read(tmp_path, at(place, chunk(b"eXIf", exif(6))))
    assert made.height == height
    assert made.metadata.exif == exif(1)  # our result's stands before the pixels, where it would count


@pytest.mark.parametrize("place", ["before", "after"])
def test_xmp_is_kept_before_and_after_the_pixels(tmp_path: Path, place: str) -> None:
    made = read(tmp_path, at(place, international("XML:com.adobe.xmp", XMP.decode())))
    assert made.metadata.xmp == XMP
    assert read(tmp_path, written(tmp_path, made)).metadata.xmp == XMP


RAW = {"exif": exif(1), "APP1": b"Exif\0\0" + exif(1), "iptc": b"\x1c\x02\x78\0\x03cat", "xmp": XMP}


@pytest.mark.parametrize("kind", RAW)
def test_blocks_written_as_hexadecimal_text_are_read(tmp_path: Path, kind: str) -> None:
    data = RAW[kind]
    heading = f"\n{kind}\n{len(data):8d}\n"
    made = read(tmp_path, png(packed(f"Raw profile type {kind}", heading + data.hex() + "\n")))
    found = {
        "exif": made.metadata.exif,
        "APP1": made.metadata.exif,
        "iptc": made.metadata.iptc,
        "xmp": made.metadata.xmp,
    }
    assert found[kind] == data.removeprefix(b"Exif\0\0")
    assert made.metadata.texts == ()


CICP = chunk(b"cICP", b"\x09\x10\0\x01")
GAMA = chunk(b"gAMA", struct.pack(">I", 100_000))
P3_XY = (31_270, 32_900, 68_000, 32_000, 26_500, 69_000, 15_000, 6_000)
CHRM = chunk(b"cHRM", struct.pack(">8I", *P3_XY))
ICCP = chunk(b"iCCP", b"x\0\0" + zlib.compress(SRGB))
MDCV = chunk(b"mDCV", struct.pack(">8H2I", 34000, 16000, 13250, 34500, 7500, 3000, 15635, 16450, 10_000_000, 50))
CLLI = chunk(b"cLLI", struct.pack(">2I", 10_000_000, 4_000_000))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("description", [[CICP], [GAMA], [CHRM], [GAMA, CHRM], [CICP, MDCV, CLLI], [CICP, ICCP]])
def test_every_description_of_colour_comes_back_byte_for_byte(
    tmp_path: Path, description: list[bytes], bits: int
) -> None:
    made = read(tmp_path, png(b"".join(description), bits=bits))
    out = chunks_of(written(tmp_path, made))
    for content in description:
        name = content[4:8]
        if name == b"iCCP":
            found = next(data for kind, data in out if kind == name)
            assert zlib.decompress(found.split(b"\0\0", 1)[1]) == SRGB
        else:
            assert (name, content[8:-4]) in out
    assert [kind for kind, _ in out].index(b"IDAT") > max(
        [kind for kind, _ in out].index(content[4:8]) for content in description
    )


def test_the_description_is_read_into_terms_of_the_field(tmp_path: Path) -> None:
    made = read(tmp_path, png(CICP + MDCV + CLLI + GAMA + CHRM)).metadata
    assert made.cicp == Cicp(9, 16)
    assert made.light == LightLevel(1000.0, 400.0)
    xy = (34000, 16000, 13250, 34500, 7500, 3000, 15635, 16450)
    assert made.mastering == MasteringDisplay(xy, 1000.0, 0.005)
    assert made.gamma == 1.0
    assert made.chromaticities == tuple(value / 100_000 for value in P3_XY)


def test_the_srgb_chunk_rules_over_gamma_and_is_written_again(tmp_path: Path) -> None:
    made = read(tmp_path, png(chunk(b"sRGB", b"\0") + GAMA + CHRM))
    assert made.metadata.cicp == Cicp(1, 13)
    assert made.metadata.gamma is None
    out = dict(chunks_of(written(tmp_path, made)))
    assert out[b"sRGB"] == b"\0"
    assert out[b"gAMA"] == struct.pack(">I", 45_455)


def test_narrow_range_is_said_and_not_claimed(tmp_path: Path) -> None:
    made = read(tmp_path, png(chunk(b"cICP", b"\x09\x10\0\0")))
    assert made.metadata.cicp is None
    assert made.notes == ("not kept: a cICP chunk for pixels that are not full-range RGB",)


def test_a_gray_picture_gets_a_profile_instead_of_code_points(tmp_path: Path) -> None:
    out = dict(chunks_of(written(tmp_path, read(tmp_path, png(CICP, kind=0)))))
    assert b"cICP" not in out  # PNG allows it for RGB only
    assert zlib.decompress(out[b"iCCP"].split(b"\0\0", 1)[1])[16:20] == b"GRAY"


def test_pixels_that_are_not_square_stay_so(tmp_path: Path) -> None:
    phys = chunk(b"pHYs", struct.pack(">IIB", 4, 3, 0))
    made = read(tmp_path, png(phys))
    assert made.metadata.aspect == (4, 3)
    assert (b"pHYs", phys[8:-4]) in chunks_of(written(tmp_path, made))


@pytest.mark.parametrize(
    ("name", "note"),
    [(b"caBX", "Content Credentials"), (b"prVt", "the PNG chunk 'prVt'")],
    ids=["C2PA", "private"],
)
def test_what_cannot_be_kept_is_named(tmp_path: Path, name: bytes, note: str) -> None:
    made = read(tmp_path, png(chunk(name, b"1234")))
    assert len(made.notes) == 1
    assert made.notes[0].startswith(f"not kept: {note}")


def test_an_animation_keeps_all_that_stands_beside_its_pixels(tmp_path: Path) -> None:
    still = read(tmp_path, png(CICP + CLLI + text("Title", "moves") + chunk(b"pHYs", struct.pack(">IIB", 3, 4, 0))))
    frames = tuple(Frame(photo(24, 16, seed=seed), duration_ms=70) for seed in (1, 2, 3))
    made = Picture("png", frames, replace(still.metadata, iptc=b"\x1c\x02\x78\0\x03cat", loop=2))
    data = written(tmp_path, made)
    back = read(tmp_path, data)
    assert len(back.frames) == 3
    assert back.metadata == replace(made.metadata, exif=None)
    with Image.open(io.BytesIO(data)) as other:
        assert getattr(other, "n_frames", 1) == 3
