"""The interface of every backend: windows of pixels (H, W, C) in, finished blocks of pixels out, in the same order."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from jobs.engine.backends.device import ComputeDevice
from modelstore.networks.spec import NetworkSpec


@dataclass(frozen=True)
class Window:
    """One window for the network, and the rectangle of its result that is wanted.

    ``pixels`` is (H, W, C), uint8 or uint16 over the full range, C 3 (RGB) or 1 (gray), H and W multiples of the
    network's unshuffle. ``top``, ``left``, ``height`` and ``width`` give the wanted rectangle in output pixels.
    ``dtype`` is that of the block to be returned: uint8 and uint16 are rounded to the full range, float32 is [0, 1].
    """

    pixels: NDArray[Any]
    top: int
    left: int
    height: int
    width: int
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class Block:
    """The finished pixels of one window.

    ``pixels`` is (height, width, C) of the window's dtype, C and colour order as in the window. ``finite`` is False
    when the network gave NaN or infinity anywhere. ``notes`` name what went otherwise than planned; they end up in the
    report.
    """

    pixels: NDArray[Any]
    finite: bool
    notes: tuple[str, ...] = ()


class Network(Protocol):
    """A network loaded on its device. ``weight_bytes`` is what its weights take there, in bytes."""

    spec: NetworkSpec
    place: ComputeDevice
    weight_bytes: int

    def run(self, windows: Iterable[Window]) -> Iterator[Block]:
        """Yield one block (height, width, C) per window (H, W, C), in the order of the windows.

        Several windows may be under way at once, or go into one call of the network.

        :raises MemoryError: when the device has too little memory; blocks yielded before are good.
        """
        ...

    def release(self) -> bool:
        """Give back memory that the network can do without; the weights stay. Return True if there was any."""
        ...
