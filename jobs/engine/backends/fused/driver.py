"""Kernels on a CUDA device: loaded and launched by its driver on torch's current stream, so that graphs record them."""

import ctypes
import threading
from collections.abc import Sequence
from functools import cache

import torch

from jobs.engine.backends.fused import nvrtc
from jobs.engine.backends.fused.kernels import Arguments, Kernel, Program

#: CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES and CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN of cuda.h.
_MOST_SHARED = 8
_SHARED_OPT_IN = 97
_lock = threading.Lock()
#: Loaded for the life of the process, as torch's own kernels are.
_loaded: dict[tuple[int, Program], "CudaKernel"] = {}


class CudaCard:
    """See `jobs.engine.backends.fused.kernels.Card`."""

    def __init__(self, device: torch.device) -> None:
        """:raises RuntimeError: the driver does not know the device. :raises OSError: there is no driver."""
        properties = torch.cuda.get_device_properties(device)
        self.device = device
        self.capability = (int(properties.major), int(properties.minor))
        self.processors = int(properties.multi_processor_count)
        number, value = ctypes.c_int(), ctypes.c_int()
        _check(_driver().cuDeviceGet(ctypes.byref(number), device.index or 0), "cuDeviceGet")
        _check(_driver().cuDeviceGetAttribute(ctypes.byref(value), _SHARED_OPT_IN, number), "cuDeviceGetAttribute")
        self.shared_bytes = value.value

    def load(self, programs: Sequence[Program]) -> list[Kernel]:
        """Compile what is new and load what this device has not. The device must be torch's current one."""
        index = self.device.index or 0
        binaries = nvrtc.compile_all({(self._architecture(each), each.source) for each in programs})
        torch.cuda.current_stream(self.device).synchronize()  # the device's context is there, and this thread's
        found: list[Kernel] = []
        with _lock:
            for each in programs:
                kernel = _loaded.get((index, each))
                if kernel is None:
                    binary = binaries[self._architecture(each), each.source]
                    kernel = _loaded[index, each] = CudaKernel(each, binary, self.device)
                found.append(kernel)
        return found

    def _architecture(self, program: Program) -> str:
        major, minor = self.capability
        return f"sm_{major}{minor}{'a' if program.own_architecture else ''}"


class CudaKernel:
    """See `jobs.engine.backends.fused.kernels.Kernel`."""

    def __init__(self, program: Program, binary: bytes, device: torch.device) -> None:
        self._program, self._index = program, device.index or 0
        self._module, self._function = ctypes.c_void_p(), ctypes.c_void_p()
        driver = _driver()
        _check(driver.cuModuleLoadData(ctypes.byref(self._module), binary), "cuModuleLoadData")
        name = program.name.encode()
        _check(driver.cuModuleGetFunction(ctypes.byref(self._function), self._module, name), "cuModuleGetFunction")
        if program.shared_bytes:
            _check(driver.cuFuncSetAttribute(self._function, _MOST_SHARED, program.shared_bytes), "cuFuncSetAttribute")
        blocks = ctypes.c_int()
        _check(
            driver.cuOccupancyMaxActiveBlocksPerMultiprocessor(
                ctypes.byref(blocks), self._function, program.threads, ctypes.c_size_t(program.shared_bytes)
            ),
            "cuOccupancyMaxActiveBlocksPerMultiprocessor",
        )
        if blocks.value < 1:
            raise RuntimeError(f"{program.name} with {program.shared_bytes} bytes of shared memory does not fit")
        self.blocks = blocks.value
        self._arguments = Arguments(program.signature)

    def __call__(self, blocks: int, *arguments: float) -> None:
        """Launch; nothing is waited for."""
        # Inductor's own way to the stream: torch.cuda.current_stream() makes an object of it each time.
        stream = torch._C._cuda_getCurrentRawStream(self._index)  # noqa: SLF001 - as above
        program = self._program
        code = _driver().cuLaunchKernel(
            self._function, blocks, 1, 1, program.threads, 1, 1, program.shared_bytes, ctypes.c_void_p(stream),
            self._arguments.pointers(arguments), None,
        )  # fmt: skip
        _check(code, "cuLaunchKernel")


@cache
def _driver() -> ctypes.CDLL:
    """:raises OSError: there is none, though torch found a device: on a system that calls it otherwise."""
    return ctypes.CDLL("libcuda.so.1")


def _check(code: int, what: str) -> None:
    """:raises RuntimeError: in words that `jobs.engine.backends.device_errors` knows, as of torch itself."""
    if code:
        text = ctypes.c_char_p()
        _driver().cuGetErrorString(code, ctypes.byref(text))
        said = (text.value or b"").decode(errors="replace")
        raise RuntimeError(f"CUDA driver error: {said or code} ({what})")
