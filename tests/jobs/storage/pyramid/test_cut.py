"""Cutting: every pixel of the picture is in one tile of the full size, in every depth and with transparency."""

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from jobs.engine.codec import encode
from jobs.engine.errors import ImageRejected
from jobs.engine.types import EncodeOptions, Frame, Limits, Picture
from jobs.storage.pyramid.cut import cut
from jobs.storage.pyramid.layout import TILE_SIDE, levels_of, tile_name

#: Mean difference of 8-bit values that JPEG and WebP at this quality leave in a smooth picture.
NEAR = 2.0


def smooth(width: int, height: int, depth: type[np.integer[Any]], channels: int) -> NDArray[Any]:
    """(H, W, C): a gradient in each direction."""
    y, x = np.mgrid[0:height, 0:width]
    most = np.iinfo(depth).max
    planes = [x * most // width, y * most // height, (x + y) * most // (width + height)][:channels]
    return np.stack(planes, axis=-1).astype(depth)


def put_together(path: Path, level: int, mode: str) -> NDArray[Any]:
    """One level's pixels from its tiles."""
    with zipfile.ZipFile(path) as archive:
        index = json.loads(archive.read("pyramid.json"))
        size = levels_of(index["width"], index["height"])[level]
        whole = Image.new(mode, (size.width, size.height))
        for row in range(size.rows):
            for column in range(size.columns):
                tile = Image.open(io.BytesIO(archive.read(tile_name(level, column, row)))).convert(mode)
                whole.paste(tile, (column * TILE_SIDE, row * TILE_SIDE))
    return np.asarray(whole)


@pytest.mark.parametrize(("depth", "channels", "transparent"), [
    (np.uint8, 3, False), (np.uint16, 3, False), (np.uint8, 1, False), (np.uint16, 1, True), (np.uint8, 3, True),
])  # fmt: skip
def test_the_tiles_are_the_picture(
    tmp_path: Path, depth: type[np.integer[Any]], channels: int, transparent: bool
) -> None:
    color = smooth(1100, 700, depth, channels)
    alpha = np.ascontiguousarray(smooth(1100, 700, depth, 1)[:, :, 0]) if transparent else None
    source = tmp_path / "in.tif"
    encode(Picture("tiff", (Frame(color, alpha),)), source, EncodeOptions(format="tiff"))
    cut(source, tmp_path / "out.zip", Limits())
    mode = ("LA" if transparent else "L") if channels == 1 else ("RGBA" if transparent else "RGB")
    shown = put_together(tmp_path / "out.zip", 0, mode).reshape(700, 1100, -1).astype(float)
    wanted = (color if alpha is None else np.concatenate((color, alpha[:, :, np.newaxis]), axis=2)) / (
        1 if depth is np.uint8 else 257
    )
    assert np.abs(shown - wanted).mean() < NEAR
    half = put_together(tmp_path / "out.zip", 1, mode).reshape(350, 550, -1).astype(float)
    assert np.abs(half - wanted.reshape(350, 2, 550, 2, -1).mean(axis=(1, 3))).mean() < NEAR
    last = put_together(tmp_path / "out.zip", 2, mode)
    assert last.shape[:2] == (175, 275)


@pytest.mark.parametrize(("width", "height", "sizes"), [
    (1, 1, [(1, 1)]),
    (512, 512, [(512, 512)]),
    (513, 3, [(513, 3), (257, 2)]),
    (30_000, 13, [(30_000, 13), (15_000, 7), (7500, 4), (3750, 2), (1875, 1), (938, 1), (469, 1)]),
])  # fmt: skip
def test_every_level_is_half_of_the_one_before_until_a_single_tile_holds_it(
    width: int, height: int, sizes: list[tuple[int, int]]
) -> None:
    levels = levels_of(width, height)
    assert [(level.width, level.height) for level in levels] == sizes
    assert (levels[-1].columns, levels[-1].rows) == (1, 1)


def test_a_picture_beyond_the_limits_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (100, 100)).save(tmp_path / "in.png")
    with pytest.raises(ImageRejected, match=r"100×100 px, 0\.01 megapixels"):
        cut(tmp_path / "in.png", tmp_path / "out.zip", Limits(max_input_pixels=9999))


@pytest.mark.processes
def test_a_process_without_the_memory_for_it_says_so(tmp_path: Path) -> None:
    Image.new("RGB", (12_000, 12_000)).save(tmp_path / "in.png", compress_level=1)
    order = {
        "source": str(tmp_path / "in.png"), "target": str(tmp_path / "out.zip"), "memory_bytes": 800 << 20,
        "file_bytes": 1 << 30, "limits": {"max_input_pixels": 1 << 40, "max_side": 1 << 20},
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "jobs.storage.pyramid.cut", json.dumps(order)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "refused" in json.loads(done.stdout)
