"""Networks of other families than our own two: by torch or Vulkan, in the precisions that they bear."""

from dataclasses import replace

from torch import nn

from jobs.engine.backends.base import Network
from jobs.engine.backends.device import ComputeDevice, cpu_name
from jobs.engine.backends.torch_backend import TorchNetwork
from jobs.engine.backends.vulkan.network import VulkanNetwork
from jobs.engine.backends.vulkan.operations import NotWritten
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


def foreign(network: nn.Module, spec: NetworkSpec, place: ComputeDevice, *, runtime: Runtime, named: bool) -> Network:
    """Return a network with `Traits` on the device. Its ``place.choice`` says in which precision, and why.

    Where "auto" took a device that does not compute it, it is computed on the CPU.

    :param network: fp32, on the CPU. :param place: where networks of our own would be computed.
    :param named: whether the job asked for the place's precision by name.
    :raises PrecisionUnavailable: it did, and the network does not bear it.
    :raises DeviceUnavailable: another backend, or a device that does not compute it, was asked for by name.
    """
    if runtime.backend not in ("auto", "torch"):
        require_ours(spec, runtime.backend)
    why = f"the only backend for {spec.architecture}"
    if place.accelerator is not None and not place.accelerator.by_torch:
        if place.backend == "vulkan":
            try:
                place_there = _borne(spec, place, "ncnn's graph of what torch does", named=named)
                return VulkanNetwork(network, spec, place_there)
            except NotWritten as error:
                if runtime.device != "auto":
                    raise DeviceUnavailable(
                        f"the {spec.architecture} network does not compute on {place.device}: {error}; DEVICE=auto or "
                        "cpu computes it by torch"
                    ) from error
                why += f" here: it does not compute on {place.device}, since {error}"
        else:
            if runtime.device != "auto":
                require_ours(spec, f"{place.backend} (on {place.device})")
            why += f", which does not compute on {place.device}"
        if named and place.precision != "fp32":
            raise PrecisionUnavailable(f"torch is {why}, and in fp32 alone on the CPU; use fp32")
        place = replace(place, device="cpu", name=cpu_name(), uuid="", precision="fp32", accelerator=None)
    place = _borne(spec, replace(place, backend="torch"), why, named=named)
    # Graphs: some families ask the device for numbers while they run, which cannot be recorded.
    return TorchNetwork(network, spec, place, graphs=False, fused=False)


def _borne(spec: NetworkSpec, place: ComputeDevice, why: str, *, named: bool) -> ComputeDevice:
    """Return the place in its precision, or in fp32 where the network does not bear that.

    :raises PrecisionUnavailable: it does not, and was ``named``.
    """
    precision = place.precision
    if not spec.bears(precision):
        why = f"{spec.architecture} with these weights does not come to 50 dB of fp32 in {precision}"
        if named:
            raise PrecisionUnavailable(f"{why}; use fp32")
        precision = "fp32"
    return replace(place, precision=precision, choice=f"{place.backend} {precision}; {why}")
