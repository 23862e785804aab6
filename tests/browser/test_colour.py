"""A browser shows a result in every format as it shows it in PNG: the description of colour means the same."""

import base64
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page

from jobs.engine.codec import encode
from jobs.engine.types import Cicp, EncodeOptions, Frame, Metadata, Picture

P3_XY = (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
DESCRIPTIONS = {
    "nothing": Metadata(),
    "Display P3": Metadata(cicp=Cicp(12, 13)),
    "BT.2020 PQ": Metadata(cicp=Cicp(9, 16)),
    "BT.2020 HLG": Metadata(cicp=Cicp(9, 18)),
    "gamma 1.8": Metadata(gamma=1 / 1.8),
    "linear": Metadata(gamma=1.0),
    "P3 by chromaticities": Metadata(gamma=0.45455, chromaticities=P3_XY),
}
SIDE, PATCH = 8, 8
READ = """image => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  return Array.from(context.getImageData(0, 0, canvas.width, canvas.height).data);
}"""


def shown(page: Page, path: Path, kind: str) -> NDArray[np.int64]:
    """The colours of the patches (8, 8, 3) as the browser draws them, sRGB."""
    data = base64.b64encode(path.read_bytes()).decode()
    page.set_content(f"<img src='data:image/{kind};base64,{data}'>")
    image = page.locator("img")
    page.wait_for_function("document.images[0].complete && document.images[0].naturalWidth > 0")
    values = np.array(image.evaluate(READ), np.int64).reshape(SIDE * PATCH, SIDE * PATCH, 4)
    return values[PATCH // 2 :: PATCH, PATCH // 2 :: PATCH, :3]


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_all_formats_look_alike(page: Page, tmp_path: Path, name: str) -> None:
    patches = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    pixels = np.kron(patches, np.ones((PATCH, PATCH, 1), np.uint8))
    made = replace(Picture("png", (Frame(pixels),)), metadata=DESCRIPTIONS[name])
    seen = {}
    for kind in ("png", "avif", "webp", "jpeg"):
        lossless = kind in ("avif", "webp")
        options = EncodeOptions(format=kind, lossless=lossless, quality=None if kind == "png" else 100)
        encode(made, tmp_path / kind, options)
        seen[kind] = shown(page, tmp_path / kind, kind)
    moved = np.abs(seen["png"] - patches.astype(np.int64)).max()
    assert moved == 0 if name == "nothing" else moved > 15  # the browser heeds the description
    for kind in ("avif", "webp"):
        assert np.abs(seen[kind] - seen["png"]).max() <= 2
    # JPEG rounds to YCbCr first, by 1 or 2; the steepest of these curves (linear, PQ) make that many times as much.
    assert np.abs(seen["jpeg"] - seen["png"]).max() <= (2 if name == "nothing" else 20)
