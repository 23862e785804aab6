"""What the driver is asked for, and how its errors sound. A pretended one: what a card does, tests/gpu shows."""

import ctypes
from typing import Any

import pytest
import torch

from jobs.engine.backends.device_errors import device_errors, memory_errors
from jobs.engine.backends.fused import driver, nvrtc
from jobs.engine.backends.fused.driver import CudaCard
from jobs.engine.backends.fused.kernels import Program
from jobs.engine.errors import DeviceLost

#: CUresult, as cuda.h numbers them, and what cuGetErrorString says.
ERRORS = {2: b"out of memory", 700: b"an illegal memory access was encountered", 209: b"no kernel image is available"}
TYPES: tuple[Any, ...] = (ctypes.c_void_p, ctypes.c_int, ctypes.c_float)
PROGRAM = Program("source", "add", "Pif", threads=64, shared_bytes=1000)


class PretendedDriver:
    """libcuda, one kernel of which fits twice."""

    def __init__(self) -> None:
        self.codes: dict[str, int] = {}
        self.fits = 2
        self.loaded: list[bytes] = []
        self.launches: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *_: self.codes.get(name, 0)

    def cuModuleLoadData(self, _: Any, binary: bytes) -> int:  # noqa: N802 - the driver's name
        self.loaded.append(binary)
        return self.codes.get("cuModuleLoadData", 0)

    def cuDeviceGetAttribute(self, value: Any, which: int, _: Any) -> int:  # noqa: N802
        value._obj.value = {97: 101_376}[which]
        return 0

    def cuOccupancyMaxActiveBlocksPerMultiprocessor(self, blocks: Any, *_: Any) -> int:  # noqa: N802
        blocks._obj.value = self.fits
        return 0

    def cuGetErrorString(self, code: int, text: Any) -> int:  # noqa: N802
        text._obj.value = ERRORS[code]
        return 0

    def cuLaunchKernel(self, _: Any, *sizes: Any) -> int:  # noqa: N802
        *numbers, shared, stream, pointers, extra = sizes
        values = [kind.from_address(pointer).value for kind, pointer in zip(TYPES, pointers, strict=True)]
        assert extra is None
        self.launches.append((numbers, shared, stream.value, values))
        return self.codes.get("cuLaunchKernel", 0)


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> PretendedDriver:
    made = PretendedDriver()
    monkeypatch.setattr(driver, "_driver", lambda: made)
    monkeypatch.setattr(driver, "_loaded", {})
    monkeypatch.setattr(nvrtc, "compile_all", lambda wanted: {each: repr(each).encode() for each in wanted})
    properties = type("Properties", (), {"major": 8, "minor": 9, "multi_processor_count": 128})
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: type("Stream", (), {"synchronize": lambda _: None})())
    monkeypatch.setattr(torch._C, "_cuda_getCurrentRawStream", lambda index: 70 + index, raising=False)
    return made


def test_a_kernel_goes_to_torchs_stream_of_its_device(pretended: PretendedDriver) -> None:
    card = CudaCard(torch.device("cuda", 1))
    assert (card.capability, card.processors, card.shared_bytes) == ((8, 9), 128, 101_376)
    (kernel,) = card.load([PROGRAM])
    assert kernel.blocks == 2
    kernel(5, 4096, 7, 0.5)
    assert pretended.launches == [([5, 1, 1, 64, 1, 1], 1000, 71, [4096, 7, 0.5])]


def test_a_program_is_loaded_once_per_device(pretended: PretendedDriver) -> None:
    for index in (0, 1, 0, 1):
        CudaCard(torch.device("cuda", index)).load([PROGRAM, PROGRAM])
    assert pretended.loaded == [b"('sm_89', 'source')"] * 2
    own = Program("source", "add", "Pif", threads=64, own_architecture=True)
    CudaCard(torch.device("cuda", 0)).load([own])
    assert pretended.loaded[-1] == b"('sm_89a', 'source')"


def test_errors_sound_like_torchs(pretended: PretendedDriver) -> None:
    card = CudaCard(torch.device("cuda", 0))
    (kernel,) = card.load([PROGRAM])
    pretended.codes["cuLaunchKernel"] = 2
    with pytest.raises(MemoryError, match="out of memory"), memory_errors():
        kernel(1, 0, 0, 0.0)
    pretended.codes["cuLaunchKernel"] = 700
    with pytest.raises(DeviceLost, match="illegal memory access"), device_errors():
        kernel(1, 0, 0, 0.0)
    pretended.codes["cuModuleLoadData"] = 209
    with pytest.raises(RuntimeError, match=r"no kernel image is available \(cuModuleLoadData\)"):
        card.load([Program("other", "add", "Pif", threads=64)])


def test_a_kernel_that_fits_nowhere_is_refused(pretended: PretendedDriver) -> None:
    pretended.fits = 0
    with pytest.raises(RuntimeError, match="add with 1000 bytes of shared memory does not fit"):
        CudaCard(torch.device("cuda", 0)).load([PROGRAM])
