"""Forms as clients really send them: any bytes in a part's header, words after the last boundary."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upscaler_site.web.multipart import TolerantMultipart

DELIMITER = b"--edge"


def read(body: bytes, *, size: int = -1) -> bytes:
    stream = io.BufferedReader(TolerantMultipart(io.BytesIO(body), b"edge"))
    if size < 0:
        return stream.read()
    pieces = []
    while piece := stream.read(size):
        assert len(piece) <= size
        pieces.append(piece)
    return b"".join(pieces)


def form(header: bytes, content: bytes) -> bytes:
    return DELIMITER + b"\r\n" + header + b"\r\n\r\n" + content + b"\r\n" + DELIMITER + b"--\r\n"


def test_bytes_of_a_header_that_are_not_utf_8_are_replaced_and_the_content_stays() -> None:
    content = bytes(range(256)) * 3
    got = read(form(b'Content-Disposition: form-data; name="image"; filename="\xe4\xf6.png"', content))
    assert got == form('Content-Disposition: form-data; name="image"; filename="��.png"'.encode(), content)


def test_good_names_stay_as_they_are() -> None:
    body = form('Content-Disposition: form-data; name="image"; filename="ä😀.png"'.encode(), b"x")
    assert read(body) == body


def test_what_follows_the_last_boundary_is_no_part() -> None:
    body = form(b"A: b", b"x")
    assert read(b"a preamble\r\n" + body + b"an epilogue " * 1000) == b"a preamble\r\n" + body


@given(content=st.binary(max_size=300), size=st.integers(1, 40), cut=st.integers(0, 400))
def test_contents_pass_unchanged_in_pieces_of_any_size(content: bytes, size: int, cut: int) -> None:
    body = form(b'Content-Disposition: form-data; name="a"', content)
    assert read(body, size=size) == read(body) or DELIMITER in content
    if DELIMITER not in content:
        assert read(body) == body
        broken = body[:cut]
        # Only the line's end behind the last boundary is always there.
        expected = body if broken.rstrip(b"\r\n").endswith(b"--edge--") else broken
        assert read(broken) == expected, "a body that breaks off is handed on as it is"


def test_a_large_content_is_not_held_in_memory() -> None:
    class Endless(io.RawIOBase):
        given = 0

        def read(self, size: int = -1) -> bytes:
            self.given += size
            return b"x" * size

    source = Endless()
    stream = io.BufferedReader(TolerantMultipart(source, b"edge"))  # type: ignore[arg-type]
    for _ in range(50):
        assert len(stream.read(100_000)) == 100_000
    assert source.given < 50 * 100_000 + 1_000_000


@pytest.mark.parametrize("length", [100, 20_000])
def test_a_header_without_end_is_handed_on(length: int) -> None:
    body = DELIMITER + b"\r\n" + b"h" * length
    assert read(body) == body
