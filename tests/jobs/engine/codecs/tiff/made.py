"""TIFFs of every kind, made from arrays by TIFF 6.0 alone: no library here writes most of them."""

import struct
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

NONE, LZW, JPEG, DEFLATE, PACKBITS = 1, 5, 7, 8, 32773
WHITE, BLACK, RGB, PALETTE, MASK, CMYK, YCBCR, LAB = 0, 1, 2, 3, 4, 5, 6, 8
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
SHORT, LONG, LONG8 = 3, 4, 16


@dataclass(frozen=True)
class Page:
    """One page. ``pixels`` are the samples as stored, (H, W, S): whole numbers, or floats where the format is that.

    ``coded`` gives the blocks' bytes as they are, for codings that are not made here. ``more`` are further entries by
    tag (type, values); they replace those that are made.
    """

    pixels: NDArray[Any]
    photometric: int = BLACK
    bits: int = 8
    format: int | None = None
    extra: tuple[int, ...] = ()
    planar: bool = False
    compression: int = NONE
    predictor: int = 1
    tile: int = 0
    rows: int = 4
    orientation: int = 1
    reversed_bits: bool = False
    coded: tuple[bytes, ...] = ()
    more: dict[int, tuple[int, list[int]]] = field(default_factory=dict)


def tiff(*pages: Page, order: str = "<", big: bool = False) -> bytes:
    """Return a file of these pages."""
    mark, word = ("II" if order == "<" else "MM").encode(), "Q" if big else "I"
    data = mark + struct.pack(f"{order}HHHQ", 43, 8, 0, 0) if big else mark + struct.pack(f"{order}HI", 42, 0)
    pointer = len(data) - (8 if big else 4)
    for page in pages:
        places = []
        blocks = page.coded or _blocks(page, order)
        for block in blocks:
            places.append(len(data))
            data += block + bytes(len(block) % 2)
        entries = sorted(_entries(page, places, [len(block) for block in blocks], big).items())
        at = len(data)
        data = data[:pointer] + struct.pack(f"{order}{word}", at) + data[pointer + struct.calcsize(word) :]
        listed, rest = struct.pack(f"{order}{'Q' if big else 'H'}", len(entries)), b""
        behind = at + len(listed) + (20 if big else 12) * len(entries) + struct.calcsize(word)
        for tag, (kind, values) in entries:
            packed = struct.pack(f"{order}{len(values)}{({1: 'B', 3: 'H', 4: 'I', 16: 'Q'})[kind]}", *values)
            fits = len(packed) <= struct.calcsize(word)
            place = packed.ljust(struct.calcsize(word), b"\0") if fits else struct.pack(
                f"{order}{word}", behind + len(rest)
            )  # fmt: skip
            rest += b"" if fits else packed + bytes(len(packed) % 2)
            listed += struct.pack(f"{order}HH{word}", tag, kind, len(values)) + place
        pointer = at + len(listed)
        data += listed + bytes(struct.calcsize(word)) + rest
    return data


def _entries(page: Page, places: list[int], sizes: list[int], big: bool) -> dict[int, tuple[int, list[int]]]:
    height, width, samples = page.pixels.shape
    offset = LONG8 if big else LONG
    entries: dict[int, tuple[int, list[int]]] = {
        256: (LONG, [width]), 257: (LONG, [height]), 258: (SHORT, [page.bits] * samples),
        259: (SHORT, [page.compression]), 262: (SHORT, [page.photometric]), 274: (SHORT, [page.orientation]),
        277: (SHORT, [samples]), 284: (SHORT, [2 if page.planar else 1]),
    }  # fmt: skip
    if page.tile:
        entries |= {322: (LONG, [page.tile]), 323: (LONG, [page.tile]), 324: (offset, places), 325: (offset, sizes)}
    else:
        entries |= {273: (offset, places), 278: (LONG, [page.rows]), 279: (offset, sizes)}
    if page.format is not None:
        entries[339] = (SHORT, [page.format] * samples)
    if page.extra:
        entries[338] = (SHORT, list(page.extra))
    if page.predictor != 1:
        entries[317] = (SHORT, [page.predictor])
    if page.reversed_bits:
        entries[266] = (SHORT, [2])
    return entries | page.more


