"""Intel's GPU by OpenVINO: a pretended list of devices, behind which OpenVINO's processor computes."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from jobs.engine.backends import accelerators, openvino_gpu, openvino_trial
from jobs.engine.backends.device import precisions, resolve, usable
from jobs.engine.errors import DeviceLost, DeviceUnavailable, OutOfMemory
from jobs.engine.types import Runtime, UpscaleOptions, Weights
from tests.jobs.engine.conftest import difference, photo, picture, upscaler
from tests.jobs.engine.pretended_devices import engine_on, pretend

openvino = pytest.importorskip("openvino")
pytestmark = pytest.mark.skipif(bool(openvino_trial.trouble()), reason="OpenVINO computes wrong numbers here")
TOTAL = 6 << 30
CACHED = (openvino_gpu._core, openvino_gpu._listed, openvino_gpu.find, openvino_gpu._fails, openvino_gpu.slower)


class Pretended:
    """Stands in for `openvino.Core`."""

    def __init__(self) -> None:
        self.real = openvino.Core()
        self.available_devices = ["CPU", "GPU.0", "GPU.1"]
        self.kinds = {"GPU.0": "Type.DISCRETE", "GPU.1": "Type.DISCRETE"}
        self.hints: list[tuple[str, str]] = []
        #: By OpenVINO's name and hint: added to every number of the result; NaN shows as not finite.
        self.adds: dict[tuple[str, str], float] = {}
        self.compiles: dict[str, RuntimeError] = {}
        #: More input pixels than these have no room.
        self.most = 1 << 30
        self.fault: RuntimeError | None = None
        self.released = 0

    def get_property(self, name: str, what: str) -> Any:
        if name not in self.available_devices:
            raise RuntimeError(self.missing)
        return {
            "FULL_DEVICE_NAME": f"Intel(R) Arc(TM) {name[-1]}", "DEVICE_UUID": f"uuid-{name[-1]}",
            "GPU_DEVICE_TOTAL_MEM_SIZE": TOTAL, "GPU_MEMORY_STATISTICS": {"usm_device": 1000, "usm_host": 24},
            "DEVICE_TYPE": self.kinds[name],
        }[what]  # fmt: skip

    missing = (
        "Exception from src/inference/src/cpp/core.cpp:268:\n"
        'Cannot load library "/x/libopenvino_intel_gpu_plugin.so": libOpenCL.so.1: cannot open shared object file: '
        "No such file or directory\n"
    )

    def compile_model(self, model: Any, name: str, settings: dict[str, str]) -> Any:
        hint = settings["INFERENCE_PRECISION_HINT"]
        self.hints.append((name, hint))
        if name in self.compiles:
            raise self.compiles[name]
        request = self.real.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}).create_infer_request()
        return SimpleNamespace(create_infer_request=lambda: _Request(self, request, self.adds.get((name, hint), 0.0)))


class _Request:
    def __init__(self, core: Pretended, request: Any, add: float) -> None:
        self.core, self.request, self.add = core, request, add

    def infer(self, inputs: list[Any], **named: Any) -> None:
        if self.core.fault is not None:
            raise self.core.fault
        if inputs[0].shape[1] * inputs[0].shape[2] > self.core.most:
            raise RuntimeError("[GPU] Exceeded max size of memory object allocation: requested 9 bytes")
        self.request.infer(inputs, **named)

    def get_output_tensor(self, index: int) -> Any:
        data = self.request.get_output_tensor(index).data
        if index:
            return SimpleNamespace(data=data + self.add)
        return SimpleNamespace(data=data + data.dtype.type(np.nan_to_num(self.add)))  # uint8 wraps: wrong all the same

    def get_compiled_model(self) -> Any:
        raise RuntimeError("Not Implemented")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    core = Pretended()
    monkeypatch.setattr(openvino, "Core", lambda: core)
    for cached in CACHED:
        cached.cache_clear()
    monkeypatch.setattr(openvino_gpu, "is_likely", lambda: True)
    monkeypatch.setattr(openvino_gpu, "_seconds", lambda name, _: 1.0 if name == "CPU" else 0.3)
    pretend(monkeypatch, "xpu", count=0)
    yield core
    for cached in CACHED:
        cached.cache_clear()


def test_auto_takes_it_where_torch_has_no_accelerator(gpu: Pretended, monkeypatch: pytest.MonkeyPatch) -> None:
    place = resolve(Runtime())
    assert (place.device, place.name, place.backend) == ("openvino-gpu:0", "Intel(R) Arc(TM) 0", "openvino")
    assert (place.precision, place.uuid, place.note) == ("fp16", "uuid-0", "")
    assert precisions(Runtime()) == ("fp32", "fp16")
    assert resolve(Runtime(backend="openvino")).device == "openvino-gpu:0"
    assert resolve(Runtime(backend="torch")).device == "cpu", "who names torch's backend means torch"
    pretend(monkeypatch, "xpu")
    assert resolve(Runtime()).device == "xpu:0"
    assert resolve(Runtime(device="openvino-gpu:1")).device == "openvino-gpu:1"
    with pytest.raises(DeviceUnavailable, match="the torch backend does not run on openvino-gpu:0"):
        resolve(Runtime(device="openvino-gpu", backend="torch"))


def test_auto_takes_the_card_before_what_is_part_of_the_processor(gpu: Pretended) -> None:
    gpu.kinds["GPU.0"] = "Type.INTEGRATED"
    assert resolve(Runtime()).device == "openvino-gpu:1"
    assert resolve(Runtime(device="openvino-gpu")).device == "openvino-gpu:0", "OpenVINO's own first"
    assert usable("openvino-gpu") == ["openvino-gpu:0", "openvino-gpu:1"]


@pytest.mark.parametrize(("built", "here", "taken"), [(True, 0.5, False), (False, 0.5, True), (False, 0.2, False)])
def test_auto_does_not_take_one_that_is_slower_than_the_processor(
    gpu: Pretended, monkeypatch: pytest.MonkeyPatch, built: bool, here: float, taken: bool
) -> None:
    """With kernels of our own the processor takes half of OpenVINO's time."""

    def load() -> None:
        if not built:
            raise OSError("not built")

    monkeypatch.setattr(openvino_gpu, "winograd", SimpleNamespace(load=load))
    monkeypatch.setattr(openvino_gpu, "_seconds", lambda name, _: here if name == "CPU" else 0.3)
    place = resolve(Runtime())
    assert (place.kind == "openvino-gpu") == taken
    if not taken:
        factor = "1.2" if built else "1.5"
        assert f"openvino-gpu:1 (Intel(R) Arc(TM) 1) takes {factor} times as long as the processor" in place.note
    assert resolve(Runtime(device="openvino-gpu")).device == "openvino-gpu:0", "who names it has it"


