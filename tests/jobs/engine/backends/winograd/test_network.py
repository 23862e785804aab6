"""The kernels' pixels are torch's, whatever the network, the window and the instruction set."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from math import inf, log10
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from jobs.engine.backends.base import Block, Network, Window
from jobs.engine.backends.device import ComputeDevice
from jobs.engine.backends.torch_backend import TorchNetwork
from jobs.engine.backends.winograd.library import Library
from jobs.engine.backends.winograd.network import WinogradNetwork
from jobs.engine.tiling.cost import network_bytes
from modelstore.networks.checkpoint import load as load_checkpoint
from modelstore.networks.deduce import deduce
from modelstore.networks.rrdbnet import RRDBNet
from modelstore.networks.spec import NetworkSpec
from modelstore.networks.srvgg import SRVGGNetCompact
from tests.jobs.engine.conftest import photo, seeded

CPU = ComputeDevice(device="cpu", name="CPU", backend="winograd", precision="fp32")
FULL = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}

COMPACT = [
    *(
        partial(SRVGGNetCompact, features=features, convolutions=convolutions, scale=scale)
        for features, convolutions, scale in [
            (64, 16, 4), (64, 2, 2), (48, 1, 3), (33, 2, 1), (24, 0, 4), (16, 3, 8), (8, 1, 2), (7, 2, 3), (1, 1, 2),
        ]
    ),
    *(partial(SRVGGNetCompact, in_channels=1, out_channels=1, features=13, convolutions=2, scale=s) for s in (1, 2, 4)),
]  # fmt: skip
DENSE = [
    *(
        partial(RRDBNet, features=features, growth=growth, blocks=blocks, unshuffle=unshuffle, doublings=doublings)
        for features, growth, blocks, unshuffle, doublings in [
            (64, 32, 2, 1, 2), (64, 32, 1, 2, 2), (64, 32, 1, 4, 2), (32, 16, 3, 1, 1), (33, 17, 1, 1, 2),
            (8, 4, 2, 2, 1), (5, 3, 1, 1, 3), (3, 1, 1, 1, 0), (16, 24, 1, 1, 0), (48, 8, 1, 2, 3),
        ]
    ),
    partial(RRDBNet, channels=1, features=8, growth=4, blocks=1),
]  # fmt: skip


def named(make: Any) -> str:
    return f"{make.func.__name__}-" + "-".join(f"{key}{value}" for key, value in make.keywords.items())


def lively(make: Callable[[], nn.Module]) -> tuple[nn.Module, NetworkSpec]:
    """A seeded network whose result fills the range; RRDBNet's own initialisation gives almost one colour.

    The slopes of its activations are below 0, between, and above 1.
    """
    network = seeded(make).requires_grad_(False)
    for module in network.modules():
        if isinstance(module, nn.PReLU):
            module.weight.copy_(torch.linspace(-0.5, 1.5, module.num_parameters))
    if isinstance(network, RRDBNet):
        side = 8 * network.unshuffle
        raw = network(torch.rand(1, network.conv_last.out_channels, side, side))
        network.conv_last.weight *= 0.2 / raw.std()
        network.conv_last.bias += 0.5 - raw.mean() * 0.2 / raw.std()
    return network, deduce(network.state_dict())


def whole(pixels: NDArray[Any], spec: NetworkSpec, dtype: str = "uint8") -> Window:
    height, width = (side * spec.scale for side in pixels.shape[:2])
    return Window(pixels, top=0, left=0, height=height, width=width, dtype=np.dtype(dtype))


def one(network: Network, window: Window) -> Block:
    return next(iter(network.run([window])))


def exact(network: nn.Module, spec: NetworkSpec) -> TorchNetwork:
    return TorchNetwork(network, spec, CPU)


def apart(made: NDArray[Any], wanted: NDArray[Any]) -> tuple[float, float]:
    """Return (PSNR in dB, the largest difference in steps of 8 bit)."""
    assert made.shape == wanted.shape
    assert made.dtype == wanted.dtype
    gap = (made.astype(np.float64) - wanted.astype(np.float64)) / FULL[made.dtype.name]
    error = float(np.mean(gap**2))
    return (10 * log10(1 / error) if error else inf), float(np.abs(gap).max()) * 255


@pytest.mark.parametrize("make", [*COMPACT, *DENSE], ids=named)
def test_every_network_gives_torchs_pixels(make: Callable[[], nn.Module], library: Library) -> None:
    network, spec = lively(make)
    ours, theirs = WinogradNetwork(network, spec, CPU, library), exact(network, spec)
    for height, width in ((26, 33), (8, 12), (1, 1)):
        pixels = photo(width * spec.unshuffle, height * spec.unshuffle)
        made, wanted = (one(each, whole(pixels, spec, "float32")) for each in (ours, theirs))
        assert made.finite
        assert made.notes == ()
        assert width == 1 or wanted.pixels.std() > 0.02, "nothing to be seen"
        decibels, _ = apart(made.pixels, wanted.pixels)
        assert decibels >= 100  # of rounding; a wrong border, slope or channel gives less than 60
        rounded = [one(each, whole(pixels, spec)).pixels for each in (ours, theirs)]
        decibels, worst = apart(*rounded)
        assert decibels >= 80 or (rounded[0] != rounded[1]).sum() <= 2  # of few pixels one that is rounded up is much
        assert worst <= 1


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("own", [1, 3])
def test_every_kind_of_window_gives_torchs_pixels(best: Library, bits: int, channels: int, own: int) -> None:
    network, spec = lively(partial(RRDBNet, channels=own, features=8, growth=4, blocks=1, unshuffle=2))
    ours, theirs = WinogradNetwork(network, spec, CPU, best), exact(network, spec)
    pixels = photo(38, 22, channels=channels, bits=bits)[2:20, 4:36]  # rows that do not follow upon each other
    for dtype in ("uint8", "uint16", "float32"):
        for window in (
            whole(pixels, spec, dtype),
            Window(pixels, top=3, left=5, height=21, width=30, dtype=np.dtype(dtype)),
            Window(np.ascontiguousarray(pixels[::-1])[::-1], top=0, left=63, height=36, width=1, dtype=np.dtype(dtype)),
        ):
            made, wanted = one(ours, window), one(theirs, window)
            assert made.finite
            if dtype == "uint16":
                assert np.abs(made.pixels.astype(int) - wanted.pixels.astype(int)).max() <= 2
            else:
                assert apart(made.pixels, wanted.pixels)[1] <= (1 if dtype == "uint8" else 0.01)


def test_windows_of_many_sizes_follow_each_other_in_the_same_memory(best: Library) -> None:
    network, spec = lively(partial(RRDBNet, features=16, growth=8, blocks=1))
    ours, theirs = WinogradNetwork(network, spec, CPU, best), exact(network, spec)
    sizes = [(40, 40), (7, 3), (33, 41), (1, 64), (64, 1), (40, 40)]
    windows = [whole(photo(width, height), spec, "float32") for height, width in sizes]
    for made, wanted in zip(ours.run(windows), theirs.run(windows), strict=True):
        assert apart(made.pixels, wanted.pixels)[1] < 0.01
    assert ours.release()
    assert not ours.release()
    assert apart(one(ours, windows[0]).pixels, one(theirs, windows[0]).pixels)[1] < 0.01


def test_numbers_that_overflow_in_the_transform_are_computed_by_torch_and_this_is_said(best: Library) -> None:
    network, spec = lively(partial(SRVGGNetCompact, features=8, convolutions=1, scale=2))
    state = network.state_dict()
    state["body.0.weight"] *= 2e38  # its layer's numbers are finite, twenty of them together are not
    state["body.2.weight"] *= 5e-39
    window = whole(photo(20, 20), spec)
    wanted = one(exact(network, spec), window)
    assert wanted.finite
    made = one(WinogradNetwork(network, spec, CPU, best), window)
    assert made.finite
    assert np.array_equal(made.pixels, wanted.pixels)
    assert any("computed by torch" in note for note in made.notes)


def test_what_overflows_everywhere_is_not_finite(best: Library) -> None:
    network, spec = lively(partial(SRVGGNetCompact, features=8, convolutions=1, scale=2))
    network.state_dict()["body.0.weight"].fill_(3e38)
    assert not one(WinogradNetwork(network, spec, CPU, best), whole(photo(20, 20), spec)).finite


def test_many_callers_at_once_get_their_own_pixels(best: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    made = [
        WinogradNetwork(*lively(partial(SRVGGNetCompact, features=8, convolutions=2, scale=2)), CPU, best),
        WinogradNetwork(*lively(partial(RRDBNet, features=8, growth=4, blocks=1)), CPU, best),
    ]
    work = [(made[n % 2], whole(photo(30 + n, 20 + 3 * n, seed=n), made[n % 2].spec)) for n in range(16)]
    wanted = [one(network, window).pixels for network, window in work]
    with ThreadPoolExecutor(8) as callers:
        for _ in range(3):
            got = list(callers.map(lambda each: one(*each).pixels, work))
            assert all(np.array_equal(*pair) for pair in zip(got, wanted, strict=True))


def test_threads_change_no_bit(best: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    network, spec = lively(partial(RRDBNet, features=8, growth=4, blocks=1))
    ours = WinogradNetwork(network, spec, CPU, best)
    window = whole(photo(50, 40), spec, "float32")
    results = []
    for count in (1, 2, 5):
        monkeypatch.setattr(torch, "get_num_threads", lambda count=count: count)
        results.append(one(ours, window).pixels)
    assert np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])


def _in_a_child(ours: WinogradNetwork, window: Window, wanted: NDArray[Any]) -> None:
    assert np.array_equal(ours.compute(window).pixels, wanted)


@pytest.mark.processes
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork")
def test_a_forked_child_computes_with_threads_of_its_own(best: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    network, spec = lively(partial(SRVGGNetCompact, features=8, convolutions=2, scale=2))
    ours = WinogradNetwork(network, spec, CPU, best)
    window = whole(photo(60, 60), spec)
    wanted = one(ours, window).pixels
    child = multiprocessing.get_context("fork").Process(target=_in_a_child, args=(ours, window, wanted))
    child.start()
    child.join(240)
    assert child.exitcode == 0


@pytest.mark.parametrize(
    "make", [RRDBNet, partial(RRDBNet, blocks=6), partial(RRDBNet, unshuffle=2), SRVGGNetCompact], ids=str
)
def test_memory_stays_under_what_is_planned(best: Library, make: Callable[[], nn.Module]) -> None:
    if isinstance(make, type) and make is RRDBNet:
        make = partial(RRDBNet, blocks=1)  # 23 blocks share the planes of one
    network, spec = lively(make)
    ours = WinogradNetwork(network, spec, CPU, best)
    one(ours, whole(photo(128, 128), spec))
    assert ours._arena is not None
    assert ours._arena.nbytes < network_bytes(spec, 128 * 128) + 4_000_000 * torch.get_num_threads()


def test_a_window_beyond_memory_is_told_as_such_and_the_next_one_goes_on(best: Library) -> None:
    network, spec = lively(partial(SRVGGNetCompact, features=8, convolutions=1, scale=2))
    ours = WinogradNetwork(network, spec, CPU, best)
    endless = np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (1 << 22, 1 << 22, 3))
    with pytest.raises(MemoryError):
        one(ours, Window(endless, top=0, left=0, height=4, width=4, dtype=np.dtype(np.uint8)))
    assert one(ours, whole(photo(9, 9), spec)).finite


@pytest.mark.slow
@pytest.mark.parametrize("name", ["realesr-animevideov3.pth", "anime6B-fp16.pth", "x4plus-fp16.pth"])
def test_genuine_weights_give_torchs_pixels_on_real_pictures(library: Library, shared_dir: Path, name: str) -> None:
    path = shared_dir / "weights" / name
    if not path.is_file():
        pytest.skip(f"shared/weights/{name} is not here")
    network, spec = load_checkpoint(path)
    ours, theirs = WinogradNetwork(network, spec, CPU, library), exact(network, spec)
    side = 160 if spec.architecture == "srvggnet" else 56
    for picture in ("0014.jpg", "00003.png", "OST_009.png"):
        pixels = cv2.cvtColor(cv2.imread(str(shared_dir / "images" / picture)), cv2.COLOR_BGR2RGB)
        window = whole(pixels[40 : 40 + side, 20 : 20 + side], spec)
        decibels, worst = apart(one(ours, window).pixels, one(theirs, window).pixels)
        assert decibels >= 80
        assert worst <= 1
