"""The backend of a CPU before a network is known: our kernels where they load, else OpenVINO, else torch."""

from importlib.util import find_spec
from typing import Literal

from jobs.engine.backends import openvino_trial
from jobs.engine.backends.winograd import library as winograd
from jobs.engine.errors import DeviceUnavailable
from jobs.engine.types import Backend


def choose(wanted: Backend, precision: str) -> tuple[Literal["torch", "openvino", "winograd"], str]:
    """Return the backend, and why "auto" passed over one that is there.

    :param precision: "fp32" or "bf16".
    :raises DeviceUnavailable: the backend asked for by name is not there.
    """
    if wanted == "torch":
        return "torch", ""
    notes = []
    if wanted == "winograd" or (wanted == "auto" and precision == "fp32"):
        try:
            winograd.load()
            return "winograd", ""
        except OSError as error:
            if wanted == "winograd":
                raise DeviceUnavailable(str(error)) from error
            if not isinstance(error, winograd.NotBuilt):
                notes.append(f"computes without the winograd kernels: {error}")
    backend, passed_over = _openvino_or_torch(wanted)
    return backend, "; ".join(filter(None, (*notes, passed_over)))


def _openvino_or_torch(wanted: Backend) -> tuple[Literal["torch", "openvino"], str]:
    """Return the backend, and why "auto" passed over OpenVINO although it is installed."""
    installed = find_spec("openvino") is not None
    trouble = openvino_trial.trouble() if installed else "the openvino package is not installed"
    if not trouble:
        return "openvino", ""
    if wanted == "auto":
        return "torch", f"computes with torch: {trouble}" if installed else ""
    raise DeviceUnavailable(trouble)
