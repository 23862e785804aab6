"""Kernels as compiled programs: what they are made of, which shapes of tiles a card gets, and what loads them.

Torch's own way to compile a kernel (``torch.cuda._compile_kernel``) is private, takes no struct of options for wgmma's
``sm_90a``, and was as fast in a trial; so NVRTC and the driver are called by ctypes (nvrtc.py, driver.py). Both come
with every torch for CUDA, and nothing has to be installed or compiled beforehand.
"""

import ctypes
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, Protocol

_HERE = Path(__file__).resolve().parent
#: Columns of a tile. Four rows of 16 pixels per warp, or four patches of 8x8 per four warps.
_TILE_WIDTH = 32
_ROWS = 4
#: Arguments of conv3x3 and of the kernels in pixels.cu: P pointer, i int, f float.
CONV_SIGNATURE = "PiiiPPPPiiPifPifiiii"
ENTER_SIGNATURE = "PiifPiiiiiii"
LEAVE_SIGNATURE = "PiPiPPiiiiii"
PIXEL_THREADS = 256


@dataclass(frozen=True)
class Program:
    """One kernel to be compiled and loaded."""

    source: str
    name: str
    signature: str
    threads: int
    shared_bytes: int = 0
    #: Uses what only this very architecture has: compiled for sm_90a instead of sm_90.
    own_architecture: bool = False


class Arguments:
    """A kernel's arguments in C's layout, as cuLaunchKernel takes them: an array of pointers to each.

    Written by struct into a buffer that each thread has once: ctypes took 17 µs for a launch, and there are 352 in a
    call of RealESRGAN_x4plus.
    """

    def __init__(self, signature: str) -> None:
        self._format = struct.Struct(signature)  # native sizes and alignment
        self._offsets = [
            struct.calcsize(signature[: index + 1]) - struct.calcsize(each) for index, each in enumerate(signature)
        ]
        self._local = threading.local()

    def pointers(self, values: Sequence[float]) -> ctypes.Array[ctypes.c_void_p]:
        """Write the values down, of up to 8 bytes each. The result is good until this thread's next call."""
        try:
            buffer, found = self._local.there
        except AttributeError:
            buffer = ctypes.create_string_buffer(self._format.size)
            start = ctypes.addressof(buffer)
            found = (ctypes.c_void_p * len(self._offsets))(*[start + offset for offset in self._offsets])
            self._local.there = buffer, found
        self._format.pack_into(buffer, 0, *values)
        pointers: ctypes.Array[ctypes.c_void_p] = found
        return pointers


class Kernel(Protocol):
    """A loaded program."""

    #: How many blocks of it one multiprocessor runs at once.
    blocks: int

    def __call__(self, blocks: int, *arguments: float) -> None:
        """Launch so many blocks on torch's current stream; pointers come as addresses."""
        ...


class Card(Protocol):
    """A device that compiles and launches programs: a CUDA device, or its emulation in the tests."""

    capability: tuple[int, int]
    #: Multiprocessors.
    processors: int
    #: Shared memory that one block may have when it asks for it.
    shared_bytes: int

    def load(self, programs: Sequence[Program]) -> list[Kernel]:
        """Compile and load. :raises RuntimeError: with the compiler's or the driver's words."""
        ...


