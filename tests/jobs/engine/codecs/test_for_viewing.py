"""Reading for viewers: the same picture at 8 bit, without OpenCV, which the web process's image does not have."""

import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jobs.engine.codec import decode, encode
from jobs.engine.types import EncodeOptions, Frame, Picture
from tests.jobs.engine.codecs.samples import chunk, png
from tests.jobs.engine.codecs.test_avif import deep_avif
from tests.jobs.engine.codecs.test_deep_animations import deep_apng
from tests.jobs.engine.conftest import LIMITS

#: A transparent colour stands behind the header, at this byte.
BEHIND_HEADER = 33


def keyed_apng(kind: int) -> bytes:
    """An animation of 16 bit whose first frame is of the transparent colour."""
    key = chunk(b"tRNS", struct.pack(">H", 0x1234) * {0: 1, 2: 3}[kind])
    data = deep_apng(kind, hidden=False)
    return data[:BEHIND_HEADER] + key + data[BEHIND_HEADER:]


FILES = {
    "gray": png(bits=16, kind=0),
    "colour": png(bits=16, kind=2),
    "gray, one value transparent": png(chunk(b"tRNS", struct.pack(">H", 0x0007)), bits=16, kind=0),
    "colour, one transparent": png(chunk(b"tRNS", struct.pack(">HHH", 0x0007, 0x0E15, 0x1C23)), bits=16, kind=2),
    "8 bit": png(),
    **{f"animation of kind {kind}": deep_apng(kind, hidden=False) for kind in (0, 2, 4, 6)},
    **{f"animation of kind {kind}, keyed": keyed_apng(kind) for kind in (0, 2)},
    "AVIF of 10 bit": deep_avif(10, 3)[0],
    "AVIF of 12 bit with alpha": deep_avif(12, 4)[0],
}  # fmt: skip


def eight(plane: np.ndarray) -> np.ndarray:
    """Values of 8 or 16 bit as numbers from 0 to 255."""
    return plane.astype(float) / (257 if plane.dtype == np.uint16 else 1)


@pytest.mark.parametrize("data", FILES.values(), ids=FILES.keys())
def test_what_viewers_read_is_the_same_picture(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "in").write_bytes(data)
    whole, viewed = decode(tmp_path / "in", LIMITS), decode(tmp_path / "in", LIMITS, for_viewing=True)
    # The upper 8 bits are up to 1 less than the nearest value; AVIF is converted from YUV by another library.
    bound = 3 if whole.format == "avif" else 1
    for one, other in zip(whole.frames, viewed.frames, strict=True):
        assert one.color.shape == other.color.shape
        assert np.abs(eight(one.color) - eight(other.color)).max() <= bound
        assert (one.alpha is None) == (other.alpha is None)
        if one.alpha is not None and other.alpha is not None:
            assert np.abs(eight(one.alpha) - eight(other.alpha)).max() <= bound


WITHOUT_OPENCV = """
import json, sys
sys.modules["cv2"] = None
from jobs.storage.pyramid.cut import main
main(json.loads(sys.argv[1]))
"""


@pytest.mark.processes
def test_tiles_of_every_format_are_cut_without_opencv(tmp_path: Path) -> None:
    color = np.full((40, 40, 3), 40_000, np.uint16)
    files = dict(FILES)
    for name in ("png", "tiff", "avif"):
        encode(Picture("png", (Frame(color),), depth=16), tmp_path / "made", EncodeOptions(format=name))
        files[name] = (tmp_path / "made").read_bytes()
    for number, (name, data) in enumerate(files.items()):
        (tmp_path / f"{number}").write_bytes(data)
        order = {
            "source": str(tmp_path / f"{number}"), "target": str(tmp_path / "out.zip"), "memory_bytes": 3 << 30,
            "file_bytes": 1 << 30, "limits": {},
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT_OPENCV, json.dumps(order)],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert (done.returncode, done.stdout.strip()) == (0, "{}"), f"{name}: {done.stdout}{done.stderr}"
