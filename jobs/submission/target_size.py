"""A size in pixels that a caller asks for instead of a factor; it becomes a factor when the picture is known."""

from dataclasses import dataclass

from jobs.engine.tiling.passes import LARGEST_SCALE, SMALLEST_SCALE
from jobs.engine.types import Header
from jobs.errors import SizeUnreachable


@dataclass(frozen=True)
class TargetSize:
    """Sides of the result in pixels. The picture keeps its proportions: with both sides it fits inside them."""

    width: int | None = None
    height: int | None = None
    longest_side: int | None = None

    def outscale(self, header: Header) -> float:
        """Return output side / input side, 1 to 16, that makes the result just so large.

        :raises SizeUnreachable: when the picture is larger already, or would have to grow more than 16 times.
        """
        sides = {
            "the width": (self.width, header.width),
            "the height": (self.height, header.height),
            "the longest side": (self.longest_side, max(header.width, header.height)),
        }
        side, scale = min(
            ((name, wanted / given) for name, (wanted, given) in sides.items() if wanted is not None),
            key=lambda found: found[1],
        )
        if SMALLEST_SCALE <= scale <= LARGEST_SCALE:
            return scale
        wanted, given = sides[side]
        raise SizeUnreachable(
            f"The picture is {header.width}×{header.height} px: {side} can become {given} to "
            f"{int(given * LARGEST_SCALE)} px, not {wanted}"
        )
