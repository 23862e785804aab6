"""Segments of JPEG files, whole and broken."""

import io

import numpy as np
import pytest
from PIL import Image

from jobs.engine.codecs.jpeg.segments import APP1, COM, ROOM, before_pixels, compose, end_of_image
from tests.jobs.engine.conftest import photo


def jpeg(**settings: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(photo(40, 30)).save(stream, "JPEG", **settings)
    return stream.getvalue()


def test_application_segments_and_comments_come_in_the_files_order() -> None:
    data = jpeg()
    data = data[:2] + b"".join(compose(COM, each) for each in (b"one", b"", b"two")) + data[2:]
    found = [(one.marker, one.content) for one in before_pixels(io.BytesIO(data)) if one.marker == COM]
    assert found == [(COM, b"one"), (COM, b""), (COM, b"two")]


def test_a_segments_place_is_where_its_content_stands() -> None:
    data = jpeg(xmp=b"<x/>", comment=b"hello")
    for one in before_pixels(io.BytesIO(data)):
        assert data[one.at : one.at + len(one.content)] == one.content


def test_fill_bytes_and_rubbish_between_segments_are_skipped_as_decoders_do() -> None:
    data = jpeg()
    data = data[:2] + b"\xff\xff" + compose(COM, b"one") + b"rubbish" + compose(COM, b"two") + data[2:]
    assert [one.content for one in before_pixels(io.BytesIO(data)) if one.marker == COM] == [b"one", b"two"]


def test_the_position_of_the_file_is_restored() -> None:
    file = io.BytesIO(jpeg())
    file.seek(7)
    before_pixels(file)
    assert file.tell() == 7


def test_a_file_that_breaks_off_gives_what_is_whole() -> None:
    data = jpeg(comment=b"hello" * 100)
    whole = [one.content for one in before_pixels(io.BytesIO(data))]
    for length in range(len(data)):
        some = [one.content for one in before_pixels(io.BytesIO(data[:length]))]
        assert some == whole[: len(some)]


@pytest.mark.parametrize("settings", [{}, {"progressive": True}, {"restart_marker_blocks": 1}, {"quality": 1}])
def test_the_end_of_an_image_is_found_past_thumbnails_and_restarts(settings: dict[str, object]) -> None:
    data = jpeg(exif=b"Exif\0\0" + jpeg(), **settings)
    assert end_of_image(data + b"more\xff\xd9", 0) == len(data)
    assert end_of_image(b"before" + data, 6) == 6 + len(data)
    assert end_of_image(data[:-2], 0) is None
    assert end_of_image(data, 1) is None


def test_a_long_run_of_one_byte_costs_no_more_than_its_length() -> None:
    """Patterns that try again at each byte take minutes here, and the test's time limit ends them."""
    for byte in (b"\xff", b"\0", b"\xff\0", b"\xff\xd0"):
        assert end_of_image(b"\xff\xd8" + byte * 5_000_000, 0) is None


def test_a_segment_that_is_too_long_is_refused() -> None:
    assert len(compose(APP1, bytes(ROOM))) == ROOM + 4
    with pytest.raises(ValueError, match="more than a JPEG segment holds"):
        compose(APP1, bytes(ROOM + 1))


def test_random_bytes_are_read_to_an_end() -> None:
    random = np.random.default_rng(1)
    for _ in range(200):
        data = b"\xff\xd8" + random.integers(0, 256, 500, np.uint8).tobytes().replace(b"\0", b"\xff")
        assert all(one.at + len(one.content) <= len(data) for one in before_pixels(io.BytesIO(data)))
        end_of_image(data, 0)
