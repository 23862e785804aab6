"""Doubts about a device's numbers: drivers return black, torn or arbitrary pictures and report success.

Known from the field: black results (Upscayl issues 1203 and 1353), and pictures out of memory that an integrated card
did not give (Real-ESRGAN-ncnn-vulkan issue 80).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from jobs.engine.tiling.cost import default_pad
from modelstore.networks.spec import NetworkSpec

#: Side of the cells in which result and source are compared, and of the tile that is computed again, in input pixels.
CELL = 16
#: Input pixels around that tile which its computation sees. Of 24 tiles of photographs x4plus's were, on average, up
#: to 0.11 from the same pixels within a window, anime_6B's 0.09, animevideov3's 0.003. So what seems wrong is computed
#: once more with the network's padding around it: up to 0.04, 0.02 and nothing.
CONTEXT = 8
#: Mean difference up to which a tile is right, of a range of 1.
RIGHT = 0.05
#: And from which it is wrong, with the padding around it.
WRONG = 0.1
#: Difference of the means of a cell, between source and result, from which the cell is computed again: 0.03 is the
#: largest that the genuine networks show on a photograph.
SUSPICIOUS = 0.1


def fault(network: nn.Module, spec: NetworkSpec, source: Tensor, result: Tensor, *, always: bool) -> str:
    """Return what is wrong with a result, in words; "" where nothing is.

    One colour out of many is wrong at once. Otherwise the cell whose mean moved farthest from its source's is computed
    again by torch, where that is far, or ``always``.

    :param network: the same in fp32, on the CPU. :param spec: its numbers.
    :param source: (N, C, H, W) float32 in [0, 1]. :param result: (N, C, H*s, W*s) float32, finite.
    """
    for given, made in zip(source, result, strict=True):
        if made.amax() == made.amin() and given.amax() != given.amin():
            return "a tile of one colour"
    scale = result.shape[2] // source.shape[2]
    moved = (_means(source, CELL) - _means(result.clamp(0, 1), CELL * scale)).abs().amax(dim=1)  # (N, rows, columns)
    if not always and float(moved.max()) <= SUSPICIOUS:
        return ""
    number, row, column = (int(index) for index in torch.unravel_index(moved.argmax(), moved.shape))
    for context in sorted({CONTEXT, max(CONTEXT, default_pad(spec))}):
        apart = _apart(network, spec, source[number], result[number], (row * CELL, column * CELL), context)
        if apart <= RIGHT:
            return ""
    return f"a tile that is {apart:.2f} from the right one, of a range of 1" if apart > WRONG else ""


def _means(pixels: Tensor, side: int) -> Tensor:
    """Return the means of the cells of (N, C, H, W), those at the right and bottom border smaller."""
    return functional.avg_pool2d(pixels, side, ceil_mode=True, count_include_pad=False)


def _apart(
    network: nn.Module, spec: NetworkSpec, source: Tensor, result: Tensor, corner: tuple[int, int], context: int
) -> float:
    """Return how far a cell is from what torch computes of it and its context, on average.

    :param source: (C, H, W). :param corner: the cell's row and column in it.
    """
    _, height, width = source.shape
    top, left = corner
    bottom, right = min(top + CELL, height), min(left + CELL, width)
    # Where a window may begin, so that its pixels are seen as the whole of them was.
    first, start = (max(0, side - context) // spec.align * spec.align for side in (top, left))
    window = source[None, :, first : min(bottom + context, height), start : min(right + context, width)]
    right_one = network(window.contiguous(memory_format=torch.channels_last))[0].clamp(0, 1)  # (C, h*s, w*s)
    scale = result.shape[1] // height
    cell = result[:, top * scale : bottom * scale, left * scale : right * scale].clamp(0, 1)
    down, across = (top - first) * scale, (left - start) * scale
    return float((cell - right_one[:, down : down + cell.shape[1], across : across + cell.shape[2]]).abs().mean())
