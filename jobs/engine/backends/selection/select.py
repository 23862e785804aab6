"""The choice itself: candidates, their measured or remembered time, the first that holds what it must."""

import copy
import hashlib
import logging
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version

import torch
from torch import nn

from jobs.engine.backends.base import Network
from jobs.engine.backends.device import ComputeDevice, cpu_name
from jobs.engine.backends.selection import measure, pick
from jobs.engine.backends.selection.candidate import Candidate, candidates
from jobs.engine.backends.selection.kept import Kept
from jobs.engine.backends.torch_backend import TorchNetwork
from jobs.engine.backends.winograd import choice as winograd_choice
from jobs.engine.backends.winograd import variants
from jobs.engine.errors import DeviceUnavailable
from jobs.engine.types import Backend
from modelstore.networks.spec import NetworkSpec

logger = logging.getLogger(__name__)


def select(
    network: nn.Module, spec: NetworkSpec, place: ComputeDevice, wanted: Backend, *, bf16: bool, digest: str, kept: Kept
) -> Network:
    """Return a network on the CPU in the backend and precision that are fastest here, and near enough to fp32.

    ``place.choice`` of what it returns says why.

    :param network: fp32, on the CPU. :param wanted: "auto", or a backend that somebody named.
    :param bf16: whether it is there and may be taken.
    :param digest: of the weights, for what belongs to them alone; "" where none is known.
    :raises DeviceUnavailable: the named backend cannot compute this network.
    """
    found, missing = candidates(network, wanted, bf16=bf16)
    if not found:
        raise DeviceUnavailable("; ".join(missing))
    times = _times(spec, found, place, kept) if len(found) > 1 else {}
    passed_over: dict[Candidate, str] = {}
    for candidate in pick.ranked(times) or found:
        made, reason = _built(candidate, network, spec, place)
        if made is not None and candidate.precision == "bf16":
            reason = pick.too_far(_decibels(made, candidate, network, spec, place, digest, kept))
        if made is not None and not reason:
            why = "; ".join((pick.words(candidate, times, passed_over), *missing))
            made.place = replace(made.place, choice=why)
            return made
        passed_over[candidate] = reason
    if wanted != "auto":
        raise DeviceUnavailable("; ".join(passed_over.values()))
    why = "; ".join(("torch fp32", *(f"{candidate} {reason}" for candidate, reason in passed_over.items()), *missing))
    return TorchNetwork(network, spec, replace(place, backend="torch", precision="fp32", choice=why))


def _times(
    spec: NetworkSpec, found: tuple[Candidate, ...], place: ComputeDevice, kept: Kept
) -> Mapping[Candidate, float]:
    """Return the candidates' seconds for the same work on this processor, from memory where they are known."""
    name = _kind(spec)
    known = kept.get(name) or {}
    if any(str(candidate) not in known for candidate in found):

        def build(candidate: Candidate, network: nn.Module, short: NetworkSpec) -> Network:
            made, reason = _built(candidate, network, short, place)
            if made is None:  # a seeded network that the kernels refuse: they are at fault, and are not taken
                raise DeviceUnavailable(reason)
            return made

        try:
            times, undisturbed = measure.seconds(spec, found, build)
        except DeviceUnavailable as error:
            logger.warning("not measured kind=%s error=%s", name, error)
            return dict.fromkeys(found, 1.0)
        known = {str(candidate): value for candidate, value in times.items()}
        kept.put(name, known, lasting=undisturbed)
        if not undisturbed:
            logger.warning("backends measured on a busy machine; the next process measures again kind=%s", name)
    return {candidate: known[str(candidate)] for candidate in found}


def _decibels(
    made: Network, candidate: Candidate, network: nn.Module, spec: NetworkSpec, place: ComputeDevice, digest: str,
    kept: Kept,
) -> float:  # fmt: skip
    """Return how near these weights come to fp32 in a candidate's precision, in dB."""
    name = f"{_versions()}, {candidate}, weights {digest}" if digest else ""
    known = (kept.get(name) or {}).get("dB") if name else None
    if known is None:
        exact = TorchNetwork(copy.deepcopy(network), spec, replace(place, backend="torch", precision="fp32"))
        known = max(0.001, min(measure.decibels(made, exact), 1000.0))  # JSON has no infinity
        if name:
            kept.put(name, {"dB": known})
    return known


def _built(
    candidate: Candidate, network: nn.Module, spec: NetworkSpec, place: ComputeDevice
) -> tuple[Network | None, str]:
    """Return the network in a candidate's backend and precision; or None, and why not."""
    here = replace(place, backend=candidate.backend, precision=candidate.precision)
    if candidate.backend == "winograd":
        return winograd_choice.accelerate(network, spec, here)
    if candidate.backend == "openvino":
        from jobs.engine.backends.openvino_backend import OpenVinoNetwork  # noqa: PLC0415 - may be absent

        return OpenVinoNetwork(network, spec, here), ""
    # The conversion of weights happens in place, and the next candidate wants them as they are.
    return TorchNetwork(copy.deepcopy(network) if candidate.precision == "bf16" else network, spec, here), ""


def _kind(spec: NetworkSpec) -> str:
    """Return the name of a network's kind on this processor with these programs: how deep it is does not matter."""
    sizes = f"{spec.architecture} x{spec.scale} {spec.channels}c {spec.features}f {spec.growth}g {spec.unshuffle}u"
    return f"{_versions()}, {torch.get_num_threads()} threads, {sizes}"


def _versions() -> str:
    able = ",".join(sorted(name for name, has in torch.cpu.get_capabilities().items() if has is True))
    try:
        openvino = version("openvino")
    except PackageNotFoundError:
        openvino = "none"
    flags = hashlib.sha256(able.encode()).hexdigest()[:8]
    return f"{cpu_name()} {flags}, torch {torch.__version__}, openvino {openvino}, kernels {variants.digest()[:8]}"
