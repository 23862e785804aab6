"""NetworkSpec: a network as the numbers that the planner needs. Importing this never imports torch."""

from dataclasses import dataclass
from typing import Literal

Architecture = Literal["rrdbnet", "srvggnet"]


@dataclass(frozen=True)
class NetworkSpec:
    """The traits of a network, deduced from the tensors of a checkpoint, never from its file name.

    ``blocks`` counts RRDB blocks, or the hidden convolutions of SRVGGNetCompact. ``growth`` is 0 for SRVGGNetCompact.
    ``unshuffle`` is the factor by which the input is folded into channels first, so width and height must be multiples
    of it. ``receptive_radius`` is in input pixels: how far away a pixel can still change the result here; a tile with
    that much true surrounding equals the untiled result exactly.
    """

    architecture: Architecture
    scale: int
    channels: int  # of the image that goes in and comes out: 3 RGB or 1 gray
    features: int
    blocks: int
    growth: int
    unshuffle: int
    receptive_radius: int
    mflop_per_pixel: float  # per input pixel; one multiply-add counts as two
    parameters: int

    @property
    def exact_padding(self) -> int:
        """The receptive radius in input pixels, rounded up so that tiles stay aligned to the unshuffle grid."""
        return -(-self.receptive_radius // self.unshuffle) * self.unshuffle
