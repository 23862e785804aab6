"""Weights in the order in which the kernels read them; packed once, when a network is loaded."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Layer:
    """One convolution. ``tile`` is the number of output channels of the kernel's tile: 8, 32 or 64."""

    weight: Tensor  # (Cout/tile, Cin/16, 9, 2, tile, 8) fp16, padded with zeros
    bias: Tensor  # (Cout,) fp32, padded to whole tiles
    slope: Tensor  # (Cout,) fp32: what negative results are multiplied with; 1 is no activation
    inputs: int  # channels that are read, a multiple of 16
    outputs: int
    tile: int


def layer(weight: Tensor, bias: Tensor, *, device: torch.device, slope: Tensor | float = 1.0, residual: bool) -> Layer:
    """Pack a convolution.

    :param weight: (Cout, Cin, 3, 3) fp32. :param bias: (Cout,).
    :param slope: of the leaky ReLU or PReLU behind it. :param residual: whether something is added to its result.
    """
    outputs, inputs = weight.shape[:2]
    tile = tile_channels(outputs, residual=residual)
    tiles = -(-outputs // tile)
    biases = torch.zeros(tiles * tile, dtype=torch.float32, device=device)
    biases[:outputs] = bias.to(device)
    slopes = torch.ones(tiles * tile, dtype=torch.float32, device=device)
    slopes[:outputs] = slope.to(device) if isinstance(slope, Tensor) else slope
    packed = pack(weight.to(device), tile)
    return Layer(packed, biases, slopes, inputs=-(-inputs // 16) * 16, outputs=outputs, tile=tile)


def tile_channels(outputs: int, *, residual: bool) -> int:
    """Output channels of the tile for a layer; only the widest one is compiled with residuals."""
    if residual or outputs > 32:
        return 64
    return 32 if outputs > 8 else 8


def pack(weight: Tensor, tile: int) -> Tensor:
    """Pack weights in the order of the kernel, zeros where there is nothing.

    :param weight: (Cout, Cin, 3, 3) fp32. :returns: (Cout/tile, Cin/16, 9, 2, tile, 8) fp16.

    That is: per 16 input channels and tap, two chunks of 8 channels, as the kernel has them in shared memory.
    """
    outputs, inputs = weight.shape[:2]
    tiles, slices = -(-outputs // tile), -(-inputs // 16)
    full = torch.zeros(tiles * tile, slices * 16, 3, 3, dtype=torch.float32, device=weight.device)
    full[:outputs, :inputs] = weight.float()
    order = torch.tensor(column_channels(tile), device=weight.device)
    full = full.view(tiles, tile, slices, 2, 8, 9)[:, order]
    return full.permute(0, 2, 5, 3, 1, 4).contiguous().half()


def column_channels(tile: int) -> list[int]:
    """Return the output channel of each column of the matrix product.

    A thread gets columns 2q and 2q+1 of every 8 (PTX ISA, fragments of mma.m16n8k16 and wgmma). In this order the
    eight that it gets of 32 columns are neighbours, and it reads and writes 16 bytes at a time.
    """
    if tile < 32:
        return list(range(tile))
    return [32 * (c // 32) + 8 * (c % 8 // 2) + 2 * (c % 32 // 8) + c % 2 for c in range(tile)]
