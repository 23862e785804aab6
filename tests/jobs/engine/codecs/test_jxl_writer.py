"""JPEG XL written: pixels, colour and quality, as another package reads them; and what it cannot hold."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jobs.engine.codec import decode, encode
from jobs.engine.codecs import jxl_writer
from jobs.engine.codecs.color.description import profile_of_cicp
from jobs.engine.codecs.jxl import whole_codestream
from jobs.engine.errors import FormatUnsupported
from jobs.engine.types import Cicp, EncodeOptions, Frame, Metadata, Picture
from tests.jobs.engine.codecs.samples import read
from tests.jobs.engine.conftest import LIMITS, photo

pytest.importorskip("pylibjxl", reason="pylibjxl has no wheel for this machine")
pytest.importorskip("pillow_jxl", reason="pillow-jxl-plugin is not installed")

LOSSLESS = EncodeOptions(format="jxl", lossless=True)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (7, 300), (60, 40)])
def test_lossless_pixels_come_back(tmp_path: Path, channels: int, size: tuple[int, int]) -> None:
    pixels = photo(*size, channels=channels)
    colors = 1 if channels < 3 else 3
    alpha = np.maximum(pixels[:, :, -1], 1) if channels in (2, 4) else None  # what cannot be seen need not be kept
    encode(Picture("png", (Frame(pixels[:, :, :colors].copy(), alpha),)), tmp_path / "out.jxl", LOSSLESS)
    frame = decode(tmp_path / "out.jxl", LIMITS).frames[0]
    assert np.array_equal(np.broadcast_to(pixels[:, :, :colors], frame.color.shape), frame.color)
    assert (frame.alpha is None) == (alpha is None)
    assert alpha is None or np.array_equal(frame.alpha, alpha)  # type: ignore[arg-type]  # both are there
    with Image.open(tmp_path / "out.jxl") as image:
        assert image.size == size


@pytest.mark.parametrize("channels", [1, 3])
def test_the_profile_is_there_for_other_readers(tmp_path: Path, channels: int) -> None:
    profile = profile_of_cicp(Cicp(12, 13) if channels == 3 else Cicp(1, 16), channels)
    made = Picture("png", (Frame(photo(40, 30, channels=channels)),), Metadata(icc=profile))
    for options in (LOSSLESS, EncodeOptions(format="jxl", quality=80)):
        encode(made, tmp_path / "out.jxl", options)
        with Image.open(tmp_path / "out.jxl") as image:
            image.load()
            assert image.info["icc_profile"] == profile


def test_quality_is_nearness_and_size(tmp_path: Path) -> None:
    smooth = np.asarray(Image.fromarray(photo(30, 20)).resize((300, 200), Image.Resampling.BICUBIC)).copy()
    sizes, errors = [], []
    for quality in (1, 29, 30, 60, 90, 100):
        encode(Picture("png", (Frame(smooth),)), tmp_path / "out.jxl", EncodeOptions(format="jxl", quality=quality))
        sizes.append((tmp_path / "out.jxl").stat().st_size)
        errors.append(float(np.abs(decode(tmp_path / "out.jxl", LIMITS).frames[0].color.astype(int) - smooth).mean()))
    assert sizes == sorted(sizes)
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1


def test_quality_means_what_libjxl_means_by_it() -> None:
    assert [jxl_writer.distance(quality) for quality in (100, 90, 30)] == pytest.approx([0.1, 1.0, 6.4])
    assert jxl_writer.distance(1) == pytest.approx(23.87, abs=0.01)
    every = [jxl_writer.distance(quality) for quality in range(1, 101)]
    assert every == sorted(every, reverse=True)
    assert min(every) > 0, "0 is lossless"


def test_what_it_cannot_hold_is_refused_by_name(tmp_path: Path) -> None:
    deep = Picture("png", (Frame(photo(8, 8, bits=16)),))
    moving = Picture("png", tuple(Frame(photo(8, 8, seed=seed), duration_ms=40) for seed in range(2)))
    for made, reason in ((deep, "8 bit per channel"), (moving, "no animation")):
        with pytest.raises(FormatUnsupported, match=reason):
            encode(made, tmp_path / "out.jxl", EncodeOptions(format="jxl"))
        assert encode(Picture("jxl", made.frames), tmp_path / "out", EncodeOptions()).format == "png"


def test_without_the_package_it_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jxl_writer, "installed", lambda: False)
    made = Picture("jxl", (Frame(photo(8, 8)),))
    with pytest.raises(FormatUnsupported, match="pylibjxl is installed"):
        encode(made, tmp_path / "out", EncodeOptions(format="jxl"))
    assert encode(made, tmp_path / "out", EncodeOptions()).format == "png"


def test_a_codestream_is_found_in_any_container(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.fromarray(photo(40, 30)).save(stream, "JXL", lossless=True, use_container=False)
    bare = stream.getvalue()
    assert whole_codestream(bare) == bare
    half = len(bare) // 2
    pieces = [b"\0\0\0\0" + bare[:half], b"\x80\0\0\1" + bare[half:]]
    boxes = b"".join((8 + len(piece)).to_bytes(4, "big") + b"jxlp" + piece for piece in pieces)
    container = b"\0\0\0\x0cJXL \r\n\x87\n" + b"\0\0\0\x14ftypjxl \0\0\0\0jxl " + boxes
    assert whole_codestream(container) == bare
    assert np.array_equal(read(tmp_path, container).frames[0].color, photo(40, 30))
    with pytest.raises(ValueError, match="no codestream"):
        whole_codestream(container[:32])
