"""Passes: how often networks run over a picture to reach a scale, and one resize at the end. Pure arithmetic."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

SMALLEST_SCALE = 1.0
LARGEST_SCALE = 16.0
#: Up to this factor the network's output is enlarged by interpolation instead of another pass.
ENLARGED_AT_MOST = 1.5


@dataclass(frozen=True)
class Passes:
    """The passes to a size.

    ``inputs`` are the sizes (width, height) in pixels that go into a network, one per pass, and ``members`` the place
    in the chain of each pass's network: all 0 where there is one network. ``width`` and ``height`` are the result's.
    ``resized`` is True when the last pass's output has another size and is resampled once.
    """

    inputs: tuple[tuple[int, int], ...]
    members: tuple[int, ...]
    width: int
    height: int
    scale: float
    resized: bool


def native_scale(scales: int | Sequence[int]) -> int:
    """Return the enlargement of one network, or of a chain of them: the product of its members' scales."""
    return scales if isinstance(scales, int) else prod(scales)


def plan_passes(width: int, height: int, scales: int | Sequence[int], outscale: float | None) -> Passes:
    """Return the passes that reach ``outscale``: each network of a chain once, one after the other, and at least so.

    A scale up to the network's own takes one pass and is reduced. One up to `ENLARGED_AT_MOST` times larger is
    interpolated: another pass through an x4 network costs 17 times as much, and measured on photographs (see
    benchmarks/RESULTS.md) it moves the result away from the original, since it sharpens what the first pass invented.
    Beyond that interpolation is visibly soft, so the network is repeated until the scale is reached, and the result
    reduced from there. A network of scale 1 (a restorer) never grows; there the rest is interpolated. In a chain the
    last member that enlarges is the one that is repeated, where it stands: restorers run once.

    :param scales: the network's own scale, or those of a chain's members in their order.
    :param outscale: the enlargement asked for, 1 to 16; None is the network's, or the chain's, own.
    :raises ValueError: when it lies outside that range.
    """
    chain = (scales,) if isinstance(scales, int) else tuple(scales)
    reached = native_scale(chain)
    scale = float(reached) if outscale is None else float(outscale)
    if not SMALLEST_SCALE <= scale <= LARGEST_SCALE:
        raise ValueError(f"a scale of {scale:g}; {SMALLEST_SCALE:g} to {LARGEST_SCALE:g} are possible")
    members = list(range(len(chain)))
    grower = max((place for place in members if chain[place] > 1), default=None)
    while grower is not None and reached * ENLARGED_AT_MOST < scale:
        members.insert(grower, grower)
        reached *= chain[grower]
    inputs, factor = [], 1
    for place in members:
        inputs.append((width * factor, height * factor))
        factor *= chain[place]
    # The reference takes int(size * scale); the nudge keeps 100 * 2.3 = 229.999... from becoming 229.
    target = (max(1, int(width * scale + 1e-6)), max(1, int(height * scale + 1e-6)))
    resized = target != (width * reached, height * reached)
    return Passes(tuple(inputs), tuple(members), width=target[0], height=target[1], scale=scale, resized=resized)