@dataclass(frozen=True)
class TileShape:
    """One compiled shape of conv3x3.cu."""

    engine: Literal["mma", "wgmma"]
    channels: int  # output channels: 8, 32 or 64
    height: int
    stages: int
    blocks: int  # per multiprocessor, what the compiler aims at
    from_channels: int = 0  # input channels from which on it is the better one

    @property
    def threads(self) -> int:
        """Threads of a block."""
        if self.engine == "wgmma":
            return self.height // 8 * 128
        return _TILE_WIDTH // 16 * (self.height // _ROWS) * 32

    @property
    def shared_bytes(self) -> int:
        """Shared memory of a block: ``stages`` times 16 channels of the pixels and of the weights."""
        cells = (self.height + 2) * (_TILE_WIDTH + 2)
        plane = cells + (4 - cells % 8) % 8
        return (plane * 2 * 16 + 9 * 2 * self.channels * 16) * self.stages

    @property
    def defines(self) -> str:
        """The macros that conv3x3.cu takes."""
        values = {
            "MODE": int(self.engine == "wgmma"),
            "N": self.channels,
            "TH": self.height,
            "TW": _TILE_WIDTH,
            "RM": _ROWS,
            "ST": self.stages,
            "MINB": self.blocks,
            "RES": int(self.channels == 64),
        }
        return "".join(f"#define {name} {value}\n" for name, value in values.items())

    @property
    def program(self) -> Program:
        """Return what is compiled."""
        own = _wgmma(self.channels) if self.engine == "wgmma" else ""
        return Program(
            source=self.defines + read("ptx.cuh") + own + read("conv3x3.cu"),
            name="conv3x3",
            signature=CONV_SIGNATURE,
            threads=self.threads,
            shared_bytes=self.shared_bytes,
            own_architecture=self.engine == "wgmma",
        )

    def tiles(self, pictures: int, height: int, width: int, channels: int) -> int:
        """Tiles of so many (height, width, channels) outputs."""
        return pictures * -(-height // self.height) * -(-width // _TILE_WIDTH) * -(-channels // self.channels)


def shapes(capability: tuple[int, int], shared_bytes: int) -> dict[int, tuple[TileShape, ...]]:
    """By output channels of a tile, the shapes for a card, the first that suits being the one to take.

    For Hopper they are the fastest of thirty that were measured on an H100 at 560 and 1060 px; pixels by way of
    registers (wgmma's other form), weights that stay in shared memory and bulk copies were tried there too and gained
    nothing. mma.sync has 8.3 instead of 10.5 Mpx/s on that card. Its shapes for other cards follow from their shared
    memory and have not been measured on them.
    """
    small = TileShape("mma", 8, 8, 4, 4)
    if capability == (9, 0):
        return {
            8: (small,),
            32: (TileShape("wgmma", 32, 16, 4, 1, from_channels=96), TileShape("wgmma", 32, 8, 5, 2)),
            64: (TileShape("wgmma", 64, 16, 5, 1), TileShape("wgmma", 64, 8, 3, 2)),
        }
    # With 99 kB a block (GeForce and the like) two blocks fit only if each holds two stages.
    stages = 4 if shared_bytes >= 160_000 else 2
    return {8: (small,), 32: (TileShape("mma", 32, 8, stages, 2),), 64: (TileShape("mma", 64, 8, 3, 2),)}


def pixel_programs(channels: int) -> dict[str, Program]:
    """Return the ways in and out, by the type of the result ("enter" for the way in)."""
    source = read("ptx.cuh") + read("pixels.cu")
    programs = {"enter": Program(source, "enter", ENTER_SIGNATURE, PIXEL_THREADS)}
    for output in ("uint8", "uint16", "float32"):
        programs[output] = Program(source, f"leave{channels}_{output}", LEAVE_SIGNATURE, PIXEL_THREADS)
    return programs


@cache
def read(name: str) -> str:
    """Read one of the sources beside this file."""
    return (_HERE / name).read_text()


def _wgmma(channels: int) -> str:
    """The PTX instruction wgmma.m64nNk16 as a function over N/2 sums; its text depends on their number."""
    count = channels // 2
    sums = ",".join(f"%{index}" for index in range(count))
    outs = ",".join(f'"+f"(d[{index}])' for index in range(count))
    return (
        "DEV void wgmma(float* d, u64 a, u64 b, int s) { "
        f'asm volatile("{{.reg .pred p; setp.ne.b32 p, %{count + 2}, 0; '
        f"wgmma.mma_async.sync.aligned.m64n{channels}k16.f32.f16.f16 {{{sums}}}, %{count}, %{count + 1}, "
        f'p, 1, 1, 0, 0;}}" : {outs} : "l"(a), "l"(b), "r"(s)); }}\n'
    )
