"""NVIDIA's run-time compiler, the one that torch for CUDA brings along, by ctypes."""

import ctypes
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch

_lock = threading.Lock()
#: Compiled programs of this process by (architecture, source): networks of one shape share them.
_cubins: dict[tuple[str, str], bytes] = {}


@cache
def library() -> ctypes.CDLL:
    """Load NVRTC: torch's, or one of the same version that the system finds.

    :raises OSError: there is none.
    """
    versions = [torch.version.cuda.partition(".")[0]] if torch.version.cuda else ["13", "12"]
    packages = Path(torch.__file__).resolve().parent.parent
    for version in versions:
        name = f"libnvrtc.so.{version}"
        beside = [*packages.glob(f"nvidia/*/lib/{name}"), *packages.glob("torch/lib/libnvrtc-*.so*")]
        for path in (*(str(path) for path in beside if "builtins" not in path.name), name):
            with suppress(OSError):
                return ctypes.CDLL(path)
    raise OSError(f"no libnvrtc.so.{versions[0]}")


def compile_all(programs: set[tuple[str, str]]) -> dict[tuple[str, str], bytes]:
    """Compile (architecture, source) pairs, side by side: five kernels took 1.1 s with 16 cores.

    :returns: by pair, the bytes of its machine code.
    :raises RuntimeError: with the compiler's log. :raises OSError: there is no compiler.
    """
    with _lock:
        missing = sorted(programs - _cubins.keys())
        if missing:
            library()
            with ThreadPoolExecutor(max_workers=len(missing)) as pool:
                _cubins.update(zip(missing, pool.map(lambda each: compile_one(*each), missing), strict=True))
        return {each: _cubins[each] for each in programs}


def compile_one(architecture: str, source: str) -> bytes:
    """Compile one source.

    :param architecture: as sm_80 or sm_90a. :returns: the bytes of the machine code.
    :raises RuntimeError: with the log.
    """
    nvrtc = library()
    program = ctypes.c_void_p()
    code = nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"fused.cu", 0, None, None)
    if code:
        raise RuntimeError(f"NVRTC: nvrtcCreateProgram gave {code}")
    try:
        options = [f"--gpu-architecture={architecture}".encode(), b"--std=c++17", b"--diag-suppress=177"]
        code = nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
        size = ctypes.c_size_t()
        if code:
            nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
            log = ctypes.create_string_buffer(max(size.value, 1))
            nvrtc.nvrtcGetProgramLog(program, log)
            raise RuntimeError(f"NVRTC for {architecture}: {log.value.decode(errors='replace').strip() or code}")
        nvrtc.nvrtcGetCUBINSize(program, ctypes.byref(size))
        binary = ctypes.create_string_buffer(size.value)
        code = nvrtc.nvrtcGetCUBIN(program, binary)
        if code or not size.value:
            raise RuntimeError(f"NVRTC for {architecture}: no machine code ({code})")
        return binary.raw
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
