"""RRDBNet: the residual-in-residual dense network of ESRGAN and RealESRGAN_x4plus, _x2plus, _anime_6B."""

import torch
from torch import Tensor, nn
from torch.nn import functional

#: ESRGAN (Wang et al. 2018, section 3.1) scales residuals by this before adding them, or training diverges.
RESIDUAL_SCALE = 0.2


class ResidualDenseBlock(nn.Module):
    """Five convolutions, each over all that came before it; parameters ``conv1`` ... ``conv5`` as in basicsr."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(features, growth, 3, 1, 1)
        self.conv2 = nn.Conv2d(features + growth, growth, 3, 1, 1)
        self.conv3 = nn.Conv2d(features + 2 * growth, growth, 3, 1, 1)
        self.conv4 = nn.Conv2d(features + 3 * growth, growth, 3, 1, 1)
        self.conv5 = nn.Conv2d(features + 4 * growth, features, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Compute (N, features, H, W) to the same shape."""
        x1 = functional.leaky_relu(self.conv1(x), 0.2, inplace=True)
        x2 = functional.leaky_relu(self.conv2(torch.cat((x, x1), 1)), 0.2, inplace=True)
        x3 = functional.leaky_relu(self.conv3(torch.cat((x, x1, x2), 1)), 0.2, inplace=True)
        x4 = functional.leaky_relu(self.conv4(torch.cat((x, x1, x2, x3), 1)), 0.2, inplace=True)
        x5: Tensor = self.conv5(torch.cat((x, x1, x2, x3, x4), 1))
        return x5 * RESIDUAL_SCALE + x


class RRDB(nn.Module):
    """Three dense blocks in a row with one residual around them."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.rdb1 = ResidualDenseBlock(features, growth)
        self.rdb2 = ResidualDenseBlock(features, growth)
        self.rdb3 = ResidualDenseBlock(features, growth)

    def forward(self, x: Tensor) -> Tensor:
        """Compute (N, features, H, W) to the same shape."""
        out: Tensor = self.rdb3(self.rdb2(self.rdb1(x)))
        return out * RESIDUAL_SCALE + x


class RRDBNet(nn.Module):
    """Trunk of RRDB blocks at the input's resolution (or below it, after unshuffling), then doublings.

    Source: BasicSR, basicsr/archs/rrdbnet_arch.py (Apache-2.0, Xintao Wang et al.). Its parameter names are kept
    (``conv_first``, ``body.0.rdb1.conv1`` ... ``conv_last``), so that official state dicts load as they are.

    :param features: channels of the trunk. :param growth: channels that each dense convolution adds.
    :param unshuffle: 1 (x4), 2 (x2) or 4 (x1): the input is folded by this factor into channels first.
    :param doublings: how often the resolution is doubled at the end; 2 in all official networks.
    """

    def __init__(
        self,
        *,
        channels: int = 3,
        features: int = 64,
        blocks: int = 23,
        growth: int = 32,
        unshuffle: int = 1,
        doublings: int = 2,
    ) -> None:
        super().__init__()
        self.unshuffle = unshuffle
        self.doublings = doublings
        self.scale = 2**doublings // unshuffle
        self.conv_first = nn.Conv2d(channels * unshuffle * unshuffle, features, 3, 1, 1)
        self.body = nn.Sequential(*(RRDB(features, growth) for _ in range(blocks)))
        self.conv_body = nn.Conv2d(features, features, 3, 1, 1)
        for index in range(1, doublings + 1):
            setattr(self, f"conv_up{index}", nn.Conv2d(features, features, 3, 1, 1))
        self.conv_hr = nn.Conv2d(features, features, 3, 1, 1)
        self.conv_last = nn.Conv2d(features, channels, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge (N, C, H, W) in [0, 1], RGB or gray, H and W multiples of ``unshuffle``.

        :returns: (N, C, H*scale, W*scale), about [0, 1], not clamped.
        """
        if self.unshuffle > 1:
            x = functional.pixel_unshuffle(x, self.unshuffle)  # (N, C*u*u, H/u, W/u)
        first = self.conv_first(x)  # (N, features, H/u, W/u)
        out = first + self.conv_body(self.body(first))
        for index in range(1, self.doublings + 1):
            out = functional.interpolate(out, scale_factor=2, mode="nearest")  # sides doubled
            out = functional.leaky_relu(getattr(self, f"conv_up{index}")(out), 0.2, inplace=True)
        last: Tensor = self.conv_last(functional.leaky_relu(self.conv_hr(out), 0.2, inplace=True))  # (N, C, H*s, W*s)
        return last
