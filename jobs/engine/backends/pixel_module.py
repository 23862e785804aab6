"""The network with its pixel conversions fused in front and behind, as one torch module."""

from typing import Literal

import torch
from torch import Tensor, nn

Output = Literal["uint8", "uint16", "float32"]
_RANGE = {"uint8": 255.0, "uint16": 65535.0}
#: Luma of (R, G, B) by ITU-R BT.601, as OpenCV's BGR2GRAY and so the reference computes it.
_GRAY = (0.299, 0.587, 0.114)


class PixelModule(nn.Module):
    """A network from (N, H, W, C) pixels to pixels of the same C, and a number per picture that is finite when all are.

    A gray picture goes through an RGB network as three equal channels and comes back as their luma. An RGB picture goes
    through a gray network channel by channel.

    :param channels: of the network, 3 (RGB) or 1 (gray).
    :param compute: the dtype in which the network runs.
    :param memory_format: in which it is given its pixels.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        channels: int,
        compute: torch.dtype,
        memory_format: torch.memory_format = torch.channels_last,
    ) -> None:
        super().__init__()
        self.network = network
        self.channels = channels
        self.compute = compute
        self.memory_format = memory_format
        self.luma: Tensor
        # Registered here, not made in forward: a copy from the host cannot be part of a CUDA graph.
        self.register_buffer("luma", torch.tensor(_GRAY), persistent=False)

    def forward(self, pixels: Tensor, full: float, gray: bool) -> tuple[Tensor, Tensor]:
        """Upscale (N, H, W, C) pixels of any number type, RGB or gray, 0 to ``full``.

        :returns: (N, H*s, W*s, C) float32 clamped to [0, 1], and (N,) the means of the network's raw output, which no
            number format overflows in as it does in sums.
        """
        raw = self.network(self._enter(pixels, full))  # (M, c, H*s, W*s); M is 3 N for RGB in a gray network
        raw = raw.float()
        mean = raw.mean(dim=(1, 2, 3)).reshape(pixels.shape[0], -1).mean(dim=1)  # (M,) -> (N, M/N) -> (N,)
        return self._leave(raw, pixels.shape[0], gray), mean

    def _enter(self, pixels: Tensor, full: float) -> Tensor:
        x = pixels.permute(0, 3, 1, 2).to(torch.float32) / full  # (N, C, H, W) in [0, 1]
        if self.channels == 3 and x.shape[1] == 1:
            x = x.expand(-1, 3, -1, -1)  # (N, 3, H, W)
        elif self.channels == 1 and x.shape[1] == 3:
            x = x.reshape(-1, 1, x.shape[2], x.shape[3])  # (3 N, 1, H, W)
        return x.to(self.compute).contiguous(memory_format=self.memory_format)

    def _leave(self, raw: Tensor, count: int, gray: bool) -> Tensor:
        out = raw.clamp(0.0, 1.0)
        if self.channels == 1 and not gray:
            out = out.reshape(count, 3, out.shape[2], out.shape[3])  # (N, 3, H*s, W*s)
        out = out.permute(0, 2, 3, 1)  # (N, H*s, W*s, C)
        if self.channels == 3 and gray:
            out = (out * self.luma).sum(dim=3, keepdim=True)  # (N, H*s, W*s, 1)
        return out


def quantize(out: Tensor, output: Output) -> Tensor:
    """Turn [0, 1] float32 of any shape into whole numbers of the full range, rounding half to even as numpy does.

    float32 is returned as it is. uint16 comes as int16 of the same bits: torch computes little in uint16, and int32
    would be twice the bytes to copy off a device.
    """
    if output == "float32":
        return out
    scaled = (out * _RANGE[output]).round_()
    return scaled.to(torch.uint8) if output == "uint8" else scaled.to(torch.int32).to(torch.int16)
