"""The interface behind which the backends stand: windows of pixels in, finished pixels out, in order."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from jobs.engine.backends.device import Place
from modelstore.networks.spec import NetworkSpec


@dataclass(frozen=True)
class Window:
    """One call of the network.

    ``pixels`` is (H, W, C) uint8 or uint16, C 1 or 3, sides multiples of the network's unshuffle. The rectangle to be
    returned is given in output pixels. ``dtype`` is what comes back: uint8 and uint16 are full range and rounded,
    float32 is 0 to 1.
    """

    pixels: NDArray[Any]
    top: int
    left: int
    height: int
    width: int
    dtype: np.dtype[Any]


@dataclass(frozen=True)
class Block:
    """(height, width, C) of the window's dtype; C as the window's. Not ``finite``: the network gave NaN or infinity.

    ``notes`` tell what went otherwise than it should have, for the report.
    """

    pixels: NDArray[Any]
    finite: bool
    notes: tuple[str, ...] = ()


class Network(Protocol):
    """A loaded network on its device."""

    spec: NetworkSpec
    place: Place
    weight_bytes: int

    def run(self, windows: Iterable[Window]) -> Iterator[Block]:
        """Blocks in the order of the windows; several may be under way at once, or computed in one call.

        :raises MemoryError: when the device has too little memory; blocks yielded before are good.
        """
        ...

    def release(self) -> bool:
        """Give back memory that the network can do without; the weights stay. :returns: whether it held any."""
        ...
