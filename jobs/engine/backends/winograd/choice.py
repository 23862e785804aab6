"""Choice of the winograd kernels for a network; where they cannot be, the reason."""

from dataclasses import replace

import numpy as np
from torch import nn

from jobs.engine.backends.base import Window
from jobs.engine.backends.device import ComputeDevice
from jobs.engine.backends.torch_backend import TorchNetwork
from jobs.engine.backends.winograd.library import Library, load
from jobs.engine.backends.winograd.network import WinogradNetwork
from jobs.engine.backends.winograd.plan import unsupported
from modelstore.networks.spec import NetworkSpec

#: Difference to torch, in a range of [0, 1], at which a trial fails; rounding makes some 0.000003 of it.
_TOO_FAR = 0.001
#: Sides of the trial's picture: tiles of four and what is left of them. It costs some 0.5 s for RealESRGAN_x4plus,
#: most of it torch's.
_TRIAL = (10, 13)


def accelerate(
    network: nn.Module, spec: NetworkSpec, place: ComputeDevice, library: Library | None = None
) -> tuple[WinogradNetwork | None, str]:
    """Return the network by Winograd's kernels, tried once against torch; or None and the reason.

    The transforms lose bits where a network's numbers are of very different size, and a compiler may be at fault.

    :param network: fp32, on the CPU. :param library: in place of this machine's best, for tests.
    """
    reason = unsupported(network)
    if reason:
        return None, reason
    made = WinogradNetwork(network, spec, place, library or load())
    reason = _trial(made, TorchNetwork(network, spec, replace(place, backend="torch")), spec)
    return (None, reason) if reason else (made, "")


def _trial(made: WinogradNetwork, exact: TorchNetwork, spec: NetworkSpec) -> str:
    """Compute one picture of noise and steps in both ways. :returns: what is wrong, or ""."""
    height, width = (side * spec.unshuffle for side in _TRIAL)
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, spec.channels), np.uint8)
    pixels[height // 3 :, : width // 2] //= 3
    size = (height * spec.scale, width * spec.scale)
    window = Window(pixels, top=0, left=0, height=size[0], width=size[1], dtype=np.dtype(np.float32))
    wanted = next(iter(exact.run([window])))
    if not wanted.finite:
        return ""  # weights beyond fp32: every way to compute it ends like this
    block = made.compute(window)
    if not block.finite:
        return "a trial of the winograd kernels overflowed, and torch did not"
    apart = float(np.abs(block.pixels - wanted.pixels).max())
    return "" if apart <= _TOO_FAR else f"a trial of the winograd kernels was {apart:.4f} away from torch"