@pytest.mark.slow
def test_the_comparison_measures_what_openvino_does(gpu: Pretended, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(openvino, "Core", lambda: gpu)
    assert 0 < openvino_gpu._seconds("GPU.1", "fp16") < 60
    assert gpu.hints == [("GPU.1", "f16")]
    gpu.compiles["GPU.0"] = RuntimeError("[GPU] no\nmore")
    one = SimpleNamespace(device="openvino-gpu:0", name="Arc", precisions=("fp32",))
    assert openvino_gpu.slower.__wrapped__(one) == (  # behind the cache
        "openvino-gpu:0 (Arc) fails at a layer of a real network: [GPU] no"
    )


def test_auto_does_not_load_openvino_where_the_system_shows_no_such_gpu(
    gpu: Pretended, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_gpu, "is_likely", lambda: False)
    assert resolve(Runtime()).device == "cpu"
    assert gpu.hints == []
    monkeypatch.undo()
    monkeypatch.setattr(accelerators, "intel_nodes", lambda: [Path("/sys/class/drm/renderD128/device")])
    monkeypatch.setattr(openvino_gpu, "intel_nodes", lambda: [Path("/sys/class/drm/renderD128/device")])
    assert openvino_gpu.is_likely()


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [1, 3])
def test_whole_pictures_are_those_of_the_cpu(
    gpu: Pretended, compact: Weights, precision: Any, bits: int, channels: int
) -> None:
    shot = picture(photo(50, 38, bits=bits, channels=channels))
    exact, _ = upscaler("torch").upscale(shot, compact, UpscaleOptions(tile_size=32))
    engine = engine_on("openvino-gpu:1", precision=precision)
    made, report = engine.upscale(shot, compact, UpscaleOptions(tile_size=32))
    assert (report.device, report.backend, report.precision) == ("openvino-gpu:1", "openvino", precision)
    assert (report.notes, report.fp32_redone_tiles) == ((), 0)
    assert gpu.hints[-1] == ("GPU.1", "f16" if precision == "fp16" else "f32")
    assert difference(made.frames[0].color, exact.frames[0].color) <= 1  # the pretended one computes in fp32
    assert engine.pool.release(), "a plug-in that has not learned to release is no error"


