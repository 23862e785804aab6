"""BMP pixels of every kind, in files built byte by byte from Microsoft's and OS/2's headers."""

import struct
from pathlib import Path

import numpy as np
import pytest

from jobs.engine.codec import decode, encode
from jobs.engine.codecs.open import open_image
from jobs.engine.codecs.probe import probe
from jobs.engine.errors import FormatUnsupported, ImageRejected
from jobs.engine.types import Frame
from tests.jobs.engine.conftest import LIMITS


def bmp(
    width: int, height: int, depth: int, pixels: bytes, *, packing: int = 0, masks: tuple[int, ...] = (),
    palette: bytes = b"", colors: int = 0, size: int = 40, truth: int | None = None,
) -> bytes:  # fmt: skip
    """A file whose pixels stand as given; masks stand inside of headers from 52 bytes on, behind shorter ones."""
    if size == 12:
        header = struct.pack("<I4H", 12, width, height, 1, depth)
    else:
        header = struct.pack("<IiiHHIIIIII", size, width, height, 1, depth, packing, len(pixels), 0, 0, colors, 0)
        header = (header[:40] + struct.pack(f"<{len(masks)}I", *masks)).ljust(size, b"\0") if size >= 52 else header
        header = header[:size] + (struct.pack(f"<{len(masks)}I", *masks) if size < 52 else b"")
    at = 14 + len(header) + len(palette)
    return (
        b"BM" + struct.pack("<IHHI", at + len(pixels), 0, 0, at if truth is None else truth) + header + palette + pixels
    )


def read(folder: Path, data: bytes) -> Frame:
    (folder / "in").write_bytes(data)
    header = probe(folder / "in", LIMITS)
    picture = decode(folder / "in", LIMITS)
    frame = picture.frames[0]
    assert (header.bits, header.alpha, header.gray) == (
        picture.bits, frame.alpha is not None, frame.color.shape[2] == 1,
    )  # fmt: skip
    encode(picture, folder / "out")
    again = decode(folder / "out", LIMITS).frames[0]
    assert np.array_equal(again.color, frame.color)
    return frame


