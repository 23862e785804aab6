"""Files that were cut short are told from those that are damaged."""

import contextlib
import io
import re
import struct
import warnings
from pathlib import Path

import pillow_heif
import pytest
from PIL import Image

from jobs.engine.codec import decode, encode
from jobs.engine.codecs.probe import probe
from jobs.engine.codecs.truncation import ends_early
from jobs.engine.errors import ImageRejected
from jobs.engine.types import EncodeOptions, Frame, Picture
from tests.jobs.engine.conftest import LIMITS, photo

NAMES = ["png", "jpeg", "webp", "tiff", "gif", "avif", "bmp", "heic"]


def whole(name: str) -> bytes:
    """A file of a photograph."""
    file = io.BytesIO()
    image = Image.fromarray(photo(200, 150))
    if name == "heic":
        pillow_heif.from_pillow(image).save(file)
    else:
        image.save(file, format=name.upper())
    return file.getvalue()


def refusal(path: Path) -> str:
    """The words with which a file is refused; the probe's are the same where it refuses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ImageRejected) as caught:
            decode(path, LIMITS)
        with contextlib.suppress(ImageRejected):
            probe(path, LIMITS)
            return str(caught.value)  # the header is whole
        with pytest.raises(ImageRejected, match=re.escape(str(caught.value))):
            probe(path, LIMITS)
    return str(caught.value)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("share", [0.0, 0.02, 0.1, 0.5, 0.9, 0.99])
def test_a_file_that_was_cut_is_said_to_end_too_early(tmp_path: Path, name: str, share: float) -> None:
    data = whole(name)
    (tmp_path / "in").write_bytes(data[: max(32 if name in ("avif", "heic") else 14, int(len(data) * share))])
    assert refusal(tmp_path / "in") == f"the {name.upper()} file is truncated: it ends too early"


@pytest.mark.parametrize("cut", [3, 4, 20, 21, 200])
def test_a_tiny_jpeg_is_said_to_end_too_early(tmp_path: Path, cut: int) -> None:
    (tmp_path / "in").write_bytes(whole("jpeg")[:cut])
    assert refusal(tmp_path / "in") == "the JPEG file is truncated: it ends too early"


@pytest.mark.parametrize("name", NAMES)
def test_a_whole_file_does_not_end_early(name: str) -> None:
    assert not ends_early(name, io.BytesIO(whole(name)))


@pytest.mark.parametrize("big", [False, True])
def test_a_tiff_whose_pixels_are_cut_off_behind_its_directory_ends_early(tmp_path: Path, *, big: bool) -> None:
    Image.fromarray(photo(200, 150)).save(tmp_path / "in", format="TIFF", compression="raw", big_tiff=big)
    data = (tmp_path / "in").read_bytes()
    assert not ends_early("tiff", io.BytesIO(data))
    assert ends_early("tiff", io.BytesIO(data[: len(data) // 2]))


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_a_jpeg_xl_file_of_boxes_that_was_cut_ends_early(tmp_path: Path, share: float) -> None:
    pytest.importorskip("pylibjxl", reason="pylibjxl has no wheel for this machine")
    encode(Picture("jxl", (Frame(photo(200, 150)),)), tmp_path / "in", EncodeOptions(format="jxl"))
    data = (tmp_path / "in").read_bytes()
    assert not ends_early("jxl", io.BytesIO(data))
    box = struct.pack(">I4s", len(data) + 8, b"free") + bytes(len(data))
    assert ends_early("jxl", io.BytesIO((data + box)[: len(data) + int(share * len(data))]))


@pytest.mark.parametrize("name", ["png", "jpeg", "bmp", "webp"])
def test_a_damaged_file_of_full_length_is_not_said_to_be_cut(tmp_path: Path, name: str) -> None:
    data = bytearray(whole(name))
    places = {"png": 60, "jpeg": 4, "bmp": 14, "webp": 12}
    data[places[name] : places[name] + 12] = b"\x01" * 12
    (tmp_path / "in").write_bytes(data)
    assert "too early" not in refusal(tmp_path / "in")
