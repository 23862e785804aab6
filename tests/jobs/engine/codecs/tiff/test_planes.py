"""16-bit TIFF in separate planes: read as it would be with its samples side by side."""

import contextlib
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from jobs.engine.codec import decode
from jobs.engine.codecs.color.pixels import turn
from jobs.engine.codecs.probe import probe
from jobs.engine.errors import EngineError
from tests.jobs.engine.conftest import LIMITS, photo

WIDTH, HEIGHT = 23, 17


def planar(
    pixels: NDArray[np.uint16],
    *,
    order: str = "<",
    photometric: int = 2,
    rows: int = 5,
    deflate: bool = False,
    predictor: bool = False,
    tile: int = 0,
    extra: int | None = None,
    orientation: int = 1,
) -> bytes:
    """A TIFF written by hand: no library here writes these."""
    height, width, samples = pixels.shape
    blocks = []
    for plane in np.moveaxis(pixels, 2, 0):
        if tile:
            padded = np.pad(plane, ((0, -height % tile), (0, -width % tile)), mode="edge")
            parts = [
                padded[top : top + tile, left : left + tile]
                for top in range(0, padded.shape[0], tile)
                for left in range(0, padded.shape[1], tile)
            ]
        else:
            parts = [plane[top : top + rows] for top in range(0, height, rows)]
        for part in parts:
            differences = part.copy()
            if predictor:
                differences[:, 1:] -= part[:, :-1]
            data = differences.astype(f"{order}u2").tobytes()
            blocks.append(zlib.compress(data) if deflate else data)
    body = b""
    offsets = []
    for block in blocks:
        offsets.append(8 + len(body))
        body += block + b"\0" * (len(block) % 2)
    sizes = [len(block) for block in blocks]
    entries: dict[int, tuple[int, list[int]]] = {
        256: (4, [width]), 257: (4, [height]), 258: (3, [16] * samples), 259: (3, [8 if deflate else 1]),
        262: (3, [photometric]), 274: (3, [orientation]), 277: (3, [samples]), 284: (3, [2]),
        317: (3, [2 if predictor else 1]),
    }  # fmt: skip
    if tile:
        entries |= {322: (4, [tile]), 323: (4, [tile]), 324: (4, offsets), 325: (4, sizes)}
    else:
        entries |= {273: (4, offsets), 278: (4, [rows]), 279: (4, sizes)}
    if extra is not None:
        entries[338] = (3, [extra])
    rest, listed = b"", b""
    at = 8 + len(body)
    for tag, (kind, values) in sorted(entries.items()):
        packed = struct.pack(f"{order}{len(values)}{'H' if kind == 3 else 'I'}", *values)
        place = packed.ljust(4, b"\0")
        if len(packed) > 4:
            place = struct.pack(f"{order}I", at + len(rest))
            rest += packed + b"\0" * (len(packed) % 2)
        listed += struct.pack(f"{order}HHI", tag, kind, len(values)) + place
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", at + len(rest))
    return head + body + rest + struct.pack(f"{order}H", len(entries)) + listed + bytes(4)


def samples(count: int) -> NDArray[np.uint16]:
    whole: NDArray[np.uint16] = np.dstack(
        [photo(WIDTH, HEIGHT, channels=1, bits=16, seed=seed) for seed in range(count)]
    )
    return whole


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("tile", [0, 16])
@pytest.mark.parametrize(("deflate", "predictor"), [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("alpha", [False, True])
def test_rgb_in_planes_is_read(
    tmp_path: Path, alpha: bool, deflate: bool, predictor: bool, tile: int, order: str
) -> None:
    pixels = samples(4 if alpha else 3)
    data = planar(pixels, order=order, deflate=deflate, predictor=predictor, tile=tile, extra=2 if alpha else None)
    (tmp_path / "in.tif").write_bytes(data)
    header = probe(tmp_path / "in.tif", LIMITS)
    assert (header.width, header.height, header.bits, header.alpha) == (WIDTH, HEIGHT, 16, alpha)
    frame = decode(tmp_path / "in.tif", LIMITS).frames[0]
    assert np.array_equal(frame.color, pixels[:, :, :3])
    assert (frame.alpha is not None) == alpha
    if frame.alpha is not None:
        assert np.array_equal(frame.alpha, pixels[:, :, 3])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_planes_are_turned(tmp_path: Path, orientation: int) -> None:
    pixels = samples(3)
    (tmp_path / "in.tif").write_bytes(planar(pixels, orientation=orientation))
    assert np.array_equal(decode(tmp_path / "in.tif", LIMITS).frames[0].color, turn(pixels, orientation))


def test_mutated_planes_are_an_error_of_ours_or_a_picture(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    whole = planar(samples(3), deflate=True)
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(random.integers(1, 6)):
            data[int(random.integers(0, len(data)))] = random.integers(0, 256)
        (tmp_path / "in.tif").write_bytes(data)
        with contextlib.suppress(EngineError):
            decode(tmp_path / "in.tif", LIMITS)
