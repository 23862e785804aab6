"""SRVGGNetCompact: the small VGG-style network of realesr-animevideov3, realesr-general-x4v3 and the bundled model."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class SRVGGNetCompact(nn.Module):
    """A plain chain of 3x3 convolutions at the input's resolution, one pixel shuffle at the end.

    Source: Real-ESRGAN, realesrgan/archs/srvgg_arch.py (BSD-3-Clause, Xintao Wang). Its parameter names are kept
    (``body.0.weight`` ...), so that official state dicts load as they are.

    :param features: channels of the hidden layers.
    :param convolutions: hidden convolutions between the first and the last one.
    :param scale: enlargement, 1 to 8.
    """

    def __init__(
        self, *, in_channels: int = 3, out_channels: int = 3, features: int = 64, convolutions: int = 16, scale: int = 4
    ) -> None:
        super().__init__()
        self.scale = scale
        layers: list[nn.Module] = [nn.Conv2d(in_channels, features, 3, 1, 1), nn.PReLU(features)]
        for _ in range(convolutions):
            layers += [nn.Conv2d(features, features, 3, 1, 1), nn.PReLU(features)]
        layers.append(nn.Conv2d(features, out_channels * scale * scale, 3, 1, 1))
        self.body = nn.ModuleList(layers)
        self.upsampler = nn.PixelShuffle(scale)

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge (N, C, H, W) in [0, 1], RGB or gray.

        :returns: (N, C, H*scale, W*scale), about [0, 1], not clamped.
        """
        out = x
        for layer in self.body:
            out = layer(out)
        residual: Tensor = self.upsampler(out)  # (N, C*s*s, H, W) -> (N, C, H*s, W*s)
        base = functional.interpolate(x, scale_factor=self.scale, mode="nearest")  # (N, C, H*s, W*s)
        return torch.add(residual, base)
