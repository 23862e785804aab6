"""Which device, backend and precision the engine chooses by itself, and what it refuses."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from jobs.engine.backends import openvino_trial
from jobs.engine.backends.device import cpu_has_bf16, resolve
from jobs.engine.backends.memory import free_host_bytes
from jobs.engine.errors import DeviceUnavailable
from jobs.engine.types import Runtime, UpscaleOptions, Weights
from tests.jobs.engine.conftest import photo, picture, upscaler


def test_auto_takes_what_the_machine_has() -> None:
    place = resolve(Runtime())
    assert place.device == ("cuda:0" if torch.cuda.is_available() else "cpu")
    assert place.name
    if place.kind == "cpu":
        assert place.precision == "fp32" or cpu_has_bf16()
        assert place.backend in ("winograd", "torch" if openvino_trial.trouble() else "openvino")
    assert place.free_bytes() > 0


@pytest.mark.parametrize(
    ("runtime", "word"),
    [
        (Runtime(device="tpu"), "tpu"),
        (Runtime(device="cuda:99"), "cuda:99"),
        (Runtime(device="cpu", precision="fp16"), "fp16"),
    ],
)
def test_what_is_not_there_is_refused_by_name(runtime: Runtime, word: str) -> None:
    with pytest.raises(DeviceUnavailable, match=word):
        resolve(runtime)


#: Prints what "auto" means, how far its pixels are from torch's, and what is said to who asks for OpenVINO by name.
WITHOUT_AVX = """
import os
import platform
import subprocess
import sys
from pathlib import Path
import sys
import numpy as np
from jobs.engine.backends.device import resolve
from jobs.engine.backends.winograd import library as winograd
from jobs.engine.errors import DeviceUnavailable
from jobs.engine.types import Runtime, Weights
from tests.jobs.engine.conftest import photo, picture, upscaler

winograd.runnable = lambda: ()  # they would come first
weights = Weights(name="compact", path=Path(sys.argv[1]))
results = [upscaler(backend).upscale(picture(photo(40, 30)), weights) for backend in ("auto", "torch")]
place = resolve(Runtime(device="cpu"))
print(place.backend)
print(results[0][1].notes)
pixels = [result.frames[0].color.astype(int) for result, _ in results]
print(np.abs(pixels[0] - pixels[1]).max())
try:
    resolve(Runtime(device="cpu", backend="openvino"))
except DeviceUnavailable as error:
    print(error)
"""


@pytest.mark.processes
@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the instruction sets of x86 processors")
@pytest.mark.parametrize("instructions", ["SSE41", "AVX2"])
def test_openvino_is_passed_over_where_it_computes_wrong_numbers(instructions: str, compact: Weights) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WITHOUT_AVX, str(compact.path)],
        env=os.environ | {"ONEDNN_MAX_CPU_ISA": instructions}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    backend, notes, difference, *refusal = done.stdout.splitlines()
    assert int(difference) <= 1  # the two may round a pixel to different sides
    if backend == "torch":  # always without AVX, until OpenVINO is mended
        assert "computes with torch: OpenVINO computes wrong numbers" in notes
        assert len(refusal) == 1
        assert "OpenVINO computes wrong numbers" in refusal[0]
    else:
        assert (backend, notes, refusal) == ("openvino", "()", [])


def test_bf16_is_refused_where_it_would_only_be_slow() -> None:
    if cpu_has_bf16():
        assert resolve(Runtime(device="cpu", precision="bf16")).precision == "bf16"
    else:
        with pytest.raises(DeviceUnavailable, match="AMX"):
            resolve(Runtime(device="cpu"), "bf16")


def test_a_jobs_wish_wins_over_the_runtimes(compact: Weights) -> None:
    _, report = upscaler(precision="auto").upscale(picture(photo(20, 20)), compact, UpscaleOptions(precision="fp32"))
    assert report.precision == "fp32"


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="Linux tells it in /proc/meminfo")
def test_free_memory_is_known_on_linux() -> None:
    assert 10_000_000 < free_host_bytes() < 1 << 50
