"""Animations and pages: every frame, in order, with its time."""

import io
import re
import struct
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jobs.engine.codec import decode, encode
from jobs.engine.codecs import isobmff
from jobs.engine.codecs.probe import probe
from jobs.engine.errors import FormatUnsupported
from jobs.engine.types import EncodeOptions, Frame, Metadata, Picture, Written
from tests.jobs.engine.codecs.samples import chunks_of
from tests.jobs.engine.conftest import LIMITS, difference, photo


def animation(path: Path, name: str, *, transparent: bool = False) -> list[np.ndarray]:
    """Four frames of 16 colours with times of their own, endless."""
    frames = []
    for index in range(4):
        pixels = np.zeros((20, 30, 4), np.uint8)
        pixels[..., 3] = 255
        pixels[2:12, 3 + 5 * index : 12 + 5 * index, :3] = (200, 40 * index, 80)
        if transparent:
            pixels[15:, :, 3] = 0
        frames.append(pixels)
    images = [Image.fromarray(pixels if transparent else pixels[:, :, :3]) for pixels in frames]
    options: dict[str, Any] = {"save_all": True, "append_images": images[1:], "duration": [100, 200, 50, 400]}
    if name != "AVIF":
        options["loop"] = 0
    if name == "WEBP":
        options["lossless"] = True
    if name == "AVIF":
        options |= {"quality": 100, "subsampling": "4:4:4"}
    if name == "GIF":
        options["disposal"] = 2
    images[0].save(path, format=name, **options)
    return frames


@pytest.mark.parametrize("name", ["GIF", "WEBP", "PNG", "AVIF"])
@pytest.mark.parametrize("transparent", [False, True])
def test_every_frame_of_an_animation_comes_with_its_time(tmp_path: Path, name: str, transparent: bool) -> None:
    frames = animation(tmp_path / "in", name, transparent=transparent)
    header = probe(tmp_path / "in", LIMITS)
    assert (header.format, header.frames, header.pixels) == (name.lower(), 4, 2400)
    made = decode(tmp_path / "in", LIMITS)
    assert [frame.duration_ms for frame in made.frames] == [100, 200, 50, 400]
    for frame, source in zip(made.frames, frames, strict=True):
        visible = source[:, :, 3] > 0
        assert np.abs(frame.color[visible].astype(int) - source[visible][:, :3]).max() <= (8 if name == "AVIF" else 0)
        if transparent:
            assert frame.alpha is not None
            assert np.abs(frame.alpha.astype(int) - source[:, :, 3]).max() <= (2 if name == "AVIF" else 0)
    written = encode(made, tmp_path / "out").format
    assert written == {"GIF": "png", "WEBP": "webp", "PNG": "png", "AVIF": "avif"}[name]
    back = decode(tmp_path / "out", LIMITS)
    assert [frame.duration_ms for frame in back.frames] == [100, 200, 50, 400]
    if written == "png":
        assert back.metadata.loop == 0
        for frame, before in zip(back.frames, made.frames, strict=True):
            assert (
                difference(
                    frame.color[before.alpha > 0] if before.alpha is not None else frame.color,
                    before.color[before.alpha > 0] if before.alpha is not None else before.color,
                )
                == 0
            )


JOINED = "frames that look like the one before were joined with it, with their time"


def test_equal_frames_keep_their_number_or_their_time(tmp_path: Path) -> None:
    """Encoders merge equal neighbours; the time on screen must stay."""
    still = Frame(color=photo(20, 10), duration_ms=70)
    made = Picture(
        format="webp", frames=(still, still, replace(still, color=photo(20, 10, seed=4))), metadata=Metadata(loop=3)
    )
    for name in ("webp", "png"):
        notes = encode(made, tmp_path / "out", EncodeOptions(format=name, lossless=True)).notes
        assert notes == ((JOINED,) if name == "webp" else ())
        back = decode(tmp_path / "out", LIMITS)
        assert len(back.frames) == (2 if name == "webp" else 3)
        assert sum(frame.duration_ms or 0 for frame in back.frames) == 210
        assert back.metadata.loop == 3


