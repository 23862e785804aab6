"""The chunks of a PNG, followed without being read."""

import io

import pytest

from jobs.engine.codecs.png.chunks import scan
from jobs.engine.errors import ImageRejected
from tests.jobs.engine.codecs.samples import chunk, png


@pytest.mark.parametrize("length", [1, 1000, 0x7FFFFFFF, 0xFFFFFFFF])
def test_no_span_reaches_beyond_the_file_whatever_the_end_mark_claims(length: int) -> None:
    """A file of 1 kB whose end mark claimed 4 GB had as much memory asked for it."""
    data = bytearray(png())
    at = data.rindex(b"IEND") - 4
    data[at : at + 4] = length.to_bytes(4, "big")
    _, spans = scan(io.BytesIO(data))
    assert spans[-1] == (0, len(data))


@pytest.mark.parametrize("name", [b"IDAT", b"tEXt"])
def test_any_other_chunk_that_claims_more_than_the_file_has_is_a_broken_file(name: bytes) -> None:
    data = png() if name == b"IDAT" else png(chunk(name, b"a\0b"))
    at = data.index(name) - 4
    for length in (1000, 0xFFFFFFFF):
        with pytest.raises(ImageRejected, match="truncated: it ends too early"):
            scan(io.BytesIO(data[:at] + length.to_bytes(4, "big") + data[at + 4 :]))
