"""Measurement of candidates: their time on a network of the same kind, their nearness to fp32 on the very network.

The time is that of a network with the same layers and fewer of them, whatever its weights: the others are as the first
ones, and OpenVINO compiles RealESRGAN_x4plus for a second. Most of what it costs is OpenVINO's conversion. Figures, and
how its ratios agree with those of whole pictures: docs/decisions/0012-backends-by-measurement.md.
"""

import copy
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import cv2
import numpy as np
import torch
from torch import nn

from jobs.engine.backends.base import Network, Window
from jobs.engine.backends.device_errors import first_line
from jobs.engine.backends.selection.candidate import Candidate
from jobs.engine.backends.selection.pick import OVERFLOWED, Turn
from jobs.engine.errors import DeviceUnavailable
from modelstore.networks.rrdbnet import RRDBNet
from modelstore.networks.spec import NetworkSpec
from modelstore.networks.srvgg import SRVGGNetCompact

#: Layers of the short network: blocks of an RRDBNet, hidden convolutions of an SRVGGNetCompact.
_BLOCKS = {"rrdbnet": 1, "srvggnet": 8}
#: Turns of each candidate; only the fewest where they take longer than so many seconds together.
_MOST_TURNS, _FEWEST_TURNS, _ENOUGH_SECONDS = 8, 3, 0.6
#: Sides of the windows, in pixels behind the unshuffling: for the time, and for the nearness, which in fp32 is rounding
#: or a fault, and shows anywhere.
_TIMED, _COMPARED = 40, {"bf16": 64, "fp32": 24}

Build = Callable[[Candidate, nn.Module, NetworkSpec], Network]


def turns(
    network: nn.Module, spec: NetworkSpec, candidates: Iterable[Candidate], build: Build
) -> tuple[Mapping[Candidate, list[Turn]], Mapping[Candidate, str]]:
    """Return what each candidate took for one window through a short network of the kind; and who cannot, and why.

    They take turns, so that a busy machine disturbs all alike.

    :param network: one of another family is timed as it is: which of its layers are alike, nobody knows.
    :param build: raises DeviceUnavailable for a candidate that cannot compute the network.
    """
    network, short = _short(spec) if spec.traits is None else (network, spec)
    window = _window(spec, _TIMED, _TIMED)
    made: dict[Candidate, Network] = {}
    failed: dict[Candidate, str] = {}
    for candidate in candidates:
        try:
            one = build(candidate, copy.deepcopy(network), short)
            _turn(one, window)  # compiles and warms up
            made[candidate] = one
        except (DeviceUnavailable, RuntimeError) as error:  # OpenVINO's own are RuntimeErrors
            failed[candidate] = first_line(error)
    took: dict[Candidate, list[Turn]] = {candidate: [] for candidate in made}
    begun = time.perf_counter()
    for number in range(_MOST_TURNS):
        if number >= _FEWEST_TURNS and time.perf_counter() - begun > _ENOUGH_SECONDS:
            break
        for candidate, one in made.items():
            took[candidate].append(_turn(one, window))
    return took, failed


def _turn(network: Network, window: Window) -> Turn:
    wall, processor = time.perf_counter(), time.process_time()
    for _ in network.run([window]):
        pass
    return Turn(time.perf_counter() - wall, time.process_time() - processor)


def decibels(network: Network, exact: Network) -> float:
    """Return the PSNR in dB of a network's 8-bit pixels against the same network in fp32, on texture.

    Texture is what bf16 does worst among what pictures hold: sharp edges between flat colours come out worse still,
    but are no picture that anybody upscales.
    """
    side = _COMPARED[network.place.precision]
    if network.spec.traits is None:
        return _decibels(network, exact, _window(network.spec, side, side))
    # A family that nobody has tried in this backend: what it does with one size must not be kept for others.
    return min(_decibels(network, exact, _window(network.spec, *sides)) for sides in ((side, 2 * side), (72, 40)))


def _decibels(network: Network, exact: Network, window: Window) -> float:
    one, other = (next(iter(each.run([window]))) for each in (network, exact))
    if not one.finite or one.pixels.shape != other.pixels.shape:
        return OVERFLOWED if other.finite else math.inf  # weights beyond fp32 end alike in every way
    error = float(np.mean((one.pixels.astype(np.float64) - other.pixels) ** 2))
    return math.inf if error == 0 else max(0.01, 10 * math.log10(255**2 / error))


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


def _window(spec: NetworkSpec, height: int, width: int) -> Window:
    """Return a window of texture, (height*u, width*u, C) uint8, all of whose result is wanted.

    For another family: (height, width, C), each rounded up to what the network takes.
    """
    if spec.traits is None:
        height, width = height * spec.unshuffle, width * spec.unshuffle
    else:
        height, width = (-(-length // spec.align) * spec.align for length in (height, width))
    dice = np.random.default_rng(0)
    noise = cv2.GaussianBlur(dice.normal(0, 1, (height, width, spec.channels)), (0, 0), 1.2).reshape(height, width, -1)
    pixels = np.clip(127 + 90 * noise + dice.normal(0, 3, noise.shape), 0, 255).astype(np.uint8)
    return Window(pixels, 0, 0, height * spec.scale, width * spec.scale, np.dtype(np.uint8))
