"""Animations and pages: every frame, in order, with its time."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jobs.engine.codec import decode, encode
from jobs.engine.codecs.probe import probe
from jobs.engine.errors import FormatUnsupported
from jobs.engine.types import EncodeOptions, Frame, Metadata, Picture
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


def test_equal_frames_keep_their_number_or_their_time(tmp_path: Path) -> None:
    """Encoders merge equal neighbours; the time on screen must stay."""
    still = Frame(color=photo(20, 10), duration_ms=70)
    made = Picture(
        format="webp", frames=(still, still, replace(still, color=photo(20, 10, seed=4))), metadata=Metadata(loop=3)
    )
    for name in ("webp", "png"):
        encode(made, tmp_path / "out", EncodeOptions(format=name, lossless=True))
        back = decode(tmp_path / "out", LIMITS)
        assert sum(frame.duration_ms or 0 for frame in back.frames) == 210
        assert back.metadata.loop == 3


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
