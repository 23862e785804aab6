"""Measurement of a network that is not ours: how far it sees, how its tiles join, what it takes.

Everything but the time depends on the network alone. Sides are in input pixels, pictures (1, C, H, W) in [0, 1].
"""

import copy
import math
import time
from collections.abc import Iterator
from math import lcm

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from modelstore.networks.errors import ArchitectureUnknown, WeightsNotFinite
from modelstore.networks.families.foreign import SURPRISES, Facts, ForeignNetwork, first_line
from modelstore.networks.families.memory import PeakBytes
from modelstore.networks.spec import NetworkSpec, Tiling, Traits

#: A difference that no rounding to 16 bit shows: a third of its step would be 5e-6.
_SAME = 1e-5
#: Reduced precisions, and tiles, must come so near to the whole picture in fp32.
_NEAR_DB = 50.0
#: Below, tiles are told from the whole picture by eye.
_APART_DB = 40.0
#: Above, a tenth of 8 bit's step is not reached; and measurements that agree so far are one and the same.
_UNSEEN_DB, _ALIKE_DB = 80.0, 3.0
_PADDINGS, _HEAVY_PADDINGS = (8, 16, 24, 32, 48, 64), (16, 32)
#: Sides of windows in which published networks attend, and so distances after which they see the same again.
_PERIODS = (1, 2, 4, 6, 7, 8, 12, 16, 24, 32)
_SIDE, _PROBE, _BLOCK = 64, 96, 32
#: A network of more operations per pixel is measured on smaller pictures, and with fewer: a thread computes some 25
#: GFLOP in a second, and HAT's largest takes 50 MFLOP for a pixel.
_HEAVY_MFLOP = 20.0


def measure(network: ForeignNetwork, facts: Facts) -> NetworkSpec:
    """Return the spec of a network in fp32 on the CPU, its traits included. Takes seconds, minutes for the largest.

    :raises ArchitectureUnknown: a picture does not come back as one that is ``facts.scale`` times larger.
    :raises WeightsNotFinite: a picture comes back with NaN or infinity in it.
    """
    try:
        with torch.inference_mode():
            return _measure(network, facts)
    except SURPRISES as error:
        raise ArchitectureUnknown(
            f"a trial picture could not be run through the {facts.family}: {first_line(error)}"
        ) from error


def _measure(network: ForeignNetwork, facts: Facts) -> NetworkSpec:
    lattice = facts.multiple
    side = _at_least(max(_SIDE, facts.minimum), lattice)
    with FlopCounterMode(display=False) as operations, PeakBytes() as memory:
        once = _checked(network, facts, texture(facts.channels, side))
    if decibels(network(texture(facts.channels, side)), once) != math.inf:
        raise ArchitectureUnknown(f"the {facts.family} gives another picture each time: its tiles would not join")
    mflop = operations.get_total_flops() / side**2 / 1e6
    heavy = mflop > _HEAVY_MFLOP
    period = _period(network, facts, lattice, heavy=heavy)
    radius = _radius(network, facts, period, heavy=heavy)
    padding, seam, seconds = _seam(network, facts, period, radius, heavy=heavy)
    traits = Traits(
        multiple=period,
        tiling=_tiling(seam),
        padding=padding,
        seam=None if seam == math.inf else round(max(seam, 0.0), 1),
        precisions=tuple(_precisions(network, facts, side)),
        bytes_per_pixel=memory.peak / side**2,
        widest=memory.largest / side**2,
        seconds_per_megapixel=round(seconds, 2),
        channels_last=bears_channels_last(network, facts, side),
        purpose=facts.purpose,
    )
    return NetworkSpec(
        architecture=facts.family,
        scale=facts.scale,
        channels=facts.channels,
        features=0,
        blocks=0,
        growth=0,
        unshuffle=1,
        receptive_radius=radius if seam == math.inf else None,
        mflop_per_pixel=mflop,
        parameters=sum(one.numel() for one in network.parameters()),
        traits=traits,
    )


