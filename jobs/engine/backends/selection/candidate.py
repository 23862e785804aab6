"""The ways in which a CPU can compute, and which of them this one has for a network."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from torch import nn

from jobs.engine.backends import openvino_trial
from jobs.engine.backends.winograd import library as winograd
from jobs.engine.backends.winograd.plan import unsupported
from jobs.engine.types import Backend
from modelstore.networks.spec import NetworkSpec


@dataclass(frozen=True)
class Candidate:
    """A backend with a precision."""

    backend: Literal["winograd", "openvino", "torch"]
    precision: Literal["fp32", "bf16"]

    def __str__(self) -> str:
        return f"{self.backend} {self.precision}"


def candidates(network: nn.Module, wanted: Backend, *, bf16: bool) -> tuple[tuple[Candidate, ...], tuple[str, ...]]:
    """Return the candidates for a network, the preferred of equally fast ones first; and what is not there, and why.

    :param wanted: "auto", or the backend that somebody named; its candidates differ in precision then.
    :param bf16: whether the processor computes it, and the caller accepts it.
    """
    found: list[Candidate] = []
    missing = []
    if wanted in ("auto", "winograd"):
        reason = unsupported(network)
        try:
            winograd.load()
        except OSError as error:
            reason = str(error)
        if reason:
            missing.append(reason)
        else:
            found.append(Candidate("winograd", "fp32"))
    kernels = bool(found)
    openvino = wanted == "openvino" or (wanted == "auto" and not _without_openvino())
    if openvino:
        found.append(Candidate("openvino", "fp32"))
    # Beside kernels and OpenVINO torch would only cost its measurement: it took 3.5 times as long as the kernels.
    if wanted == "torch" or (wanted == "auto" and not (openvino and kernels)):
        found.append(Candidate("torch", "fp32"))
    if bf16 and wanted != "winograd":
        found.append(Candidate("openvino" if openvino else "torch", "bf16"))
    return tuple(found), tuple(missing)


def foreign_candidates(spec: NetworkSpec, *, bf16: bool) -> tuple[Candidate, ...]:
    """Return the candidates for a network of another family, which torch always computes.

    OpenVINO fixes what a network does with the sizes that it sees, so it is none for networks that cut windows.

    :param bf16: whether the processor computes it, and the caller accepts it.
    """
    assert spec.traits is not None
    openvino = spec.traits.multiple == 1 and not _without_openvino()
    backends: tuple[Literal["torch", "openvino"], ...] = ("torch", "openvino") if openvino else ("torch",)
    precisions: tuple[Literal["fp32", "bf16"], ...] = ("fp32", "bf16") if bf16 and spec.bears("bf16") else ("fp32",)
    return tuple(Candidate(backend, precision) for precision in precisions for backend in backends)


def _without_openvino() -> bool:
    return find_spec("openvino") is None or bool(openvino_trial.trouble())
