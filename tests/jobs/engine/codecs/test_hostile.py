"""Small files that made much work: what is bounded, and that it is said."""

import io
import struct
from pathlib import Path

import pytest
from PIL import Image

from jobs.engine.codec import decode, encode
from jobs.engine.codecs.metadata.carry import carried
from jobs.engine.codecs.probe import probe
from jobs.engine.codecs.tiff import directories
from jobs.engine.errors import ImageRejected
from jobs.engine.types import EncodeOptions, Metadata, Text, Written
from tests.jobs.engine.codecs.samples import chunk, png
from tests.jobs.engine.conftest import LIMITS


def jpeg(segments: bytes) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (16, 16)).save(stream, "JPEG")
    return stream.getvalue()[:2] + segments + stream.getvalue()[2:]


@pytest.mark.parametrize("segment", [b"\xff\xe5\0\2", b"\xff\xfe\0\3x", b"\xff\xff\xfe\0\3x"])
def test_a_jpeg_with_more_segments_than_any_program_writes_is_refused(tmp_path: Path, segment: bytes) -> None:
    (tmp_path / "in").write_bytes(jpeg(segment * 10_001))
    with pytest.raises(ImageRejected, match="more than 10000 segments"):
        probe(tmp_path / "in", LIMITS)


@pytest.mark.parametrize("name", ["png", "jpeg", "webp"])
def test_texts_behind_the_thousandth_are_left_out_and_counted(tmp_path: Path, name: Written) -> None:
    (tmp_path / "jpeg").write_bytes(jpeg(b"".join(b"\xff\xfe\0\6%04d" % number for number in range(1500))))
    (tmp_path / "png").write_bytes(png(b"".join(chunk(b"tEXt", b"k%d\0v" % number) for number in range(1500))))
    for source in ("jpeg", "png"):
        made = decode(tmp_path / source, LIMITS)
        assert made.notes == ("not kept: 500 texts behind the first 1000",)
        encode(made, tmp_path / "out", EncodeOptions(format=name))
        assert len(decode(tmp_path / "out", LIMITS).metadata.texts) == 1000


class Incomparable(Text):
    def __eq__(self, _: object) -> bool:
        raise AssertionError("each text was compared with each other one")

    __hash__ = Text.__hash__


@pytest.mark.parametrize("name", ["jpeg", "tiff", "webp", "avif"])
def test_texts_are_not_compared_with_each_other(name: Written) -> None:
    texts = (Incomparable("a", "b"), Incomparable("Comment", "c"), Incomparable("d", "e"))
    meta, notes = carried(Metadata(texts=texts), name)
    assert notes == ()
    assert [text.value for text in meta.texts] == (["c"] if name == "jpeg" else [])


@pytest.mark.parametrize("subs", [False, True])
def test_tiff_directories_that_overlap_come_to_an_end(*, subs: bool) -> None:
    """10,000 directories of 4,096 entries each within 170 kB: each is 6 bytes behind the one before."""
    count, length = 10_000, 2 + 12 * 4096
    data = bytearray(16 + 6 * 2 * count + length)
    data[:8] = b"II*\0" + struct.pack("<I", 8)
    if subs:  # the first has the others as its sub-directories, over and over
        struct.pack_into("<HHHII", data, 8, 4096, 330, 4, 8, len(data))
        data += struct.pack("<8I", *range(14, 62, 6))
    for number in range(1 if subs else 0, count):
        struct.pack_into("<H", data, 8 + 6 * number, 4096)
    for number in range(count):
        struct.pack_into("<I", data, 8 + 6 * number + length, 8 + 6 * (number + 1))
    assert len(directories.read(io.BytesIO(data)).pages) <= len(data) // length + 1
