"""Passes: how often the network runs over a picture to reach a scale, and one resize at the end. Pure arithmetic."""

from dataclasses import dataclass

SMALLEST_SCALE = 1.0
LARGEST_SCALE = 16.0
#: Up to this factor the network's output is enlarged by interpolation instead of another pass.
ENLARGED_AT_MOST = 1.5


@dataclass(frozen=True)
class Passes:
    """The passes to a size.

    ``inputs`` are the sizes (width, height) in pixels that go into the network, one per pass; ``width`` and ``height``
    are the result's. ``resized`` is True when the last pass's output has another size and is resampled once.
    """

    inputs: tuple[tuple[int, int], ...]
    width: int
    height: int
    scale: float
    resized: bool


def plan_passes(width: int, height: int, network_scale: int, outscale: float | None) -> Passes:
    """Return the passes that reach ``outscale``.

    A scale up to the network's own takes one pass and is reduced. One up to `ENLARGED_AT_MOST` times larger is
    interpolated: another pass through an x4 network costs 17 times as much, and measured on photographs (see
    benchmarks/RESULTS.md) it moves the result away from the original, since it sharpens what the first pass invented.
    Beyond that interpolation is visibly soft, so the network is repeated until the scale is reached, and the result
    reduced from there. A network of scale 1 (a restorer) never grows; there the rest is interpolated.

    :param outscale: the enlargement asked for, 1 to 16; None is the network's own.
    :raises ValueError: when it lies outside that range.
    """
    scale = float(network_scale) if outscale is None else float(outscale)
    if not SMALLEST_SCALE <= scale <= LARGEST_SCALE:
        raise ValueError(f"a scale of {scale:g}; {SMALLEST_SCALE:g} to {LARGEST_SCALE:g} are possible")
    inputs = [(width, height)]
    reached = network_scale
    while network_scale > 1 and reached * ENLARGED_AT_MOST < scale:
        inputs.append((width * reached, height * reached))
        reached *= network_scale
    # The reference takes int(size * scale); the nudge keeps 100 * 2.3 = 229.999... from becoming 229.
    target = (max(1, int(width * scale + 1e-6)), max(1, int(height * scale + 1e-6)))
    resized = target != (width * reached, height * reached)
    return Passes(inputs=tuple(inputs), width=target[0], height=target[1], scale=scale, resized=resized)
