"""The kernels' source by NVIDIA's own compiler, for every architecture that may get them. Needs no card."""

import ctypes
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from jobs.engine.backends.fused import nvrtc
from jobs.engine.backends.fused.kernels import pixel_programs, shapes

#: Compute capability and the shared memory that a block may ask for there.
CARDS = {80: 166_912, 86: 101_376, 87: 166_912, 89: 101_376, 90: 232_448, 100: 232_448, 120: 101_376}


@pytest.mark.parametrize("architecture", CARDS)
def test_everything_compiles(architecture: int) -> None:
    try:
        nvrtc.library()
    except OSError as error:
        pytest.skip(f"NVIDIA's run-time compiler is not installed: {error}")
    programs = [
        shape.program for each in shapes(divmod(architecture, 10), CARDS[architecture]).values() for shape in each
    ]
    programs.append(pixel_programs(3)["enter"])
    wanted = {(f"sm_{architecture}{'a' if each.own_architecture else ''}", each.source) for each in programs}
    for binary in nvrtc.compile_all(wanted).values():
        assert binary[:4] == b"\x7fELF"


def test_a_mistake_is_reported_in_the_compilers_words() -> None:
    try:
        nvrtc.library()
    except OSError as error:
        pytest.skip(f"NVIDIA's run-time compiler is not installed: {error}")
    with pytest.raises(RuntimeError, match=r"NVRTC for sm_80: .*undefined"):
        nvrtc.compile_one("sm_80", 'extern "C" __global__ void wrong() { nothing(); }')


class PretendedNvrtc:
    """libnvrtc, as far as it is called."""

    def __init__(self, code: int = 0, log: bytes = b"", cubin: bytes = b"\x7fELF") -> None:
        self.code, self.log, self.cubin = code, log, cubin
        self.options: list[bytes] = []
        self.destroyed = 0
        self.threads: set[int] = set()

    def __getattr__(self, name: str) -> Any:
        return lambda *_: 0

    def nvrtcCompileProgram(self, _: Any, count: int, options: Any) -> int:  # noqa: N802 - the library's name
        self.options = list(options[:count])
        self.threads.add(threading.get_ident())
        return self.code

    def nvrtcGetProgramLogSize(self, _: Any, size: Any) -> int:  # noqa: N802
        size._obj.value = len(self.log)
        return 0

    def nvrtcGetProgramLog(self, _: Any, log: Any) -> int:  # noqa: N802
        log.raw = self.log
        return 0

    def nvrtcGetCUBINSize(self, _: Any, size: Any) -> int:  # noqa: N802
        size._obj.value = len(self.cubin)
        return 0

    def nvrtcGetCUBIN(self, _: Any, binary: Any) -> int:  # noqa: N802
        binary.raw = self.cubin
        return 0

    def nvrtcDestroyProgram(self, _: Any) -> int:  # noqa: N802
        self.destroyed += 1
        return 0


def test_each_source_is_compiled_once_in_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = PretendedNvrtc()
    monkeypatch.setattr(nvrtc, "library", lambda: compiler)
    monkeypatch.setattr(nvrtc, "_cubins", {})
    wanted = {("sm_80", "one"), ("sm_80", "two"), ("sm_90a", "one")}
    assert nvrtc.compile_all(wanted) == dict.fromkeys(wanted, b"\x7fELF")
    assert nvrtc.compile_all(wanted) == dict.fromkeys(wanted, b"\x7fELF")
    assert compiler.destroyed == 3
    assert threading.get_ident() not in compiler.threads
    assert compiler.options[0].startswith(b"--gpu-architecture=sm_")


def test_the_compilers_log_is_what_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = PretendedNvrtc(6, b"error: invalid architecture")
    monkeypatch.setattr(nvrtc, "library", lambda: compiler)
    monkeypatch.setattr(nvrtc, "_cubins", {})
    with pytest.raises(RuntimeError, match=r"^NVRTC for sm_999: error: invalid architecture$"):
        nvrtc.compile_all({("sm_999", "one")})
    assert compiler.destroyed == 1
    monkeypatch.setattr(nvrtc, "library", lambda: PretendedNvrtc(cubin=b""))
    with pytest.raises(RuntimeError, match=r"^NVRTC for sm_80: no machine code"):
        nvrtc.compile_all({("sm_80", "one")})


def test_the_compiler_beside_torch_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("nvidia/cu13/lib/libnvrtc.so.13", "torch/lib/libnvrtc-builtins.so.13.0", "torch/__init__.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    tried: list[str] = []

    def load(path: str) -> Any:
        tried.append(path)
        raise OSError(path)

    monkeypatch.setattr(torch, "__file__", str(tmp_path / "torch/__init__.py"))
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(ctypes, "CDLL", load)
    with pytest.raises(OSError, match=r"no libnvrtc\.so\.13"):
        nvrtc.library.__wrapped__()
    assert tried == [str(tmp_path / "nvidia/cu13/lib/libnvrtc.so.13"), "libnvrtc.so.13"]
