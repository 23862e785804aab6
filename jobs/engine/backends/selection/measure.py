"""Measurement of candidates: their time on a network of the same kind, their nearness to fp32 on the very network.

The time is that of a network with the same layers and fewer of them, whatever its weights: the others are as the first
ones, and OpenVINO compiles RealESRGAN_x4plus for a second. Measured on an AMD EPYC with AVX512-BF16, it took 0.2 to 0.7
seconds for a kind, and its ratios were those of whole pictures within a sixth.
"""

import copy
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from jobs.engine.backends.base import Network, Window
from jobs.engine.backends.selection.candidate import Candidate
from modelstore.networks.rrdbnet import RRDBNet
from modelstore.networks.spec import NetworkSpec
from modelstore.networks.srvgg import SRVGGNetCompact

#: Layers of the short network: blocks of an RRDBNet, hidden convolutions of an SRVGGNetCompact.
_BLOCKS = {"rrdbnet": 3, "srvggnet": 8}
_ROUNDS = 4
#: Share of the time for which the computing thread had to wait for a core, from which on it counts as disturbed.
_DISTURBED = 0.1
#: Sides of the windows, in pixels behind the unshuffling: for the time, and for the nearness.
_TIMED, _COMPARED = 40, 64

Build = Callable[[Candidate, nn.Module, NetworkSpec], Network]


def seconds(spec: NetworkSpec, candidates: Iterable[Candidate], build: Build) -> tuple[dict[Candidate, float], bool]:
    """Return each candidate's seconds for one window through a short network of the kind, the best of some turns.

    They take turns, so that a busy machine disturbs all alike.

    :returns: the seconds, and whether the processor was this process's own meanwhile: only then are they to be kept.
    """
    network, short = _short(spec)
    made = {candidate: build(candidate, copy.deepcopy(network), short) for candidate in candidates}
    window = _window(spec, _TIMED, np.dtype(np.uint8))
    best = dict.fromkeys(made, math.inf)
    spent = begun = 0.0
    for turn in range(_ROUNDS + 1):
        if turn == 1:  # the first compiles and warms up
            spent, begun = _waiting(), time.perf_counter()
        for candidate, one in made.items():
            start = time.perf_counter()
            for _ in one.run([window]):
                pass
            if turn:
                best[candidate] = min(best[candidate], time.perf_counter() - start)
    return best, _waiting() - spent < _DISTURBED * (time.perf_counter() - begun)


def _waiting() -> float:
    """Return the seconds that this thread was ready to run and was not let, as Linux counts them; 0.0 elsewhere."""
    try:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def decibels(network: Network, exact: Network) -> float:
    """Return the PSNR in dB of a network's 8-bit pixels against the same network in fp32, on texture.

    Texture is what bf16 does worst among what pictures hold: sharp edges between flat colours come out worse still,
    but are no picture that anybody upscales.
    """
    window = _window(network.spec, _COMPARED, np.dtype(np.uint8))
    one, other = (next(iter(each.run([window]))) for each in (network, exact))
    if not one.finite:
        return -math.inf if other.finite else math.inf  # weights beyond fp32 end alike in every way
    error = float(np.mean((one.pixels.astype(np.float64) - other.pixels) ** 2))
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def _short(spec: NetworkSpec) -> tuple[nn.Module, NetworkSpec]:
    """Return a network of the kind with fewer layers, seeded, and its spec."""
    blocks = min(spec.blocks, _BLOCKS[spec.architecture])
    generator = torch.random.get_rng_state()
    torch.manual_seed(0)
    network: nn.Module
    if spec.architecture == "rrdbnet":
        network = RRDBNet(
            channels=spec.channels, features=spec.features, blocks=blocks, growth=spec.growth,
            unshuffle=spec.unshuffle, doublings=round(math.log2(spec.scale * spec.unshuffle)),
        )  # fmt: skip
    else:
        network = SRVGGNetCompact(
            in_channels=spec.channels, out_channels=spec.channels, features=spec.features, convolutions=blocks,
            scale=spec.scale,
        )  # fmt: skip
    torch.random.set_rng_state(generator)
    return network.eval().requires_grad_(False), replace(spec, blocks=blocks)


def _window(spec: NetworkSpec, side: int, dtype: np.dtype[np.uint8]) -> Window:
    """Return a window of texture, (side*u, side*u, C) uint8, all of whose result is wanted."""
    side *= spec.unshuffle
    dice = np.random.default_rng(0)
    noise = cv2.GaussianBlur(dice.normal(0, 1, (side, side, spec.channels)), (0, 0), 1.2).reshape(side, side, -1)
    pixels = np.clip(127 + 90 * noise + dice.normal(0, 3, noise.shape), 0, 255).astype(np.uint8)
    return Window(pixels, top=0, left=0, height=side * spec.scale, width=side * spec.scale, dtype=dtype)
