"""The network with its pixel conversions fused in front and behind, as one torch module."""

from typing import Literal

import torch
from torch import Tensor, nn

Output = Literal["uint8", "uint16", "float32"]
_RANGE = {"uint8": 255.0, "uint16": 65535.0}
#: ITU-R BT.601, what OpenCV's BGR2GRAY and so the reference uses.
_GRAY = (0.299, 0.587, 0.114)


class PixelModule(nn.Module):
    """(N, H, W, C) pixels in, pixels out of the same C, and one number per picture, finite when all its pixels are.

    A gray picture goes through an RGB network as three equal channels and comes back as their luma. An RGB picture goes
    through a gray network channel by channel.

    :param channels: of the network. :param compute: the type in which the network runs.
    """

    def __init__(self, network: nn.Module, *, channels: int, compute: torch.dtype) -> None:
        super().__init__()
        self.network = network
        self.channels = channels
        self.compute = compute
        self.luma: Tensor
        # A buffer, not made where it is used: a copy from the host cannot be part of a CUDA graph.
        self.register_buffer("luma", torch.tensor(_GRAY), persistent=False)

    def forward(self, pixels: Tensor, full: float, gray: bool) -> tuple[Tensor, Tensor]:
        """:param pixels: (N, H, W, C) of any number type, 0 to ``full``.

        :returns: (N, H*s, W*s, C) float32 clamped to [0, 1], and (N,) the sums of the network's raw output.
        """
        raw = self.network(self._enter(pixels, full))
        raw = raw.float()
        total = raw.sum(dim=(1, 2, 3)).reshape(pixels.shape[0], -1).sum(dim=1)
        return self._leave(raw, pixels.shape[0], gray), total

    def _enter(self, pixels: Tensor, full: float) -> Tensor:
        x = pixels.permute(0, 3, 1, 2).to(torch.float32) / full
        if self.channels == 3 and x.shape[1] == 1:
            x = x.expand(-1, 3, -1, -1)
        elif self.channels == 1 and x.shape[1] == 3:
            x = x.reshape(-1, 1, x.shape[2], x.shape[3])
        return x.to(self.compute).contiguous(memory_format=torch.channels_last)

    def _leave(self, raw: Tensor, count: int, gray: bool) -> Tensor:
        out = raw.clamp(0.0, 1.0)
        if self.channels == 1 and not gray:
            out = out.reshape(count, 3, out.shape[2], out.shape[3])
        out = out.permute(0, 2, 3, 1)
        if self.channels == 3 and gray:
            out = (out * self.luma).sum(dim=3, keepdim=True)
        return out


def quantize(out: Tensor, output: Output) -> Tensor:
    """[0, 1] to whole numbers, half to even as numpy rounds. uint16 comes as int16 of the same bits.

    Torch computes little in uint16, and int32 would be twice the bytes to copy off a device.
    """
    if output == "float32":
        return out
    scaled = (out * _RANGE[output]).round_()
    return scaled.to(torch.uint8) if output == "uint8" else scaled.to(torch.int32).to(torch.int16)
