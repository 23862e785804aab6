"""NetworkSpec: a network as the numbers that the planner needs. Importing this never imports torch."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Self

#: How tiles of a network come together: equal to the whole picture, near to it, or not near enough.
Tiling = Literal["exact", "blended", "whole"]
#: Tiles that come so near to the whole picture differ from it by less than a tenth of 8 bit's step.
SEAM_FREE_DB = 70.0


@dataclass(frozen=True)
class Traits:
    """The traits that only the use of a network shows: measured once, when its file is imported.

    A window that begins at a ``multiple`` of pixels sees the picture as the network sees it whole. ``padding`` is what
    a tile wants around it, in input pixels, and ``seam`` how near it then comes to the whole picture, in dB (PSNR);
    None where it equals it.
    """

    multiple: int
    tiling: Tiling
    padding: int
    seam: float | None
    precisions: tuple[str, ...]  # in which it is finite and comes to 50 dB of fp32; fp32 is always among them
    bytes_per_pixel: float  # of activations, per input pixel, at the peak, in fp32
    widest: float  # numbers of its largest tensor per input pixel
    seconds_per_megapixel: float  # one thread of the processor that examined it, in fp32
    channels_last: bool  # it computes the same with its pixels and weights in that order, which is faster
    purpose: str  # "SR", or "Restoration" where it keeps the size


@dataclass(frozen=True)
class NetworkSpec:
    """The traits of a network, deduced from the tensors of a checkpoint, never from its file name.

    ``architecture`` is rrdbnet or srvggnet, or the name of a family of spandrel's; such a network has ``traits``, and
    0 for features, blocks and growth.

    ``blocks`` counts RRDB blocks, or the hidden convolutions of SRVGGNetCompact. ``growth`` is 0 for SRVGGNetCompact.
    ``unshuffle`` is the factor by which the input is folded into channels first, so width and height must be multiples
    of it. ``receptive_radius`` is in input pixels: how far away a pixel can still change the result here; a tile with
    that much true surrounding equals the untiled result exactly. None: no bound was found.
    """

    architecture: str
    scale: int
    channels: int  # of the image that goes in and comes out: 3 RGB or 1 gray
    features: int
    blocks: int
    growth: int
    unshuffle: int
    receptive_radius: int | None
    mflop_per_pixel: float  # per input pixel; one multiply-add counts as two
    parameters: int
    traits: Traits | None = None

    @property
    def align(self) -> int:
        """The pixels of which the sides and the origins of all windows are multiples."""
        return self.unshuffle if self.traits is None else self.traits.multiple

    @property
    def exact_padding(self) -> int | None:
        """The receptive radius in input pixels, rounded up so that tiles stay aligned; None where it has no bound."""
        return None if self.receptive_radius is None else -(-self.receptive_radius // self.align) * self.align

    @property
    def joins(self) -> str:
        """The way in which tiles of the network come together, in words for its users."""
        traits = self.traits
        if traits is None:
            return "seam-free" if self.architecture == "srvggnet" else "blended"
        if traits.seam is None or traits.seam >= SEAM_FREE_DB:
            return "seam-free"
        return "whole picture only" if traits.tiling == "whole" else f"blended, {traits.seam:.0f} dB"

    def bears(self, precision: str) -> bool:
        """Return True if the network may be computed in a precision: "fp32", "bf16" or "fp16"."""
        return self.traits is None or precision in self.traits.precisions

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Self:
        """Return the spec that `dataclasses.asdict` made a table of; other keys of the table are passed over.

        :raises KeyError, TypeError: keys are missing.
        """
        values = {field.name: table[field.name] for field in fields(cls) if field.name != "traits"}
        traits = table.get("traits")
        if traits is None:
            return cls(**values)
        known = {field.name: traits[field.name] for field in fields(Traits)}
        return cls(**values, traits=Traits(**{**known, "precisions": tuple(known["precisions"])}))
