"""The cost of a picture: tiles, bytes, operations. Pure arithmetic, also for the web process (no torch)."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt, sqrt

from jobs.engine.tiling.passes import Passes, plan_passes
from jobs.engine.tiling.tiles import TilePlan, plan
from modelstore.networks.spec import NetworkSpec

#: Bytes of a number, by precision.
ITEM_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}
#: The reference mirrors this many pixels beyond the right and the bottom border before it starts (``pre_pad``). The
#: networks were trained without any border, and treat the zeros beyond it as an edge; parity needs the same.
BORDER = 10

#: Padding of RRDBNet tiles, input pixels; its receptive radius (349) would be many times the tile. With
#: RealESRGAN_x4plus on texture 24 leave differences of 45 of 255 at seams, 32 of 11 (benchmarks/results/cpu.md).
RRDB_PAD = 32
#: And so far do such tiles fade into each other, at most half the padding: what is left of a seam becomes a slope.
RRDB_OVERLAP = 8

#: Tiles that give the best throughput: (side without padding) per network, on a CPU, and on accelerators, of which
#: CUDA's alone were measured.
PREFERRED_TILE = {
    ("cpu", "rrdbnet"): 192,
    ("cpu", "srvggnet"): 512,
    ("accelerator", "rrdbnet"): 512,
    ("accelerator", "srvggnet"): 1024,
    # Not measured. Small, as ncnn's own programs have them (200): a driver resets a card that is silent for seconds.
    ("vulkan", "rrdbnet"): 192,
    ("vulkan", "srvggnet"): 512,
}
#: The same for networks of other families, by whether they take fewer than so many MFLOP for a pixel.
LIGHT_MFLOP = 4.0
FOREIGN_TILE = {("cpu", True): 384, ("cpu", False): 192, ("accelerator", True): 1024, ("accelerator", False): 512}
#: torch's own buffers beside the tensors that were counted: RRDBNet takes 13 kB per pixel where 8.6 are counted.
_BESIDE = 1.5
#: Activations that a CPU worker may hold at once; more gains nothing, and several workers share the memory.
CPU_WORKING_SET = 1_200_000_000
SMALLEST_TILE = 32
#: Windows that one call of an accelerator may take; more of the smallest gain nothing.
MOST_WINDOWS = 16
#: A tensor of more numbers has no fast convolution on a CUDA device: kernels count in 32 bits.
MOST_NUMBERS = 2**31 - 1
#: Bytes of one tensor where the device has a bound of its own: Metal ends the process beyond 4 GiB ("total bytes of
#: NDArray > 2**32"), and Intel's first Arc cards allocate no more at once. With Intel's driver, Vulkan's
#: shaders see 1 GiB of a buffer (maxStorageBufferRange).
MOST_BYTES = {"mps": 2**32 - 1, "xpu": 2**32 - 1, "openvino-gpu": 2**32 - 1, "vulkan": 2**30}
#: How much more memory than torch ncnn takes: 24 kB per input pixel of anime_6B in fp32, measured with llvmpipe.
VULKAN_TIMES = 2
#: Frames are computed together up to so many input pixels: one small frame alone leaves a large device idle.
PIXELS_AT_ONCE = 1 << 20
#: Bytes of a number of the planes between two passes.
BETWEEN_BYTES = 2
#: Sides of windows on an accelerator, where a picture is cut: it keeps a plan of some 200 kB for each new shape.
WINDOW_STEP = 32


@dataclass(frozen=True)
class Estimate:
    """The cost of one picture."""

    passes: int
    tiles: int
    bytes: int  # host memory at the peak: input, result, and on a CPU the network's activations
    gflop: float


def default_pad(spec: NetworkSpec) -> int:
    """Return the input pixels around a tile: exact for SRVGGNetCompact, practically seamless for RRDBNet.

    For another family, what was found best when it was measured.
    """
    if spec.traits is not None:
        return spec.traits.padding
    exact = spec.exact_padding or 0
    return exact if spec.architecture == "srvggnet" else min(exact, RRDB_PAD * spec.unshuffle)


def padding(spec: NetworkSpec, tile_pad: int | None) -> int:
    """Return the padding asked for, or else the default, in input pixels."""
    return default_pad(spec) if tile_pad is None else tile_pad


def overlap_of(spec: NetworkSpec, pad: int) -> int:
    """Return the input pixels over which tiles with that padding fade into each other: 0 where they are exact."""
    exact = spec.exact_padding
    if exact is not None and pad >= exact:
        return 0
    if spec.traits is not None:
        return pad // 2
    return RRDB_OVERLAP * spec.unshuffle if spec.architecture == "rrdbnet" else 0


def wants_whole(spec: NetworkSpec) -> bool:
    """Return True for a network whose tiles are told from the whole picture: it is cut only where memory is short."""
    return spec.traits is not None and spec.traits.tiling == "whole"


def network_bytes(spec: NetworkSpec, window_pixels: int, *, item_bytes: int = 4) -> int:
    """Return the bytes of activations of one call of the network.

    Peaks measured with torch in fp32: RRDBNet 13 kB per input pixel, held by three tensors of the last, largest size;
    SRVGGNetCompact 1.3 kB. Those of other families are counted when they are imported.
    """
    if spec.traits is not None:
        return int(_BESIDE * spec.traits.bytes_per_pixel * item_bytes / 4 * window_pixels)
    if spec.architecture == "rrdbnet":
        numbers = 3.2 * spec.features * max(spec.scale, 1) ** 2
    else:
        numbers = 3.0 * spec.features + 3.0 * spec.channels * spec.scale**2
    return int(numbers * item_bytes * window_pixels)


def preferred_tile(spec: NetworkSpec, kind: str) -> int:
    """Return the side in input pixels, without padding, that gives the best throughput on a kind of device."""
    sort = "cpu" if kind == "cpu" else "accelerator"
    if spec.traits is None:
        side = PREFERRED_TILE.get((kind, spec.architecture)) or PREFERRED_TILE[sort, spec.architecture]
        return side * spec.unshuffle
    side = FOREIGN_TILE[sort, spec.mflop_per_pixel < LIGHT_MFLOP]
    return max(spec.align, side // spec.align * spec.align)


def largest_window(spec: NetworkSpec, *, kind: str = "cuda", item_bytes: int = 4) -> int:
    """Return the most input pixels that one call of an accelerator may take, whatever memory there is.

    RRDBNet's largest tensor has 64 features for each pixel of the result, so 2.09 megapixels go in at ×4.
    """
    numbers: float = max(
        spec.features * spec.scale**2,
        (spec.features + 4 * spec.growth) // spec.unshuffle**2,
        spec.channels * spec.scale**2,
    )
    if spec.traits is not None:
        numbers = spec.traits.widest
    most = min(MOST_NUMBERS, MOST_BYTES[kind] // item_bytes) if kind in MOST_BYTES else MOST_NUMBERS
    return int(most / max(1.0, numbers))


def choose_tile(
    spec: NetworkSpec, width: int, height: int, *, kind: str, pad: int, free_bytes: int, item_bytes: int = 4
) -> int:
    """Return the tile side in input pixels for a plane of that size: 0 where it fits whole, else the largest that pays.

    :param kind: of the device: "cpu", "cuda", "xpu" …
    :param free_bytes: free memory of the device, in bytes; 0 when it is not known.
    :param item_bytes: bytes of one activation: 4 in fp32, 2 in bf16 and fp16.
    """
    budget = free_bytes // 2 if free_bytes else CPU_WORKING_SET // 2
    if kind == "cpu" and not wants_whole(spec):
        budget = min(budget, CPU_WORKING_SET)
    if kind == "vulkan":
        budget //= VULKAN_TIMES
    preferred = preferred_tile(spec, kind)
    whole = (width + BORDER) * (height + BORDER)
    if network_bytes(spec, whole, item_bytes=item_bytes) <= budget and (
        kind == "cpu" or wants_whole(spec) or max(width, height) <= 2 * preferred
    ):
        return 0
    per_pixel = network_bytes(spec, 1_000_000, item_bytes=item_bytes) / 1e6
    side = int(sqrt(max(budget, 0) / per_pixel)) - 2 * pad
    if kind != "cpu":
        # In steps: free memory is never twice the same, and every new shape of window costs a device time to settle.
        side = side // 32 * 32
    return max(SMALLEST_TILE, min(preferred, side))


def batch_size(spec: NetworkSpec, window_pixels: int, *, kind: str, free_bytes: int, item_bytes: int) -> int:
    """Return the number of windows of that size for one call: 1, or a power of two.

    An accelerator gets about the work of one preferred tile at once, where half the free memory allows it: small
    windows leave most of it idle (others measured up to 4 times the speed for SRVGGNetCompact). A CPU gets one: two
    threads are busy with any window, and a batch falls out of the cache.
    """
    if kind == "cpu":
        return 1
    side = preferred_tile(spec, kind)
    count = min(MOST_WINDOWS, side * side // window_pixels)
    if free_bytes:
        count = min(count, free_bytes // 2 // max(1, network_bytes(spec, window_pixels, item_bytes=item_bytes)))
    return 1 << (max(1, count).bit_length() - 1)


def frames_at_once(width: int, height: int) -> int:
    """Return how many frames of that size, in pixels, are computed together: at least 1."""
    return max(1, PIXELS_AT_ONCE // (width * height))


def estimate(
    specs: NetworkSpec | Sequence[NetworkSpec],
    *,
    width: int,
    height: int,
    frames: int = 1,
    gray: bool = False,
    alpha: bool = False,
    bits: int = 8,
    outscale: float | None = None,
    tile_size: int | None = None,
    tile_pad: int | None = None,
    kind: str = "cpu",
    free_bytes: int = 0,
    item_bytes: int = 4,
) -> Estimate:
    """Return the cost of a picture of that header, by the same arithmetic that the engine itself uses.

    ``specs`` is the network, or a chain's members in their order. ``width`` and ``height`` are in pixels, ``bits`` per
    channel. Tiles of alpha are counted as if every one had to be computed.
    """
    chain = (specs,) if isinstance(specs, NetworkSpec) else tuple(specs)
    passes = plan_passes(width, height, [spec.scale for spec in chain], outscale)
    planes = frames * (2 if alpha else 1)
    tiles, gflop, activations = 0, 0.0, 0
    for member, (step_width, step_height) in zip(passes.members, passes.inputs, strict=True):
        spec = chain[member]
        step = plan_plane(
            spec,
            step_width,
            step_height,
            tile_size=tile_size,
            tile_pad=tile_pad,
            kind=kind,
            free_bytes=free_bytes,
            item_bytes=item_bytes,
        )
        tiles += step.tiles * planes
        gflop += step.tiles * step.window_pixels * planes * spec.mflop_per_pixel / 1e3
        activations = max(activations, network_bytes(spec, step.window_pixels, item_bytes=item_bytes))
    channels = (1 if gray else 3) + (1 if alpha else 0)
    item = bits // 8
    held = width * height * frames * channels * item + passes.width * passes.height * frames * channels * item
    between = _between(passes) * channels * min(frames, frames_at_once(width, height))
    return Estimate(
        passes=len(passes.inputs),
        tiles=tiles,
        # Twice the result: the encoder works on a copy in its own channel order.
        bytes=held + passes.width * passes.height * channels * item + between + (activations if kind == "cpu" else 0),
        gflop=gflop,
    )


def _between(passes: Passes) -> int:
    """Return the most bytes of one channel that planes between two passes take at once.

    A pass holds what it reads whole, a copy of that with its mirrored border, and what the next one is to read.
    """
    sizes = [width * height * BETWEEN_BYTES for width, height in passes.inputs[1:]]
    read, written = [0, *sizes], [*sizes, 0]
    return max(2 * one + other for one, other in zip(read, written, strict=True))


def plan_plane(
    spec: NetworkSpec,
    width: int,
    height: int,
    *,
    tile_size: int | None,
    tile_pad: int | None,
    kind: str,
    free_bytes: int,
    item_bytes: int,
) -> TilePlan:
    """Return the tiles of one pass over one plane; sizes are in that pass's input pixels."""
    pad = padding(spec, tile_pad)
    if tile_size is None:
        tile_size = choose_tile(spec, width, height, kind=kind, pad=pad, free_bytes=free_bytes, item_bytes=item_bytes)
    if kind != "cpu":
        most = largest_window(spec, kind=kind, item_bytes=item_bytes)
        side = isqrt(most) // WINDOW_STEP * WINDOW_STEP - WINDOW_STEP - 2 * pad
        whole = (width + BORDER + spec.align) * (height + BORDER + spec.align)
        if tile_size > side or (tile_size == 0 and whole > most):
            tile_size = side
    return plan(
        width,
        height,
        tile=tile_size,
        pad=pad,
        align=spec.align,
        overlap=overlap_of(spec, pad),
        step=WINDOW_STEP if kind != "cpu" else 1,
        full_width=-(-(width + BORDER) // spec.align) * spec.align,
        full_height=-(-(height + BORDER) // spec.align) * spec.align,
    )


__all__ = ["BORDER", "Estimate", "Passes", "choose_tile", "default_pad", "estimate", "network_bytes", "plan_plane"]
