"""One training run: network, optimisers, average of the weights; its steps and its checkpoint.

Depends on no clock and no command line: `train.py` drives it.
"""

import copy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from modelstore.networks.srvgg import SRVGGNetCompact
from training.degrade import LUMA
from training.muon import Muon

EMA_DECAY = 0.999
SCALE = 4
LUMA_SHARE = 0.75
"""Of the luma in `log_square`; the rest is the mean over R, G and B, so that colours stay where they are."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the result, stored in the checkpoint. A resumed run must agree on it."""

    features: int = 48
    convolutions: int = 16
    batch: int = 8
    patch: int = 48
    clean_share: float = 0.68
    optimizer: str = "muon"
    lr: float = 2e-3
    adam_lr: float = 1e-3
    seed: int = 7
    holdout: int = 20
    precision: str = "fp32"


class Run:
    """:param device: "cpu" or "cuda". With precision "bf16" convolutions run in bfloat16, weights stay float32."""

    def __init__(self, recipe: Recipe, device: str) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.device = torch.device(device)
        network = build(recipe).to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's types lack it
        self.network: SRVGGNetCompact = network
        self.average = copy.deepcopy(network).eval().requires_grad_(False)
        self.optimizers = optimizers(network, recipe)
        self._peaks = [group["lr"] for optimizer in self.optimizers for group in optimizer.param_groups]
        self.step = 0

    def train_step(
        self, small: npt.NDArray[np.uint8], large: npt.NDArray[np.uint8], factor: float, *, squared: bool = False
    ) -> float:
        """Update once with the peak rates times `factor`. Return the mean absolute error (0 to 1 scale).

        :param squared: minimise `log_square`, which is what PSNR measures, instead of Charbonnier's error.
        """
        groups = [group for optimizer in self.optimizers for group in optimizer.param_groups]
        for group, peak in zip(groups, self._peaks, strict=True):
            group["lr"] = peak * factor
        x, y = self.tensor(small), self.tensor(large)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.precision == "bf16"):
            prediction = self.network(x)
        error = charbonnier(prediction.float(), y)
        loss = log_square(prediction.float(), y) if squared else error
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        self.update_average()
        return float(error.detach())

    def tensor(self, pictures: npt.NDArray[np.uint8]) -> Tensor:
        """Return uint8 pictures (N, H, W, 3) as float32 (N, 3, H, W) in [0, 1], on the network's device."""
        # (N, H, W, 3) memory seen as (N, 3, H, W) is channels_last already: no copy but the conversion.
        return torch.from_numpy(pictures).to(self.device).permute(0, 3, 1, 2).float().div_(255)

    @torch.no_grad()
    def update_average(self) -> None:
        """Move the averaged weights a little towards the network's. For whoever makes steps of their own."""
        # A short memory at first: an average that still contains the initial weights is worth nothing.
        decay = min(EMA_DECAY, (1 + self.step) / (10 + self.step))
        for mean, current in zip(self.average.parameters(), self.network.parameters(), strict=True):
            mean.lerp_(current, 1 - decay)

    def save(self, path: Path, extra: dict[str, Any]) -> None:
        """Write everything that a resumed run needs, replacing `path` in one move."""
        state = {
            "recipe": asdict(self.recipe),
            "step": self.step,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "extra": extra,
        }
        part = path.with_name(path.name + ".part")
        torch.save(state, part)
        part.replace(path)

    @classmethod
    def load(cls, path: Path, device: str) -> tuple["Run", dict[str, Any]]:
        """Return the run as it was saved, and what was saved as `extra`."""
        state = torch.load(path, map_location=device, weights_only=True)
        run = cls(Recipe(**state["recipe"]), device)
        run.step = state["step"]
        run.network.load_state_dict(state["network"])
        run.average.load_state_dict(state["average"])
        for optimizer, saved in zip(run.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        return run, state["extra"]


def charbonnier(prediction: Tensor, truth: Tensor, epsilon: float = 1e-3) -> Tensor:
    """Return the absolute error with a smooth bottom (Lai et al., 2017): as robust as L1, no jitter at zero."""
    return torch.sqrt((prediction - truth) ** 2 + epsilon**2).mean()


def log_square(prediction: Tensor, truth: Tensor, floor: float = 1e-4) -> Tensor:
    """Mean over the pairs of the logarithm of their mean squared error: PSNR with the sign turned, up to a factor.

    Every picture counts alike, as in a mean of PSNR; a plain squared error only looks at the hardest ones. The error of
    the luma makes three quarters of it: it is what the eye and the figures see, while JPEG throws the colour's away.
    """
    error = prediction - truth
    luma = torch.einsum("nchw,c->nhw", error, torch.tensor(LUMA, dtype=error.dtype, device=error.device))
    squared = LUMA_SHARE * (luma**2).mean(dim=(1, 2)) + (1 - LUMA_SHARE) * (error**2).mean(dim=(1, 2, 3))
    return torch.log(squared + floor).mean()


@torch.no_grad()
def build(recipe: Recipe) -> SRVGGNetCompact:
    """Build a network that starts as nearest-neighbour enlargement, with signals passing straight through every layer.

    The hidden convolutions start at the identity plus small noise, as if each had a skip connection (which the
    architecture lacks); the last starts at zero, so that the first residual is nothing rather than noise.
    """
    network = SRVGGNetCompact(features=recipe.features, convolutions=recipe.convolutions, scale=SCALE)
    convolutions = [layer for layer in network.body if isinstance(layer, nn.Conv2d)]
    for hidden in convolutions[1:-1]:
        hidden.weight.mul_(0.5)
        identity = torch.empty_like(hidden.weight)
        nn.init.dirac_(identity)
        hidden.weight.add_(identity)
    for convolution in convolutions:
        if convolution.bias is not None:
            convolution.bias.zero_()
    convolutions[-1].weight.zero_()
    return network


def optimizers(network: SRVGGNetCompact, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Return Muon for the hidden convolutions and AdamW for the rest, or ("adamw") AdamW for everything."""
    convolutions = [layer.weight for layer in network.body if isinstance(layer, nn.Conv2d)]
    hidden = convolutions[1:-1] if recipe.optimizer == "muon" else []
    taken = {id(weight) for weight in hidden}
    rest = [parameter for parameter in network.parameters() if id(parameter) not in taken]
    adam = torch.optim.AdamW(rest, lr=recipe.adam_lr, betas=(0.9, 0.99), weight_decay=0.0)
    return [adam, Muon(hidden, lr=recipe.lr)] if hidden else [adam]