EXACT = (1000 / 30, 1000 / 30, 1 / 3, 1000 / 65_535, 0.0, 12_345.0, 1001 / 30, 65_535_000.0)


def timed(times: tuple[float, ...] = EXACT) -> Picture:
    return Picture("png", tuple(Frame(photo(20, 10, seed=at), duration_ms=time) for at, time in enumerate(times)))


def controls_of(path: Path) -> list[bytes]:
    """What an APNG says of its frames."""
    return [content for name, content in chunks_of(path.read_bytes()) if name == b"fcTL"]


def test_png_keeps_fractions_of_a_second_exactly(tmp_path: Path) -> None:
    assert encode(timed(), tmp_path / "out", EncodeOptions(format="png")).notes == ()
    controls = controls_of(tmp_path / "out")
    times = [struct.unpack(">HH", content[20:24]) for content in controls]
    assert times == [(1, 30), (1, 30), (1, 3000), (1, 65_535), (0, 1), (2469, 200), (1001, 30_000), (65_535, 1)]
    made = decode(tmp_path / "out", LIMITS)
    assert [frame.duration_ms for frame in made.frames] == pytest.approx(EXACT)
    encode(made, tmp_path / "again", EncodeOptions(format="png"))
    assert controls_of(tmp_path / "again") == controls


@pytest.mark.parametrize("name", ["webp", "avif"])
def test_whole_milliseconds_do_not_drift_and_are_told(tmp_path: Path, name: Written) -> None:
    notes = encode(timed((1000 / 30,) * 30), tmp_path / "out", EncodeOptions(format=name)).notes
    assert notes == ("not kept: parts of milliseconds in the frames' times",)
    made = decode(tmp_path / "out", LIMITS)
    assert sum(frame.duration_ms or 0 for frame in made.frames) == 1000
    assert {frame.duration_ms for frame in made.frames} == {33.0, 34.0}
    assert encode(timed((40.0, 70.0)), tmp_path / "out", EncodeOptions(format=name)).notes == ()


@pytest.mark.parametrize("lossless", [False, True])
def test_webp_says_when_frames_that_nearly_equal_are_joined(tmp_path: Path, *, lossless: bool) -> None:
    """Its encoder takes them for equal, unless it is to be lossless."""
    color = photo(40, 30)
    other = color.copy()
    other[5, 5, 1] ^= 1
    made = Picture("gif", tuple(Frame(pixels, duration_ms=70) for pixels in (color, other, photo(40, 30, seed=4))))
    notes = encode(made, tmp_path / "out", EncodeOptions(format="webp", lossless=lossless)).notes
    times = [frame.duration_ms for frame in decode(tmp_path / "out", LIMITS).frames]
    assert (times, notes) == (([70, 70, 70], ()) if lossless else ([140, 70], (JOINED,)))


def test_a_webp_whose_frames_all_look_alike_is_said_to_be_a_still(tmp_path: Path) -> None:
    made = Picture("gif", (Frame(photo(40, 30), duration_ms=70),) * 3)
    notes = encode(made, tmp_path / "out", EncodeOptions(format="webp")).notes
    assert len(decode(tmp_path / "out", LIMITS).frames) == 1
    assert notes == ("not kept: the animation: its 3 frames look alike, and WebP's encoder made them a still",)


@pytest.mark.parametrize(
    ("times", "held", "note"),
    [
        (
            (0.0, 0.0, 0.0, 40.0, 40.0),
            [1, 1, 1, 37, 40],
            "not kept: times below 1 ms, the shortest that the format holds",
        ),
        ((1 / 3, 1 / 3, 1 / 3, 10.0), [1, 1, 1, 8], "not kept: parts of milliseconds in the frames' times"),
    ],
)
def test_avif_gives_back_what_the_shortest_time_took(
    tmp_path: Path, times: tuple[float, ...], held: list[int], note: str
) -> None:
    assert encode(timed(times), tmp_path / "out", EncodeOptions(format="avif")).notes == (note,)
    assert [frame.duration_ms for frame in decode(tmp_path / "out", LIMITS).frames] == held