def test_a_precision_that_fails_its_trial_is_not_offered(gpu: Pretended, compact: Weights) -> None:
    gpu.adds["GPU.0", "f16"] = float("nan")
    place = resolve(Runtime())
    assert (place.device, place.precision) == ("openvino-gpu:0", "fp32")
    assert precisions(Runtime()) == ("fp32",)
    _, report = engine_on("auto", precision="auto").upscale(picture(photo(20, 20)), compact)
    assert (report.precision, report.notes) == ("fp32", ())


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (None, "computes wrong numbers in fp32"),
        (RuntimeError("[GPU] ProgramBuilder build failed!\nmore"), "fails at a small network: [GPU] ProgramBuilder"),
    ],
)
def test_one_that_fails_altogether_is_passed_over_or_refused(
    gpu: Pretended, error: RuntimeError | None, reason: str
) -> None:
    for name in ("GPU.0", "GPU.1"):
        if error is None:
            gpu.adds[name, "f16"] = gpu.adds[name, "f32"] = 3.0
        else:
            gpu.compiles[name] = error
    place = resolve(Runtime())
    assert place.device == "cpu"
    assert place.note.count(reason) == 2, "both are named"
    with pytest.raises(DeviceUnavailable) as caught:
        resolve(Runtime(device="openvino-gpu"))
    assert f"openvino-gpu was asked for, but openvino-gpu:0 (Intel(R) Arc(TM) 0) {reason}" in str(caught.value)


def test_what_is_missing_is_said_to_who_named_it(gpu: Pretended, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu.available_devices = ["CPU"]
    assert resolve(Runtime()).note == ""
    with pytest.raises(DeviceUnavailable, match=r"does not load: libOpenCL\.so\.1: cannot open .*There is cpu alone"):
        resolve(Runtime(device="openvino-gpu"))
    gpu.missing = "[GPU] Can't get FULL_DEVICE_NAME property as no supported devices found"
    with pytest.raises(DeviceUnavailable, match="OpenVINO lists no GPU: is Intel's OpenCL driver installed"):
        resolve(Runtime(device="openvino-gpu"))
    monkeypatch.setattr(openvino_gpu, "find_spec", lambda _: None)
    with pytest.raises(DeviceUnavailable, match="the openvino package is not installed"):
        resolve(Runtime(device="openvino-gpu"))


def test_memory_is_the_cards_or_the_hosts(gpu: Pretended, monkeypatch: pytest.MonkeyPatch) -> None:
    place = resolve(Runtime())
    assert place.accelerator is not None
    held = place.accelerator.memory()
    assert (held.total, held.used, held.free) == (TOTAL, 1024, TOTAL - 1024)
    gpu.kinds["GPU.0"] = "Type.INTEGRATED"
    monkeypatch.setattr(openvino_gpu, "free_host_bytes", lambda: 5000)
    assert place.free_bytes() == 5000
    monkeypatch.setattr(openvino_gpu, "free_host_bytes", lambda: 0)  # a system that does not tell
    assert place.free_bytes() == TOTAL - 1024


@pytest.mark.slow
def test_memory_that_is_short_makes_tiles_smaller(gpu: Pretended, compact: Weights) -> None:
    shot = picture(photo(150, 110))
    exact, _ = upscaler("torch").upscale(shot, compact)
    engine = engine_on("openvino-gpu")
    engine.pool.get(compact)
    gpu.most = 9000
    made, report = engine.upscale(shot, compact)
    assert report.out_of_memory_shrinks
    assert difference(made.frames[0].color, exact.frames[0].color) <= 1
    gpu.most = 10
    with pytest.raises(OutOfMemory, match="Exceeded max size of memory object"):
        engine.upscale(shot, compact)


@pytest.mark.parametrize("word", ["-2 CL_DEVICE_NOT_AVAILABLE", "-36 CL_INVALID_COMMAND_QUEUE"])
def test_a_lost_device_is_told_as_one(gpu: Pretended, compact: Weights, word: str) -> None:
    engine = engine_on("openvino-gpu")
    engine.pool.get(compact)
    gpu.fault = RuntimeError(f"[GPU] clFlush, error code: {word}")
    with pytest.raises(DeviceLost, match="the device failed"):
        engine.upscale(picture(photo(20, 20)), compact)
