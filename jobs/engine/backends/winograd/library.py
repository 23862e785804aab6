"""The compiled kernels: the best variant for this processor, its C structures, and the threads that compute.

`build.py` writes one library per instruction set. A library that was built from another source than the one beside this
file is not used: its structures and weights may be laid out otherwise.
"""

import ctypes
import os
import platform
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from jobs.engine.backends.winograd.variants import FOLDER, Variant, digest, variants

#: Kinds of a step, as in kernels.c.
CLEAR, FIRST, WINOGRAD, FEW = range(4)

_Int = ctypes.c_int64


class NotBuilt(OSError):
    """There is no library: none was built, or there is none for this architecture."""


class Plane(ctypes.Structure):
    """Pixels of a layer, channels last; ``data`` points to pixel (0, 0), strides are in floats."""

    _fields_ = [("data", ctypes.c_void_p), ("height", _Int), ("width", _Int), ("stride", _Int), ("row", _Int)]


class Step(ctypes.Structure):
    """One layer, or the clearing of a plane's border."""

    _fields_ = [
        *((name, _Int) for name in ("kind", "source", "inputs", "target", "at", "outputs", "doubled")),
        *((name, ctypes.c_void_p) for name in ("weights", "bias", "slope")),
        *((name, _Int) for name in ("added", "added_outer")),
        ("scale", ctypes.c_float),
        ("outer_scale", ctypes.c_float),
    ]


class Pixels(ctypes.Structure):
    """Pixels of a window or a block, as numpy has them."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        *((name, _Int) for name in ("row", "channels", "first", "used", "bytes")),
        ("full", ctypes.c_float),
        *((name, _Int) for name in ("top", "left", "height", "width")),
    ]


_SIZES = ctypes.sizeof(Plane) << 32 | ctypes.sizeof(Step) << 16 | ctypes.sizeof(Pixels)


@dataclass(frozen=True)
class Library:
    """A loaded library. ``vector`` is the numbers in one of its vectors. Its functions release the GIL."""

    name: str
    vector: int
    calls: ctypes.CDLL


class Pool:
    """The threads of a library in this process. They sleep while nothing is computed; ``lock`` is the caller's."""

    def __init__(self, library: Library, threads: int) -> None:
        """:raises MemoryError: there is no memory for it."""
        self.library = library
        self.threads = threads
        self.lock = threading.Lock()
        self.handle = library.calls.winograd_open(_Int(threads))
        if not self.handle:
            raise MemoryError("no memory for the threads of the winograd kernels")


def pool(library: Library) -> Pool:
    """Return the process's threads, as many as torch uses. A forked child gets its own."""
    return _pool(library.name, library.calls._name, torch.get_num_threads(), os.getpid())  # noqa: SLF001 - ctypes' only way to the path


@cache
def _pool(name: str, path: str, threads: int, _process: int) -> Pool:
    return Pool(_open(name, path), threads)


def runnable() -> tuple[Variant, ...]:
    """Return the variants that this processor runs, the best first."""
    able = torch.cpu.get_capabilities()
    return tuple(variant for variant in variants() if all(able.get(need) for need in variant.needs))


def load(folder: Path = FOLDER, *, only: str = "") -> Library:
    """Return the best library of a folder that this processor runs.

    :param only: the name of a variant; "" takes the best.
    :raises NotBuilt: there is none.
    :raises OSError: none of those that are there can be used, with the reasons.
    """
    reasons = []
    for variant in runnable():
        path = folder / variant.file
        if (only and variant.name != only) or not path.exists():
            continue
        try:
            return _open(variant.name, str(path))
        except OSError as error:
            reasons.append(str(error))
    if reasons:
        raise OSError("; ".join(reasons))
    if not variants():
        raise NotBuilt(f"there are no winograd kernels for {platform.machine()}")
    raise NotBuilt(
        "the winograd kernels are not built here; `make kernels` builds them where a C compiler is, "
        "`make kernels CC=zig` elsewhere"
    )


@cache
def _open(name: str, path: str) -> Library:
    calls = ctypes.CDLL(path)
    try:
        calls.winograd_source.restype = ctypes.c_char_p
        for function in ("sizes", "vector", "plane", "scratch", "packed", "leave"):
            getattr(calls, f"winograd_{function}").restype = _Int
        calls.winograd_open.restype = ctypes.c_void_p
        stale = calls.winograd_source().decode() != digest() or calls.winograd_sizes() != _SIZES
    except AttributeError:
        stale = True
    if stale:
        raise OSError(f"{Path(path).name} was built from another source; `make kernels` builds it anew")
    return Library(name, int(calls.winograd_vector()), calls)