def rows(values: np.ndarray, depth: int) -> bytes:
    """Numbers (H, W), first row first, as a file has them: last row first, each padded to 4 bytes."""
    packed = []
    for row in values[::-1]:
        bits = "".join(f"{int(value):0{depth}b}" for value in row) if depth < 8 else ""
        data = (
            int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
            if depth < 8
            else b"".join(int(value).to_bytes(depth // 8, "little") for value in row)
        )
        packed.append(data.ljust(-(-len(data) // 4) * 4, b"\0"))
    return b"".join(packed)


#: Bits per pixel, masks of red, green, blue and alpha.
LAYOUTS = [
    (16, (0xF800, 0x7E0, 0x1F)),
    (16, (0x7C00, 0x3E0, 0x1F)),
    (16, (0xF00, 0xF0, 0xF, 0xF000)),
    (16, (0x7C00, 0x3E0, 0x1F, 0x8000)),
    (16, (0x30, 0xE, 0x1)),
    (16, (0xFF00, 0xFF, 0)),
    (32, (0xFF0000, 0xFF00, 0xFF)),
    (32, (0xFF000000, 0xFF0, 0xFF0000)),
    (32, (0xFF, 0xFF00, 0xFF0000, 0xFF000000)),
    (32, (0xFFE00000, 0x1FFC00, 0x3FF)),
    (32, (0xFC00000, 0x3FFFE0, 0x1F, 0xF0000000)),
]


@pytest.mark.parametrize("size", [40, 52, 56, 108, 124])
@pytest.mark.parametrize(("depth", "masks"), LAYOUTS)
def test_any_masks_are_read_at_their_own_depth(tmp_path: Path, depth: int, masks: tuple[int, ...], size: int) -> None:
    with_alpha = len(masks) == 4
    if size == 52 and with_alpha:
        return  # that header has no fourth mask
    values = np.random.default_rng(depth).integers(0, 1 << depth, (5, 7), dtype=np.uint64)
    values[0, :2] = 0, (1 << depth) - 1
    packing = 6 if with_alpha and size == 40 else 3
    stored = (*masks, 0)[:4] if size >= 56 else masks
    frame = read(tmp_path, bmp(7, 5, depth, rows(values, depth), packing=packing, masks=stored, size=size))
    most = 65535 if max(mask.bit_count() for mask in masks) > 8 else 255
    planes = [frame.color[:, :, at] for at in range(3)] + ([frame.alpha] if with_alpha else [])
    for plane, mask in zip(planes, masks, strict=True):
        assert plane is not None
        shift = (mask & -mask).bit_length() - 1
        full = mask >> max(shift, 0)
        wanted = [
            [round(int(v & mask) / (1 << shift) * most / full) if mask else 0 for v in row] for row in values.tolist()
        ]
        assert np.abs(plane.astype(int) - wanted).max() <= 1, hex(mask)
        if mask:
            assert (plane[0, 0], plane[0, 1]) == (0, most)


@pytest.mark.parametrize("size", [12, 16, 40, 64, 124])
@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_palettes_are_read_under_every_header(tmp_path: Path, depth: int, size: int) -> None:
    random = np.random.default_rng(depth)
    values = random.integers(0, 1 << depth, (3, 9))
    entries = random.integers(0, 256, (1 << depth, 3), dtype=np.uint8)  # BGR
    palette = b"".join(bytes(entry) + (b"" if size == 12 else b"\0") for entry in entries)
    frame = read(tmp_path, bmp(9, 3, depth, rows(values, depth), palette=palette, size=size))
    assert np.array_equal(frame.color, entries[values][:, :, ::-1])


def test_more_palette_than_the_depth_names_is_left_alone(tmp_path: Path) -> None:
    palette = bytes(range(256)) * 5
    values = np.arange(8).reshape(2, 4)
    for colors in (300, 305_402_420):
        frame = read(tmp_path, bmp(4, 2, 8, rows(values, 8), palette=palette, colors=colors))
        assert frame.color[0, 1].tolist() == [6, 5, 4]


def test_an_index_that_no_entry_has_is_black_and_gray_palettes_make_gray(tmp_path: Path) -> None:
    frame = read(tmp_path, bmp(2, 1, 8, b"\1\x09\0\0", palette=b"\x05\x05\x05\0\xfe\xfe\xfe\0", colors=2))
    assert frame.color.tolist() == [[[254], [0]]]


def test_a_negative_height_is_top_down(tmp_path: Path) -> None:
    data = b"\1\2\3\0\4\5\6\0"
    assert read(tmp_path, bmp(1, -2, 24, data)).color[:, 0].tolist() == [[3, 2, 1], [6, 5, 4]]
    assert read(tmp_path, bmp(1, 2, 24, data)).color[:, 0].tolist() == [[6, 5, 4], [3, 2, 1]]


PALETTE = b"".join(bytes((index * 16, 255 - index, index, 0)) for index in range(16))


@pytest.mark.parametrize(
    ("packing", "data", "wanted"),
    [
        (1, b"\3\7\0\0\2\1\1\2\0\1", [[1, 1, 2], [7, 7, 7]]),
        (1, b"\0\3\1\2\3\0\0\0\1\5\0\1", [[5, 0, 0], [1, 2, 3]]),
        (1, b"\1\4\0\2\1\1\1\6\0\1", [[0, 0, 6], [4, 0, 0]]),
        (1, b"\x09\3\0\0\x09\4", [[4, 4, 4], [3, 3, 3]]),
        (2, b"\3\x12\0\0\0\3\x45\x60\0\1", [[4, 5, 6], [1, 2, 1]]),
        (2, b"\2\x12\0\1", [[0, 0, 0], [1, 2, 0]]),
    ],
    ids=["runs and rows", "one by one", "a step", "runs beyond the row", "half bytes", "an early end"],
)
def test_run_lengths_are_laid_down(tmp_path: Path, packing: int, data: bytes, wanted: list[list[int]]) -> None:
    frame = read(tmp_path, bmp(3, 2, 8 // packing, data, packing=packing, palette=PALETTE, colors=16))
    assert frame.color[:, :, 0].tolist() == wanted


@pytest.mark.parametrize(
    "data",
    [
        bmp(3, 2, 24, bytes(20)),
        bmp(3, 2, 8, b"\3\7\0\0", packing=1, palette=PALETTE, colors=16),
        bmp(3, 2, 8, b"\0\5\1", packing=1, palette=PALETTE, colors=16),
        bmp(3, 2, 8, b"\0\2\1", packing=1, palette=PALETTE, colors=16),
    ],
)
def test_a_file_that_ends_early_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "in").write_bytes(data)
    with pytest.raises(ImageRejected, match="broken or truncated"):
        decode(tmp_path / "in", LIMITS)


@pytest.mark.parametrize(
    ("depth", "packing", "masks"), [(16, 3, (0x50, 1, 2)), (16, 3, (1 << 20, 1, 2)), (8, 2, ()), (30, 0, ())]
)
def test_masks_with_gaps_and_unknown_depths_are_refused(
    tmp_path: Path, depth: int, packing: int, masks: tuple[int, ...]
) -> None:
    (tmp_path / "in").write_bytes(bmp(1, 1, depth, bytes(8), packing=packing, masks=masks))
    with pytest.raises(ImageRejected, match="broken or truncated"):
        probe(tmp_path / "in", LIMITS)


@pytest.mark.parametrize(("size", "packing", "named"), [(40, 4, "JPEG data"), (124, 5, "PNG data"), (16, 3, "OS/2")])
def test_other_data_in_a_bmp_is_named(tmp_path: Path, size: int, packing: int, named: str) -> None:
    (tmp_path / "in").write_bytes(bmp(1, 1, 24, bytes(8), packing=packing, size=40 if size == 16 else size))
    if size == 16:  # OS/2's header may stop after any field: here after the compression
        data = bytearray((tmp_path / "in").read_bytes())
        data[14] = 20
        (tmp_path / "in").write_bytes(data)
    with pytest.raises(FormatUnsupported, match=named):
        probe(tmp_path / "in", LIMITS)


def test_pillows_view_of_it_has_the_same_pixels(tmp_path: Path) -> None:
    data = bmp(7, 5, 32, bytes(range(140)), packing=3, masks=(0xFFE00000, 0x1FFC00, 0x3FF))
    frame = read(tmp_path, data)
    with (tmp_path / "in").open("rb") as file:
        _, image = open_image(file, tmp_path / "in")
        assert np.array_equal(np.asarray(image.convert("RGB")), frame.color >> 8)
