"""Big-endian BigTIFF as a classic TIFF: what stands beside the pixels, and files that are made to hurt."""

import io
import struct
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jobs.engine.codec import decode
from jobs.engine.codecs.tiff.big_endian import as_classic
from jobs.engine.errors import FormatUnsupported, ImageRejected
from tests.jobs.engine.codecs.samples import SRGB
from tests.jobs.engine.codecs.tiff.made import RGB, Page, tiff
from tests.jobs.engine.conftest import LIMITS, photo


def directory(*entries: tuple[int, int, int, bytes], following: int = 0) -> bytes:
    """A BigTIFF's directory of entries (tag, type, count, the field's eight bytes)."""
    rows = b"".join(struct.pack(">HHQ", *entry[:3]) + entry[3].ljust(8, b"\0") for entry in entries)
    return struct.pack(">Q", len(entries)) + rows + struct.pack(">Q", following)


def header(first: int) -> bytes:
    return b"MM" + struct.pack(">HHHQ", 43, 8, 0, first)


def test_profile_xmp_density_and_exif_come_along(tmp_path: Path) -> None:
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"
    page = Page(photo(21, 19), RGB, more={34675: (1, list(SRGB)), 700: (1, list(xmp)), 296: (3, [2]), 34665: (16, [0])})
    data = bytearray(tiff(page, order=">", big=True))
    at = data.rindex(struct.pack(">HHQ", 34665, 16, 1))
    struct.pack_into(">Q", data, at + 12, len(data))
    data += directory(
        (36867, 2, 20, struct.pack(">Q", len(data) + 8 + 2 * 20 + 8)), (33437, 5, 1, struct.pack(">II", 28, 10))
    )
    data += b"2026:11:27 12:00:00\0"
    (tmp_path / "in.tif").write_bytes(data)
    made = decode(tmp_path / "in.tif", LIMITS)
    assert np.array_equal(made.frames[0].color, photo(21, 19))
    assert made.metadata.icc == SRGB
    assert made.metadata.xmp is not None
    exif = Image.Exif()
    exif.load(made.metadata.exif or b"")
    assert exif.get_ifd(34665) == {36867: "2026:11:27 12:00:00", 33437: 2.8}


def test_values_that_point_behind_the_file_are_broken(tmp_path: Path) -> None:
    for entry in ((273, 16, 1000, struct.pack(">Q", 16)), (273, 3, 1 << 40, b""), (700, 1, 99, b"\xff" * 8)):
        (tmp_path / "in.tif").write_bytes(header(16) + directory(entry))
        with pytest.raises(ImageRejected, match=r"broken or truncated|ends too early"):
            decode(tmp_path / "in.tif", LIMITS)
    for first in (0, 3, 15, 400, 1 << 63):
        (tmp_path / "in.tif").write_bytes(header(first) + directory())
        with pytest.raises(ImageRejected):
            decode(tmp_path / "in.tif", LIMITS)


def test_an_offset_beyond_four_gigabytes_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "in.tif").write_bytes(header(16) + directory((273, 16, 1, struct.pack(">Q", 1 << 32))))
    with pytest.raises(FormatUnsupported, match="larger than 4 GB; in little-endian order such are read"):
        decode(tmp_path / "in.tif", LIMITS)


def test_directories_in_a_circle_and_within_each_other_come_to_an_end() -> None:
    nested = (330, 16, 1, struct.pack(">Q", 16))  # itself
    made = as_classic(io.BytesIO(header(16) + directory(nested, following=16)))
    assert made[:4] == b"MM\0*"
    deep = b"".join(
        directory((330, 16, 1, struct.pack(">Q", 16 + 36 * (number + 1)))) for number in range(2000)
    ) + directory()  # fmt: skip
    with pytest.raises((RecursionError, SyntaxError)):
        as_classic(io.BytesIO(header(16) + deep))


def test_values_that_overlap_are_not_copied_over_and_over() -> None:
    """4,096 entries that all name the same megabyte: 4 GB, were each written anew."""
    entries = [(1000 + number, 16, 100_000, struct.pack(">Q", 200_000)) for number in range(4096)]
    data = header(16) + directory(*entries)
    start = time.process_time()
    with pytest.raises(SyntaxError, match="overlap"):
        as_classic(io.BytesIO(data.ljust(1_200_000, b"\0")))
    assert time.process_time() - start < 1