def _blocks(page: Page, order: str) -> list[bytes]:
    """Return the strips or tiles, plane by plane."""
    planes = [page.pixels[:, :, at : at + 1] for at in range(page.pixels.shape[2])] if page.planar else [page.pixels]
    blocks = []
    for plane in planes:
        height, width, _ = plane.shape
        if page.tile:
            padded = np.pad(plane, ((0, -height % page.tile), (0, -width % page.tile), (0, 0)), mode="edge")
            parts = [
                padded[top : top + page.tile, left : left + page.tile]
                for top in range(0, height, page.tile)
                for left in range(0, width, page.tile)
            ]
        else:
            parts = [plane[top : top + page.rows] for top in range(0, height, page.rows)]
        for part in parts:
            block = packed(_rows(part, page, order), page.compression)
            blocks.append(bytes(_turned(np.frombuffer(block, np.uint8))) if page.reversed_bits else block)
    return blocks


def _turned(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.packbits(np.unpackbits(data), bitorder="little")


def _rows(part: NDArray[Any], page: Page, order: str) -> NDArray[np.uint8]:
    """Return a block's bytes by row, after the predictor."""
    height = len(part)
    if page.format == FLOAT:
        stored = np.ascontiguousarray(part.astype(f">f{page.bits // 8}"))
        if page.predictor == 3:
            size = page.bits // 8
            planes = stored.view(np.uint8).reshape(height, -1, size).swapaxes(1, 2).reshape(height, -1)
            apart = planes.copy()
            apart[:, part.shape[2] :] -= planes[:, : -part.shape[2]]
            return apart
        values = stored.view(f">u{page.bits // 8}").astype(np.uint64).reshape(part.shape)
    else:
        values = part.astype(np.int64).astype(np.uint64)
    if page.predictor == 2:
        values = values.copy()
        values[:, 1:] -= values[:, :-1].copy()
    values &= np.uint64((1 << page.bits) - 1)
    flat = values.reshape(height, -1)
    if page.bits % 8 == 0:
        size = page.bits // 8
        whole = np.ascontiguousarray(flat.astype(">u8")).view(np.uint8).reshape(height, -1, 8)[:, :, 8 - size :]
        return (whole if order == ">" else whole[:, :, ::-1]).reshape(height, -1)
    shifts = np.arange(page.bits - 1, -1, -1, dtype=np.uint64)
    bits = (flat[:, :, np.newaxis] >> shifts & np.uint64(1)).astype(np.uint8)
    return np.packbits(bits.reshape(height, -1), axis=1)


def packed(rows: NDArray[np.uint8], compression: int) -> bytes:
    """Return rows of bytes, (n, length), as one block."""
    if compression == DEFLATE:
        return zlib.compress(rows.tobytes(), 1)
    if compression == LZW:
        return _lzw(rows.tobytes())
    if compression == PACKBITS:
        data = [row.tobytes() for row in rows]
        pieces = [row[at : at + 128] for row in data for at in range(0, len(row), 128)]
        return b"".join(bytes([len(piece) - 1]) + piece for piece in pieces)
    return rows.tobytes()


def _lzw(data: bytes) -> bytes:
    """Return codes of 9 bit: single bytes, with a clear code before the table would need a tenth bit."""
    codes: list[int] = []
    for at in range(0, len(data), 200):
        codes += [256, *data[at : at + 200]]
    codes.append(257)
    shifts = np.arange(8, -1, -1)
    return np.packbits(np.array(codes)[:, np.newaxis] >> shifts & 1).tobytes()
