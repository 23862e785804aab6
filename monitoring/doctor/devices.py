"""Examines this host's devices: each computes a picture with the bundled model, and is compared with the CPU in fp32.

Imports torch when it examines: only commands do, never the web process.
"""

import time
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast

import numpy as np
from django.conf import settings

from modelstore.storage.weights import weights_for
from monitoring.doctor.finding import Finding, fault, fine, note, warning

if TYPE_CHECKING:
    from jobs.engine.types import Backend, Picture, Precision

AREA = "devices"

_MODEL = "bundled-compact-x4"
#: Pixels on each side of the picture: some tiles of a GPU, and half a second of a slow CPU.
_SIDE = 256
#: Parity bound of the engine: below it a device computes another picture than the CPU.
_LEAST_DB = 50.0


def examine() -> Iterator[Finding]:
    """Compute on the CPU and on every accelerator of this host, and on the one that DEVICE names."""
    if find_spec("torch") is None:
        advice = "Run the doctor where workers run; here is the web part alone"
        yield note(AREA, "Devices were not examined: this installation has no torch", advice)
        return
    from jobs.engine.backends.device import beside_the_cpu  # noqa: PLC0415 - torch

    reference = _computed("cpu", "fp32", "torch")[0]
    for name in dict.fromkeys(["cpu", *beside_the_cpu(), settings.DEVICE]):
        if name != "auto":
            yield _device(name, reference)


def _device(name: str, reference: "Picture") -> Finding:
    from jobs.engine.errors import EngineError  # noqa: PLC0415 - torch

    backend = cast("Backend", settings.ENGINE_BACKEND)
    try:
        picture, place, seconds = _computed(name, "auto", backend)
    except EngineError as error:
        advice = "See docs/devices.md; DEVICE names another one"
        return (fault if name == settings.DEVICE else warning)(AREA, f"{name} cannot compute: {error}", advice)
    apart = _decibel(picture, reference)
    speed = _SIDE * _SIDE / 1e6 / seconds
    told = f"{name} ({place}): {speed:.2f} Mpx/s of input with {_MODEL}, {_words(apart)} the CPU's fp32"
    if apart < _LEAST_DB:
        return fault(AREA, told, f"It must be {_LEAST_DB:.0f} dB: set PRECISION=fp32 or DEVICE=cpu, and report it")
    return fine(AREA, told)


def _computed(device: str, precision: "Precision", backend: "Backend") -> tuple["Picture", str, float]:
    """Return the result, what computed it in words, and the seconds of a second run.

    :raises EngineError: the device is not there, or fails.
    """
    from jobs.engine.backends.network_cache import NetworkPool  # noqa: PLC0415 - torch
    from jobs.engine.types import Frame, Picture, Runtime, Weights  # noqa: PLC0415 - as above
    from jobs.engine.upscaler import Upscaler  # noqa: PLC0415 - as above

    local = weights_for(_MODEL)
    weights = Weights(local.name, local.path, None, 1.0, local.sha256, "", local.spec)
    picture = Picture("png", (Frame(_scene()),))
    upscaler = Upscaler(NetworkPool(Runtime(device, precision, backend, settings.MEASUREMENTS_DIR), 500_000_000))
    upscaler.upscale(picture, weights)  # loads, and measures where "auto" must
    at = time.perf_counter()
    result, report = upscaler.upscale(picture, weights)
    return result, f"{report.device_name}, {report.backend} {report.precision}", time.perf_counter() - at


def _scene() -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    """Return an (H, W, 3) picture with edges, slopes and noise: what networks find easy and what they find hard."""
    across, down = np.meshgrid(np.linspace(0, 255, _SIDE), np.linspace(0, 255, _SIDE))
    checks = 255.0 * ((across // 32 + down // 32) % 2)
    noise = np.random.default_rng(7).normal(0, 12, (_SIDE, _SIDE))
    return np.clip(np.stack([across, checks, down + noise], axis=2), 0, 255).astype(np.uint8)


def _decibel(one: "Picture", two: "Picture") -> float:
    """Return the PSNR of two 8-bit pictures; infinity for equal ones."""
    gap = one.frames[0].color.astype(np.float64) - two.frames[0].color.astype(np.float64)
    error = float(np.mean(gap**2))
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def _words(decibel: float) -> str:
    return "equal to" if decibel == float("inf") else f"{decibel:.1f} dB from"
