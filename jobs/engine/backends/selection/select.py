"""The choice itself: candidates, their measured or remembered time, the first that holds what it must."""

import copy
import hashlib
import time
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import nn

from jobs.engine.backends.base import Network
from jobs.engine.backends.device import ComputeDevice, cpu_name
from jobs.engine.backends.selection import measure, pick
from jobs.engine.backends.selection.candidate import Candidate, candidates, foreign_candidates
from jobs.engine.backends.selection.kept import Kept
from jobs.engine.backends.torch_backend import TorchNetwork
from jobs.engine.backends.winograd import choice as winograd_choice
from jobs.engine.backends.winograd import variants
from jobs.engine.errors import DeviceUnavailable
from jobs.engine.types import Backend
from modelstore.networks.spec import NetworkSpec

#: Under these names the day of a measurement is kept beside its times, in days since 1970: of a steady machine, which
#: may have been slowed down evenly, and of a busy one. With them, the days for which it counts.
_STEADY, _BUSY = ("measured", 30.0), ("measured busy", 1.0)


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
    found, missing = _candidates(network, spec, wanted, bf16=bf16)
    if not found:
        raise DeviceUnavailable("; ".join(missing))
    times, passed_over = _times(network, spec, found, place, kept) if len(found) > 1 else (pick.Times({}), {})
    for candidate in pick.ranked(times.seconds) or found:
        if candidate in passed_over:
            continue
        made, reason = _built(candidate, network, spec, place)
        if made is not None and _is_to_be_compared(candidate, wanted):
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


def _candidates(
    network: nn.Module, spec: NetworkSpec, wanted: Backend, *, bf16: bool
) -> tuple[tuple[Candidate, ...], tuple[str, ...]]:
    if spec.traits is not None:
        return foreign_candidates(spec, bf16=bf16), ()
    return candidates(network, wanted, bf16=bf16)


def _is_to_be_compared(candidate: Candidate, wanted: Backend) -> bool:
    """Return True for what may come out far from torch's fp32: the kernels have a trial of their own."""
    return candidate.precision == "bf16" or (candidate.backend == "openvino" and wanted == "auto")


def _times(
    network: nn.Module, spec: NetworkSpec, found: tuple[Candidate, ...], place: ComputeDevice, kept: Kept
) -> tuple[pick.Times, dict[Candidate, str]]:
    """Return the candidates' times on this processor, from memory where they are known; and who cannot, and why.

    They are measured again after a month, on a busy machine after a day; what failed, by the next process.
    """
    name = _kind(spec)
    known = kept.get(name) or {}
    today = time.time() / 86400
    stamp, days = _BUSY if _BUSY[0] in known else _STEADY
    if 0 <= today - known.get(stamp, 0) < days and all(str(candidate) in known for candidate in found):
        return pick.Times({one: known[str(one)] for one in found}, busy=stamp == _BUSY[0]), {}
    converted: dict[Any, Any] = {}

    def build(candidate: Candidate, network: nn.Module, short: NetworkSpec) -> Network:
        made, reason = _built(candidate, network, short, place, converted)
        if made is None:  # a seeded network that the kernels refuse: they are at fault, and are not taken
            raise DeviceUnavailable(reason)
        return made

    took, failed = measure.turns(network, spec, found, build)
    times = pick.judged(took)
    if not failed:
        numbers = {str(candidate): value for candidate, value in times.seconds.items()}
        kept.put(name, {**numbers, (_BUSY if times.busy else _STEADY)[0]: today})
    return times, dict(failed)


def _decibels(
    made: Network, candidate: Candidate, network: nn.Module, spec: NetworkSpec, place: ComputeDevice, digest: str,
    kept: Kept,
) -> float:  # fmt: skip
    """Return how near these weights come to fp32 in a candidate's precision, in dB."""
    name = f"{_versions()}, {candidate}, weights {digest}" if digest else ""
    known = (kept.get(name) or {}).get("dB") if name else None
    if known is None:
        exact = TorchNetwork(copy.deepcopy(network), spec, replace(place, backend="torch", precision="fp32"))
        known = min(measure.decibels(made, exact), 1000.0)  # JSON has no infinity
        if name:
            kept.put(name, {"dB": known})
    return known


def _built(
    candidate: Candidate,
    network: nn.Module,
    spec: NetworkSpec,
    place: ComputeDevice,
    converted: dict[Any, Any] | None = None,
) -> tuple[Network | None, str]:
    """Return the network in a candidate's backend and precision; or None, and why not.

    :param converted: what networks in OpenVINO's two precisions share; their memory as long as one of them lives.
    """
    here = replace(place, backend=candidate.backend, precision=candidate.precision)
    if candidate.backend == "winograd":
        return winograd_choice.accelerate(network, spec, here)
    if candidate.backend == "openvino":
        from jobs.engine.backends.openvino_backend import OpenVinoNetwork  # noqa: PLC0415 - may be absent

        return OpenVinoNetwork(network, spec, here, converted), ""
    # The conversion of weights happens in place, and the next candidate wants them as they are.
    return TorchNetwork(copy.deepcopy(network) if candidate.precision == "bf16" else network, spec, here), ""


def _kind(spec: NetworkSpec) -> str:
    """Return the name of a network's kind on this processor with these programs: how deep it is does not matter."""
    if spec.traits is not None:  # it is measured as it is
        sizes = (
            f"{spec.architecture} x{spec.scale} {spec.channels}c {spec.parameters}p {spec.mflop_per_pixel:.6g} MFLOP"
        )
        return f"{_versions()}, {torch.get_num_threads()} threads, {sizes}"
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
