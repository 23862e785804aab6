"""Parity with the original package, run for real. Skipped, with the way to get it, where it is not installed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from jobs.engine.backends import reference_imports
from jobs.engine.codec import decode
from jobs.engine.errors import Cancelled, WeightsRejected
from jobs.engine.types import Backend, Frame, GainMap, Picture, UpscaleOptions, Weights
from modelstore.networks.rrdbnet import RRDBNet
from tests.jobs.engine.conftest import LIMITS, difference, photo, picture, save_network, seeded, upscaler

pytestmark = pytest.mark.skipif(
    not reference_imports.available(), reason=f"no realesrgan package: {reference_imports.HOW_TO_INSTALL}"
)


#: Each backend is held against one computation of the reference, which takes the most of the time.
BACKENDS: tuple[Backend, ...] = ("torch", "openvino", "winograd")


def part(shot: Picture, side: int) -> Picture:
    """The middle of a still: parity is a matter of pixels, not of how many there are."""
    frame = shot.frames[0]
    top, left = max(0, (shot.height - side) // 2), max(0, (shot.width - side) // 2)
    here = np.s_[top : top + side, left : left + side]
    color: Any = np.ascontiguousarray(frame.color[here])
    alpha: Any = None if frame.alpha is None else np.ascontiguousarray(frame.alpha[here])
    return replace(shot, frames=(replace(frame, color=color, alpha=alpha),))


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("bits", [8, 16])
def test_dense_networks_equal_the_reference(tmp_path: Path, scale: int, bits: int) -> None:
    weights = save_network(
        tmp_path / "n.pth", seeded(lambda: RRDBNet(features=16, growth=8, blocks=1, unshuffle=4 // scale))
    )
    shots = [picture(photo(width, height, bits=bits)) for width, height in ((37, 29), (40, 32))]
    wanted = [upscaler("reference").upscale(shot, weights) for shot in shots]
    for backend in BACKENDS:
        engine = upscaler(backend)
        for shot, (theirs, report) in zip(shots, wanted, strict=True):
            ours, _ = engine.upscale(shot, weights, UpscaleOptions(precision="fp32"))
            assert report.backend == "reference"
            assert difference(ours.frames[0].color, theirs.frames[0].color) <= (1 if bits == 8 else 8)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["0014.jpg", "0030.jpg", "ADE_val_00000114.jpg", "wolf_gray.jpg", "00003.png", "00017_gray.png"]
)
def test_real_pictures_through_genuine_weights_equal_the_reference(
    shared_dir: Path, real_weights: Path, name: str
) -> None:
    shot = part(decode(shared_dir / "images" / name, LIMITS), 160)
    weights = Weights("realesr-animevideov3", real_weights)
    theirs, _ = upscaler("reference").upscale(shot, weights, UpscaleOptions(tile_size=0))
    for backend in BACKENDS:
        ours, _ = upscaler(backend).upscale(shot, weights, UpscaleOptions(precision="fp32"))
        assert difference(ours.frames[0].color, theirs.frames[0].color) <= 1
        assert np.mean(ours.frames[0].color != theirs.frames[0].color) < 1e-3


@pytest.mark.slow
def test_alpha_equals_the_reference_and_colour_does_where_it_is_visible(shared_dir: Path, real_weights: Path) -> None:
    """The reference mixes hidden colours into edges; far from them both are the same."""
    shot = part(decode(shared_dir / "images" / "tree_alpha_16bit.png", LIMITS), 200)
    weights = Weights("realesr-animevideov3", real_weights)
    theirs = upscaler("reference").upscale(shot, weights, UpscaleOptions(tile_size=0))[0].frames[0]
    ours = upscaler().upscale(shot, weights, UpscaleOptions(precision="fp32"))[0].frames[0]
    source = shot.frames[0].alpha
    assert ours.alpha is not None
    assert theirs.alpha is not None
    assert source is not None
    assert np.abs(ours.alpha.astype(int) - theirs.alpha.astype(int)).max() <= 257  # one step of 8 bit: noise removed
    visible = source > 0
    reach = 18  # the network's receptive radius
    square = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    inner = cv2.erode(visible.astype(np.uint8), square, borderType=cv2.BORDER_CONSTANT, borderValue=0) > 0
    where = np.kron(inner, np.ones((4, 4), bool)) & (ours.alpha > 0)  # under full transparency ours is black
    assert where.any()
    assert np.abs(ours.color.astype(int) - theirs.color.astype(int))[where].max() <= 8


@pytest.mark.slow
def test_the_reference_counts_tiles_and_stops_when_told(tmp_path: Path) -> None:
    weights = save_network(tmp_path / "n.pth", seeded(lambda: RRDBNet(features=8, growth=4, blocks=1)))
    alpha = photo(60, 50, channels=1, seed=3)[:, :, 0]
    seen: list[tuple[int, int]] = []
    _, report = upscaler("reference").upscale(
        picture(photo(60, 50), alpha), weights, UpscaleOptions(tile_size=32), lambda d, t: seen.append((d, t))
    )
    assert seen == [(index + 1, 12) for index in range(12)]
    assert report.tiles == 12

    def stop(done: int, total: int) -> None:
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        upscaler("reference").upscale(picture(photo(60, 50)), weights, UpscaleOptions(tile_size=32), stop)


def test_the_reference_says_what_it_does_worse(tmp_path: Path) -> None:
    weights = save_network(tmp_path / "n.pth", seeded(lambda: RRDBNet(features=8, growth=4, blocks=1)))
    dark = (photo(20, 20) // 2).astype(np.uint16)
    _, report = upscaler("reference").upscale(picture(dark), weights, UpscaleOptions(outscale=6.0))
    assert any("8-bit" in note for note in report.notes)
    assert any("interpolates" in note for note in report.notes)


def test_a_gain_map_grows_beside_the_references_picture(tmp_path: Path) -> None:
    weights = save_network(tmp_path / "n.pth", seeded(lambda: RRDBNet(features=8, growth=4, blocks=1)))
    light = GainMap(Frame(color=photo(10, 6, channels=1)), xmp=b"parameters")
    shot = replace(picture(photo(20, 12)), gain_map=light)
    made, _ = upscaler("reference").upscale(shot, weights, UpscaleOptions(outscale=2.0))
    assert made.gain_map is not None
    assert made.gain_map.frame.color.shape == (12, 20, 1)


def test_what_the_reference_cannot_load_is_refused(compact: Weights, tmp_path: Path) -> None:
    (tmp_path / "n.pth").write_bytes(b"junk")
    with pytest.raises(WeightsRejected):
        upscaler("reference").upscale(picture(photo(20, 20)), Weights("n", tmp_path / "n.pth"))


@pytest.mark.parametrize("outscale", [1.5, 2.0, 4.0])
def test_sizes_are_the_references(compact: Weights, outscale: float) -> None:
    for width, height in ((33, 21), (11, 13)):
        shot = picture(photo(width, height))
        theirs, _ = upscaler("reference").upscale(shot, compact, UpscaleOptions(outscale=outscale))
        ours, _ = upscaler().upscale(shot, compact, UpscaleOptions(outscale=outscale))
        assert (ours.width, ours.height) == (theirs.width, theirs.height)
