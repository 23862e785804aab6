"""What the engine chooses by itself: devices, precisions, tiles; and that estimates are what really happens."""

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from jobs.engine.backends import openvino_trial
from jobs.engine.backends.device import cpu_has_bf16, resolve
from jobs.engine.backends.memory import free_host_bytes
from jobs.engine.errors import DeviceUnavailable
from jobs.engine.tiling.cost import CPU_WORKING_SET, choose_tile, default_pad, estimate, network_bytes, plan_plane
from jobs.engine.types import Runtime, UpscaleOptions, Weights
from modelstore.networks.checkpoint import inspect
from modelstore.networks.deduce import deduce
from modelstore.networks.rrdbnet import RRDBNet
from modelstore.networks.srvgg import SRVGGNetCompact
from tests.jobs.engine.conftest import photo, picture, upscaler

with torch.device("meta"):
    X4PLUS = deduce(RRDBNet().state_dict())
    X2PLUS = deduce(RRDBNet(unshuffle=2).state_dict())
    ANIME = deduce(SRVGGNetCompact().state_dict())
SPECS = [X4PLUS, X2PLUS, ANIME]


def test_auto_takes_what_the_machine_has() -> None:
    place = resolve(Runtime())
    assert place.device == ("cuda:0" if torch.cuda.is_available() else "cpu")
    assert place.name
    if place.kind == "cpu":
        assert place.precision == ("bf16" if cpu_has_bf16() else "fp32")
        assert place.backend == ("torch" if openvino_trial.trouble() else "openvino")
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
from jobs.engine.errors import DeviceUnavailable
from jobs.engine.types import Runtime, Weights
from tests.jobs.engine.conftest import photo, picture, upscaler

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


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("kind", ["cpu", "cuda"])
@pytest.mark.parametrize("free", [0, 200_000_000, 2_000_000_000, 100_000_000_000])
@pytest.mark.parametrize("size", [(64, 64), (640, 480), (2048, 1536), (8000, 6000)])
def test_the_tile_fits_into_free_memory(spec: Any, kind: str, free: int, size: tuple[int, int]) -> None:
    pad = default_pad(spec)
    tile = choose_tile(spec, *size, kind=kind, pad=pad, free_bytes=free)
    pixels = (size[0] + 10) * (size[1] + 10) if tile == 0 else (tile + 2 * pad) ** 2
    if tile > 32:
        assert network_bytes(spec, pixels) <= max(free, CPU_WORKING_SET)
    assert tile == 0 or tile >= 32


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("tile", [None, 0, 1024, 2048])
@pytest.mark.parametrize("size", [(1400, 1400), (2048, 1536), (30_000, 20), (8000, 6000)])
def test_no_call_of_a_cuda_device_holds_more_numbers_than_its_kernels_count(
    spec: Any, tile: int | None, size: tuple[int, int]
) -> None:
    cut = plan_plane(
        spec, *size, tile_size=tile, tile_pad=None, kind="cuda", free_bytes=140 << 30, item_bytes=2
    )  # fmt: skip
    assert cut.window_pixels * spec.features * spec.scale**2 < 2**31
    if tile == 0 and size == (30_000, 20):
        assert cut.tiles == 1  # long, and not large


def test_compact_networks_get_their_exact_padding() -> None:
    assert default_pad(ANIME) == 18
    assert default_pad(X4PLUS) >= 16


@pytest.mark.slow
@pytest.mark.parametrize("outscale", [None, 2.0, 7.0])
@pytest.mark.parametrize("tile", [None, 40])
def test_the_estimate_is_what_happens(compact: Weights, outscale: float | None, tile: int | None) -> None:
    made = picture(photo(90, 70), photo(90, 70, channels=1, seed=2)[:, :, 0])
    guess = estimate(
        inspect(compact.path),
        width=90,
        height=70,
        alpha=True,
        outscale=outscale,
        tile_size=tile,
        free_bytes=free_host_bytes(),
    )
    _, report = upscaler().upscale(made, compact, UpscaleOptions(outscale=outscale, tile_size=tile))
    assert (guess.tiles, guess.passes) == (report.tiles, report.passes)
    assert guess.bytes > 0
    assert guess.gflop > 0


def test_a_large_picture_through_a_dense_network_stays_within_its_memory() -> None:
    guess = estimate(X4PLUS, width=2048, height=1536, free_bytes=8_000_000_000)
    assert guess.bytes < 2_500_000_000
    assert guess.tiles > 1


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="Linux tells it in /proc/meminfo")
def test_free_memory_is_known_on_linux() -> None:
    assert 10_000_000 < free_host_bytes() < 1 << 50
