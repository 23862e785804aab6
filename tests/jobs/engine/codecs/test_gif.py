"""GIF's blocks: what is damaged, cut off or missing."""

import io
import struct
from pathlib import Path

import pytest
from PIL import Image

from jobs.engine.codecs.probe import probe
from jobs.engine.errors import ImageRejected, ImageTooLarge
from tests.jobs.engine.codecs.samples import read
from tests.jobs.engine.conftest import LIMITS, photo


def animation(count: int = 4) -> bytes:
    frames = [Image.fromarray(photo(24, 16, seed=seed)).quantize(16) for seed in range(count)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=70, optimize=False)
    return file.getvalue()


def images(data: bytes) -> list[int]:
    """Where the frames' descriptors stand, by the specification."""
    at = 13 + (3 << ((data[10] & 7) + 1) if data[10] & 0x80 else 0)
    found = []
    while data[at] != 0x3B:
        if data[at] == 0x2C:
            found.append(at)
            at += 10 + (3 << ((data[at + 9] & 7) + 1) if data[at + 9] & 0x80 else 0) + 1
        else:
            at += 2
        while data[at]:
            at += 1 + data[at]
        at += 1
    return found


def test_frames_before_a_damaged_one_are_kept_and_it_is_said(tmp_path: Path) -> None:
    data = bytearray(animation())
    third = images(bytes(data))[2]
    data[third + 5 : third + 7] = b"\0\0"  # no pixel wide
    made = read(tmp_path, bytes(data))
    assert len(made.frames) == 2
    assert made.notes == ("not kept: frames from number 3 on, which are damaged",)


def test_a_damaged_first_frame_is_a_broken_file(tmp_path: Path) -> None:
    data = bytearray(animation())
    first = images(bytes(data))[0]
    data[first + 5 : first + 7] = b"\0\0"
    with pytest.raises(ImageRejected):
        read(tmp_path, bytes(data))


@pytest.mark.parametrize("left", [0.3, 0.6, 0.9, 0.99])
def test_a_file_that_is_cut_off_has_the_frames_before(tmp_path: Path, left: float) -> None:
    data = animation()
    cut = data[: int(len(data) * left)]
    whole = sum(at < len(cut) for at in images(data)) - 1
    (tmp_path / "in.gif").write_bytes(cut)
    assert probe(tmp_path / "in.gif", LIMITS).frames == max(whole, 1)


def test_frames_are_counted_no_further_than_the_limit(tmp_path: Path) -> None:
    data = animation(2)
    at = images(data)[1]
    (tmp_path / "in.gif").write_bytes(data[:-1] + data[at:-1] * 5000 + b";")
    with pytest.raises(ImageRejected, match="more than 200 frames"):
        probe(tmp_path / "in.gif", LIMITS)


FRAME = b",\0\0\0\0\1\0\1\0\0\2\2D\1\0"


def by_hand(*blocks: bytes) -> bytes:
    """A GIF with a screen of one pixel and two colours."""
    return b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(3) + b"\xff\xff\xff" + b"".join(blocks) + b";"


@pytest.mark.parametrize("sizes", [[(65_535, 65_535)], [(7_000, 7_000)] * 2], ids=["one", "together"])
def test_frames_that_hang_far_over_the_screen_are_refused_unmade(tmp_path: Path, sizes: list[tuple[int, int]]) -> None:
    """A file of 50 bytes made a frame of 4 GB; one of 740 kB kept a processor busy for ten seconds."""
    frames = [b"," + struct.pack("<4H", 0, 0, *size) + b"\0\2\2D\1\0" for size in sizes]
    (tmp_path / "in").write_bytes(by_hand(FRAME, *frames))
    with pytest.raises(ImageTooLarge, match=r"1×1 px, but its frames hang over it and have [\d.]+ megapixels"):
        probe(tmp_path / "in", LIMITS)


@pytest.mark.parametrize("length", [1, 255, 256, 257, 1000])
def test_garbage_between_blocks_is_passed_over(tmp_path: Path, length: int) -> None:
    control = b"!\xf9\4\0\7\0\0\0"
    made = read(tmp_path, by_hand(b"\1" * length, control, FRAME, b"\0" * length, control, FRAME, b"\2" * length))
    assert [frame.duration_ms for frame in made.frames] == [70, 70]