def texture(channels: int, side: int, seed: int = 0) -> Tensor:
    """Return a picture (1, C, side, side) in [0, 1] of waves, edges and noise, the same on every machine."""
    generator = torch.Generator().manual_seed(seed)
    line = torch.linspace(0, side / 16, side)
    waves = torch.stack([torch.sin(line[:, None] * (2 + c) + c) * torch.cos(line[None, :] * (3 + c)) for c in range(3)])
    edges = ((torch.arange(side)[:, None] // 11 + torch.arange(side)[None, :] // 7) % 2).float()
    picture = 0.5 + 0.2 * waves + 0.15 * (edges - 0.5) + 0.08 * torch.randn(3, side, side, generator=generator)
    return picture[:channels].clamp(0, 1).unsqueeze(0).contiguous()


def decibels(made: Tensor, wanted: Tensor) -> float:
    """Return the PSNR of two pictures (N, C, H, W) in dB, for a peak of 1; infinity where no output could tell."""
    apart = (made.float().clamp(0, 1) - wanted.float().clamp(0, 1)).abs()
    if not bool(apart.isfinite().all()):
        return -math.inf
    if float(apart.max()) <= _SAME:
        return math.inf
    return -10 * math.log10(float(apart.square().mean()))


def bears_channels_last(network: ForeignNetwork, facts: Facts, side: int) -> bool:
    """Return False for a network that takes views of its tensors, or has some of five dimensions: torch refuses both.

    :param side: of the picture that is tried, in pixels.
    """
    picture = texture(facts.channels, side, seed=5)
    try:
        copied: nn.Module = copy.deepcopy(network)
        copied.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's types lack it
        made = copied(picture.contiguous(memory_format=torch.channels_last))
    except (RuntimeError, TypeError):
        return False
    return decibels(made, network(picture)) >= _UNSEEN_DB


def _checked(network: nn.Module, facts: Facts, picture: Tensor) -> Tensor:
    out: Tensor = network(picture)
    wanted = (1, facts.channels, picture.shape[2] * facts.scale, picture.shape[3] * facts.scale)
    if tuple(out.shape) != wanted:
        raise ArchitectureUnknown(f"a trial picture came back as {tuple(out.shape)}, not as {wanted}")
    if not bool(torch.isfinite(out).all()):
        raise WeightsNotFinite("a trial picture came back with NaN or infinity in it")
    return out


def _at_least(pixels: int, multiple: int) -> int:
    return -(-pixels // multiple) * multiple


def _period(network: ForeignNetwork, facts: Facts, lattice: int, *, heavy: bool) -> int:
    """Return the shift, in pixels, after which the network computes the same: a multiple of ``lattice``."""
    longest = max(lattice, _PERIODS[-1] // (2 if heavy else 1))
    shifts = sorted({lcm(lattice, each) for each in _PERIODS if lcm(lattice, each) <= longest})
    side = _at_least(max(_SIDE if heavy else _PROBE, facts.minimum, 2 * shifts[-1] + _BLOCK), lattice)
    picture = texture(facts.channels, side + shifts[-1], seed=1)
    # One place for all shifts, as far from every border as the largest allows.
    start = (side + shifts[-1]) // 2 - _BLOCK // 2
    whole = _cut(network(picture[:, :, :side, :side]), start, start, facts.scale)
    near: dict[int, float] = {}
    for shift in shifts:
        moved = network(picture[:, :, shift : shift + side, shift : shift + side])
        near[shift] = decibels(_cut(moved, start - shift, start - shift, facts.scale), whole)
        if near[shift] == math.inf:
            return shift
    enough = min(max(near.values()) - _ALIKE_DB, _UNSEEN_DB)
    return min(shift for shift, value in near.items() if value >= enough)


def _cut(out: Tensor, top: int, left: int, scale: int, size: int = _BLOCK) -> Tensor:
    return out[:, :, top * scale : (top + size) * scale, left * scale : (left + size) * scale]


def _radius(network: ForeignNetwork, facts: Facts, period: int, *, heavy: bool) -> int | None:
    """Return how far one pixel changes the result, in input pixels; None where it reaches the borders of the probe."""
    side = _at_least(max(_SIDE if heavy else 2 * _PROBE, facts.minimum), period)
    reach = 0
    for seed in (2, 3):
        generator = torch.Generator().manual_seed(seed)
        picture = torch.rand(1, facts.channels, side, side, generator=generator)
        before = network(picture)
        # Two phases of the lattice: in windows the first and the last pixel see other neighbours.
        for at in (_at_least(side // 2, period), _at_least(side // 2, period) - 1):
            changed = picture.clone()
            changed[:, :, at, at] = 1 - changed[:, :, at, at].round()
            differs = (network(changed) != before).any(dim=1)[0]  # (H*s, W*s)
            if not bool(differs.any()):
                continue
            rows, columns = (differs.any(dim=axis).nonzero()[:, 0] // facts.scale for axis in (1, 0))
            if min(int(rows[0]), int(columns[0])) == 0 or max(int(rows[-1]), int(columns[-1])) == side - 1:
                return None
            reach = max(reach, *(abs(int(end) - at) for end in (rows[0], rows[-1], columns[0], columns[-1])))
    return reach


def _seam(
    network: ForeignNetwork, facts: Facts, period: int, radius: int | None, *, heavy: bool
) -> tuple[int, float, float]:
    """Return the padding in pixels, how near a tile with it comes to the whole in dB, and seconds per megapixel."""
    paddings = list(_candidates(period, radius, heavy=heavy))
    block = _at_least(_BLOCK, period)
    farthest = paddings[-1]
    side = _at_least(max(block + 2 * farthest + (1 if heavy else 2) * _BLOCK, facts.minimum), period)
    picture = texture(facts.channels, side, seed=4)
    begun = time.perf_counter()
    out = network(picture)
    seconds = (time.perf_counter() - begun) / side**2 * 1e6
    start = (side - block) // 2 // period * period
    whole = _cut(out, start, start, facts.scale, block)
    best = (paddings[0], -math.inf)
    for padding in paddings:
        first, last = max(0, start - padding), min(side, start + block + padding)
        made = network(picture[:, :, first:last, first:last])
        near = decibels(_cut(made, start - first, start - first, facts.scale, block), whole)
        if near > best[1]:
            best = (padding, near)
        if near >= _NEAR_DB and (radius is None or near == math.inf or padding >= radius):
            break
    return (*best, seconds)


def _candidates(period: int, radius: int | None, *, heavy: bool) -> Iterator[int]:
    """Yield the paddings to try, the least first; where the network's reach is bounded and small, that alone."""
    if radius is not None and radius <= _PADDINGS[-1]:
        yield _at_least(radius, period)
        return
    yield from sorted({_at_least(each, period) for each in (_HEAVY_PADDINGS if heavy else _PADDINGS)})


def _tiling(seam: float) -> Tiling:
    if seam == math.inf:
        return "exact"
    return "blended" if seam >= _APART_DB else "whole"


def _precisions(network: ForeignNetwork, facts: Facts, side: int) -> Iterator[str]:
    """Yield the precisions in which the network comes near enough to fp32, which it leaves it in.

    At two sizes: GRL makes tables for each, in fp32 whatever it computes in, but for the first.
    """
    square = texture(facts.channels, side, seed=5)
    pictures = (square, texture(facts.channels, 2 * side, seed=5)[:, :, : side // 2])
    exact = [network(picture) for picture in pictures]
    yield "fp32"
    for name, dtype in (("bf16", torch.bfloat16), ("fp16", torch.float16)):
        if name not in facts.precisions:
            continue
        try:
            reduced = copy.deepcopy(network).to(dtype)
            near = min(decibels(reduced(each.to(dtype)), right) for each, right in zip(pictures, exact, strict=True))
        except (RuntimeError, TypeError):  # an operation that this precision lacks on a CPU
            continue
        if near >= _NEAR_DB:
            yield name
