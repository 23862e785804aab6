"""The kernels' own source compiled for the processor: what they read, write and compute is tested without a card.

Not shown by it: what a compiler for a card makes of the PTX (test_nvrtc.py compiles it), and speed.
"""

import ctypes
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from jobs.engine.backends.fused import kernels
from jobs.engine.backends.fused.kernels import Arguments, Program
from jobs.engine.backends.fused.network import FusedNetwork

_EMULATION = (Path(__file__).parent / "emulation.h").read_text()
_SCRATCH = Path(tempfile.gettempdir()) / "upscaler-emulated-kernels"


class EmulatedCard:
    """See `jobs.engine.backends.fused.kernels.Card`."""

    def __init__(self, capability: tuple[int, int] = (9, 0), shared_bytes: int = 232_448, processors: int = 2) -> None:
        self.capability, self.shared_bytes, self.processors = capability, shared_bytes, processors
        #: Bit 0: copies arrive at the last moment; bit 1: products are computed at the last moment.
        self.late = 3
        self.seed = 0
        #: Addresses (from, to) that kernels may read and write; empty: any.
        self.ranges: list[tuple[int, int]] = []

    def load(self, programs: Sequence[Program]) -> list[Any]:
        return [EmulatedKernel(self, program) for program in programs]


class EmulatedKernel:
    """See `jobs.engine.backends.fused.kernels.Kernel`."""

    def __init__(self, card: EmulatedCard, program: Program) -> None:
        self.blocks = 1
        self.card, self.program = card, program
        self.launch = _built(program)
        self.arguments = Arguments(program.signature)

    def __call__(self, blocks: int, *arguments: float) -> None:
        flat = [address for pair in self.card.ranges for address in pair]
        self.card.seed += 1
        failed = self.launch(
            blocks, self.program.threads, self.program.shared_bytes, self.card.late, self.card.seed,
            (ctypes.c_uint64 * max(1, len(flat)))(*flat), len(self.card.ranges),
            self.arguments.pointers(arguments),
        )  # fmt: skip
        if failed:
            raise AssertionError(f"{self.program.name}: {failed.decode()}")


def _built(program: Program) -> Any:
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no C++ compiler to emulate the kernels with")
    source = program.source.replace(kernels.read("ptx.cuh"), _EMULATION)
    for channels in (32, 64):
        source = source.replace(kernels._wgmma(channels), "")
    source += (
        'extern "C" const char* run(int grid, int threads, int shared, int late, unsigned seed, const u64* ranges, '
        f"int count, void** arguments) {{ return launch({program.name}, grid, threads, shared, late, seed, ranges, "
        "count, arguments); }\n"
    )
    digest = hashlib.sha256(source.encode()).hexdigest()[:16]
    _SCRATCH.mkdir(exist_ok=True)
    library = _SCRATCH / f"{digest}.so"
    if not library.exists():
        with tempfile.TemporaryDirectory(dir=_SCRATCH) as folder:
            text, made = Path(folder) / "kernel.cpp", Path(folder) / "kernel.so"
            text.write_text(source)
            options = ["-O2", "-w", "-std=c++17", "-shared", "-fPIC"]
            done = subprocess.run(
                [compiler, *options, "-o", str(made), str(text)], capture_output=True, text=True, check=False
            )
            if done.returncode and "_Float16" in done.stderr:
                pytest.skip("this C++ compiler has no _Float16")
            assert done.returncode == 0, done.stderr
            made.replace(library)
    run = ctypes.CDLL(str(library)).run
    run.restype = ctypes.c_char_p
    return run


class GuardedNetwork(FusedNetwork):
    """Its buffers start as NaN and stand between guards that nobody may write to. Also for a real card."""

    guarded: list[torch.Tensor]

    def _buffer(self, *size: int) -> torch.Tensor:
        count = 1
        for side in size:
            count *= side
        whole = torch.full((count + 128,), float("nan"), dtype=torch.float16, device=self.device)
        whole[:64] = whole[-64:] = 7.0
        self.guarded = [*getattr(self, "guarded", []), whole]
        return whole[64:-64].view(size)

    def untouched(self) -> bool:
        return all(bool((whole[:64] == 7.0).all() and (whole[-64:] == 7.0).all()) for whole in self.guarded)