@pytest.mark.parametrize("scale", [1, 30, 24_000, 90_000])
def test_times_of_an_avif_are_read_as_exact_as_the_file_has_them(tmp_path: Path, scale: int) -> None:
    """Pillow's file with another scale: what were milliseconds are then parts of 1/scale seconds."""
    encode(timed((40.0, 40.0, 1.0, 33.0)), tmp_path / "in", EncodeOptions(format="avif"))
    data = bytearray((tmp_path / "in").read_bytes())
    for at in [found.start() + 4 for found in re.finditer(b"mdhd", bytes(data))]:
        place = at + (20 if data[at] else 12)
        assert data[place : place + 4] == struct.pack(">I", 1000)
        data[place : place + 4] = struct.pack(">I", scale)
    (tmp_path / "in").write_bytes(data)
    made = decode(tmp_path / "in", LIMITS)
    assert [frame.duration_ms for frame in made.frames] == [1000 * part / scale for part in (40, 40, 1, 33)]
    encode(made, tmp_path / "out", EncodeOptions(format="png"))
    wanted = [Fraction(part, scale) for part in (40, 40, 1, 33)]
    found = [Fraction(*struct.unpack(">HH", content[20:24])) for content in controls_of(tmp_path / "out")]
    assert found == [one.limit_denominator(65_535) for one in wanted]


def test_an_avif_without_times_in_its_boxes_keeps_those_of_the_decoder() -> None:
    assert isobmff.frame_times(io.BytesIO(b"\0\0\0\x10ftypavif\0\0\0\0"), 5) == ()


@pytest.mark.parametrize("name", ["png", "webp", "avif"])
def test_pages_that_become_an_animation_are_told(tmp_path: Path, name: Written) -> None:
    made = Picture("tiff", tuple(Frame(photo(20, 10, seed=seed)) for seed in range(3)))
    (note,) = encode(made, tmp_path / "out", EncodeOptions(format=name)).notes
    assert note.startswith("not kept: the pages, which became the frames of an animation in ")
    assert encode(made, tmp_path / "out", EncodeOptions(format="tiff")).notes == ()


