"""Choice of fused convolutions for a network on a device; where they cannot be, the reason."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from jobs.engine.backends.batching import Kind
from jobs.engine.backends.device_errors import first_line, is_out_of_memory
from jobs.engine.backends.fused.driver import CudaCard
from jobs.engine.backends.fused.kernels import Card
from jobs.engine.backends.fused.network import FusedNetwork, unsupported
from modelstore.networks.spec import NetworkSpec

#: mma.sync with fp16 and sums in fp32, and cp.async: NVIDIA's Ampere and what came after.
OLDEST = (8, 0)
#: Root of the mean square difference to torch's own convolutions at which a trial fails; rounding makes 0.0007 of it.
_TOO_FAR = 0.01
_TRIAL_SIDE = 48

Compute = Callable[[Tensor, Kind], tuple[Tensor, Tensor]]


def fuse(
    network: nn.Module,
    state: Mapping[str, Tensor],
    spec: NetworkSpec,
    device: torch.device,
    eager: Compute,
    card: Card | None = None,
) -> tuple[FusedNetwork | None, str]:
    """Return the fused form of a network, tried once against the eager one; or None and the reason.

    The trial costs a call of a 48 px picture, and protects cards on which nobody has run these kernels yet.

    :param network: of what kind it is. :param state: its weights in fp32. :param eager: the same in fp16, by torch.
    :param card: in place of the device's own, for tests.
    :raises RuntimeError: memory is short.
    """
    reason = unsupported(network, spec)
    if not reason and torch.version.hip:
        reason = "they are written for NVIDIA cards"
    if reason:
        return None, reason
    try:
        card = card or CudaCard(device)
        if card.capability < OLDEST:
            return None, "the card's compute capability is {}.{}, and they need {}.{}".format(*card.capability, *OLDEST)
        fused = FusedNetwork(network, state, spec, card, device)
        reason = _trial(fused, eager, spec, device)
    except (RuntimeError, OSError) as error:
        if is_out_of_memory(error):
            raise
        return None, first_line(error)
    return (None, reason) if reason else (fused, "")


def _trial(fused: Compute, eager: Compute, spec: NetworkSpec, device: torch.device) -> str:
    """Compute one picture of noise and steps in both ways. :returns: what is wrong, or ""."""
    kind = Kind(_TRIAL_SIDE, _TRIAL_SIDE, spec.channels, "uint8", "float32")
    noise = torch.rand((1, _TRIAL_SIDE, _TRIAL_SIDE, spec.channels), generator=torch.Generator().manual_seed(0))
    noise[:, 16:, :20] *= 0.3
    source = (noise * 255).to(torch.uint8).to(device)
    wanted, finite = eager(source, kind)
    made, also_finite = fused(source, kind)
    if not bool(finite.all()):
        return ""  # weights beyond fp16: every tile will be redone in fp32, whoever computes it first
    if not bool(also_finite.all()):
        return "a trial gave numbers that are not finite, and torch's convolutions did not"
    apart = float((made - wanted).square().mean().sqrt())
    return "" if apart <= _TOO_FAR else f"a trial was {apart:.3f} away from torch's convolutions"
