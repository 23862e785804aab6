"""Networks of other families than our own two: computed by torch, in the precisions that they bear."""

from dataclasses import replace

from torch import nn

from jobs.engine.backends.device import ComputeDevice, cpu_name
from jobs.engine.backends.torch_backend import TorchNetwork
from jobs.engine.errors import DeviceUnavailable, PrecisionUnavailable
from jobs.engine.types import Runtime
from modelstore.networks.spec import NetworkSpec


def require_ours(spec: NetworkSpec, backend: str) -> None:
    """Refuse a network of another family where somebody named a backend that computes our own two only.

    :raises DeviceUnavailable: names both.
    """
    if spec.traits is not None:
        raise DeviceUnavailable(
            f"the {backend} backend computes RRDBNet and SRVGGNetCompact only; the model's network is a "
            f"{spec.architecture}, which the torch backend computes (ENGINE_BACKEND=auto)"
        )


def foreign(
    network: nn.Module, spec: NetworkSpec, place: ComputeDevice, *, runtime: Runtime, named: bool
) -> TorchNetwork:
    """Return a network with `Traits` on the device. Its ``place.choice`` says in which precision, and why.

    Where "auto" took a device that torch does not compute on, it is computed on the CPU.

    :param network: fp32, on the CPU. :param place: where networks of our own would be computed.
    :param named: whether the job asked for the place's precision by name.
    :raises PrecisionUnavailable: it did, and the network does not bear it.
    :raises DeviceUnavailable: another backend, or a device that torch does not compute on, was asked for by name.
    """
    if runtime.backend not in ("auto", "torch"):
        require_ours(spec, runtime.backend)
    precision, why = place.precision, f"the only backend for {spec.architecture}"
    if place.accelerator is not None and not place.accelerator.by_torch:
        if runtime.device != "auto":
            require_ours(spec, f"{place.backend} (on {place.device})")
        why += f", which does not compute on {place.device}"
        if named and precision != "fp32":
            raise PrecisionUnavailable(f"torch is {why}, and in fp32 alone on the CPU; use fp32")
        precision = "fp32"
        place = replace(place, device="cpu", name=cpu_name(), uuid="", accelerator=None)
    if not spec.bears(precision):
        why = f"{spec.architecture} with these weights does not come to 50 dB of fp32 in {precision}"
        if named:
            raise PrecisionUnavailable(f"{why}; use fp32")
        precision = "fp32"
    here = replace(place, backend="torch", precision=precision, choice=f"torch {precision}; {why}")
    # Graphs: some families ask the device for numbers while they run, which cannot be recorded.
    return TorchNetwork(network, spec, here, graphs=False, fused=False)