def test_many_long_frames_are_held_by_webp_as_long_as_it_can(tmp_path: Path) -> None:
    made = timed((16_777_000.0,) * 150)
    (note,) = encode(made, tmp_path / "out", EncodeOptions(format="webp")).notes
    assert note == "not kept: the time of 150 frames beyond 14,316 s, the longest that the format holds"
    assert {frame.duration_ms for frame in decode(tmp_path / "out", LIMITS).frames} == {((1 << 31) - 1) // 150}


def test_times_beyond_a_format_are_told(tmp_path: Path) -> None:
    long = timed((1.0, 70_000_000.0))
    assert encode(long, tmp_path / "out", EncodeOptions(format="png")).notes == (
        "not kept: the time of 1 frame beyond 65,535 s, the longest that the format holds",
    )
    assert [frame.duration_ms for frame in decode(tmp_path / "out", LIMITS).frames] == [1.0, 65_535_000.0]
    assert encode(long, tmp_path / "out", EncodeOptions(format="webp")).notes == (
        "not kept: the time of 1 frame beyond 16,777 s, the longest that the format holds",
    )
    assert [frame.duration_ms for frame in decode(tmp_path / "out", LIMITS).frames] == [1.0, 16_777_215.0]


@pytest.mark.parametrize("kind", ["RGB", "RGBA", "gray", "gray and alpha", "16 bit"])
def test_png_keeps_every_frame_and_writes_what_changed(tmp_path: Path, kind: str) -> None:
    color = photo(60, 40)
    alpha = np.full((40, 60), 255, np.uint8) if "A" in kind or "alpha" in kind else None
    if "gray" in kind:
        color = color[:, :, :1].copy()
    if kind == "16 bit":
        color = color.astype(np.uint16) * 257
    first = Frame(color, alpha, 70)
    second = replace(first, color=color.copy())
    second.color[5:9, 7:20] = color.max() - second.color[5:9, 7:20]
    third = second if alpha is None else replace(second, alpha=alpha.copy())
    if third.alpha is not None:
        third.alpha[30:, 50:] = 9
    frames = (first, first, second, third)
    encode(Picture("png", frames), tmp_path / "out", EncodeOptions(format="png"))
    boxes = [struct.unpack(">4xIIII", content[:20]) for content in controls_of(tmp_path / "out")]
    last = (10, 10, 50, 30) if alpha is not None else (1, 1, 0, 0)
    assert boxes == [(60, 40, 0, 0), (1, 1, 0, 0), (13, 4, 7, 5), last]
    with Image.open(tmp_path / "out") as image:
        assert image.n_frames == 4  # type: ignore[attr-defined]
        image.verify()
    made = decode(tmp_path / "out", LIMITS)
    for frame, before in zip(made.frames, frames, strict=True):
        assert frame.color.dtype == before.color.dtype
        assert np.array_equal(frame.color, before.color)
        if before.alpha is not None:
            assert np.array_equal(frame.alpha, before.alpha)  # type: ignore[arg-type]


def test_an_enlarged_drawn_animation_is_no_larger_than_pillows(tmp_path: Path, shared_dir: Path) -> None:
    """Much of it repeats: by runs of equal bytes alone it would be nearly twice as large."""
    path = shared_dir / "corpus" / "libvips+libvips" / "test__test-suite__images__dispose-background.gif"
    frames = []
    for frame in decode(path, LIMITS).frames:
        assert frame.alpha is not None
        drawn = Image.fromarray(np.dstack((frame.color, frame.alpha)))
        frames.append(drawn.resize((4 * drawn.width, 4 * drawn.height), Image.Resampling.BICUBIC))
    frames[0].save(tmp_path / "in.png", save_all=True, append_images=frames[1:], duration=40, compress_level=3)
    encode(decode(tmp_path / "in.png", LIMITS), tmp_path / "out.png")
    assert (tmp_path / "out.png").stat().st_size <= (tmp_path / "in.png").stat().st_size


def test_formats_without_animation_refuse_by_name(tmp_path: Path) -> None:
    animation(tmp_path / "in", "GIF")
    made = decode(tmp_path / "in", LIMITS)
    for name in ("jpeg", "tiff"):
        with pytest.raises(FormatUnsupported, match="4 frames"):
            encode(made, tmp_path / "out", EncodeOptions(format=name))
        assert not (tmp_path / "out").exists()


def test_pages_of_a_tiff_are_all_kept(tmp_path: Path) -> None:
    pages = [photo(20, 10, seed=seed) for seed in range(3)]
    first, *others = (Image.fromarray(page) for page in pages)
    first.save(tmp_path / "in.tiff", save_all=True, append_images=others)
    assert probe(tmp_path / "in.tiff", LIMITS).frames == 3
    made = decode(tmp_path / "in.tiff", LIMITS)
    assert encode(made, tmp_path / "out.tiff").format == "tiff"
    back = decode(tmp_path / "out.tiff", LIMITS)
    assert all(difference(frame.color, page) == 0 for frame, page in zip(back.frames, pages, strict=True))
    Image.new("RGB", (20, 10)).save(tmp_path / "b.tiff", save_all=True, append_images=[Image.new("RGB", (10, 10))])
    with pytest.raises(FormatUnsupported, match="different sizes"):
        decode(tmp_path / "b.tiff", LIMITS)
