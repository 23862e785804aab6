"""Gain of a network over bicubic enlargement on held-out pictures, clean and damaged."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from training.degrade import Array, one_damage, resize
from training.metrics import psnr, ssim

DAMAGE_SEED = 20240607
"""Fixed: the damaged inputs of every evaluation of every model are the same pictures."""


Shrink = Callable[[Array, int, np.random.Generator], Array]


@dataclass(frozen=True, slots=True)
class Case:
    """One held-out picture: what the network sees, what it should give, what bicubic enlargement gives."""

    name: str
    small: Array
    large: Array
    bicubic: Array


@dataclass(frozen=True, slots=True)
class Score:
    """Luma PSNR (dB) and SSIM of a network and of bicubic enlargement on one case."""

    name: str
    psnr: float
    ssim: float
    bicubic_psnr: float
    bicubic_ssim: float


def cases(pictures: dict[str, Array], scale: int, shrink: Shrink = one_damage) -> list[Case]:
    """Return inputs and their truths, the same at every call.

    :param pictures: by name; each is cropped to multiples of `scale`.
    :param shrink: how the small picture is made; unless said, by bicubic shrinking and nothing else.
    """
    made = []
    for index, (name, picture) in enumerate(sorted(pictures.items())):
        height, width = (side - side % scale for side in picture.shape[:2])
        large = picture[:height, :width]
        rng = np.random.default_rng([DAMAGE_SEED, index])
        small = shrink(large, scale, rng)
        made.append(Case(name, small, large, resize(small, width, height)))
    return made


@torch.inference_mode()
def enlarge(network: nn.Module, small: Array) -> Array:
    """Run a network on one uint8 RGB picture in the network's own precision and device."""
    weight = next(network.parameters())
    x = torch.from_numpy(small.copy()).permute(2, 0, 1)[None].to(weight.device, weight.dtype) / 255
    y = network(x)[0].float().clamp(0, 1).mul(255).round().byte()
    return np.asarray(y.permute(1, 2, 0).cpu().numpy())


def scores(network: nn.Module, wanted: list[Case]) -> list[Score]:
    found = []
    for case in wanted:
        result = enlarge(network, case.small)
        found.append(
            Score(
                case.name,
                psnr(result, case.large),
                ssim(result, case.large),
                psnr(case.bicubic, case.large),
                ssim(case.bicubic, case.large),
            )
        )
    return found


def mean_gain(found: list[Score]) -> float:
    """Return the mean over pictures of the network's luma PSNR minus bicubic's, in dB."""
    return float(np.mean([score.psnr - score.bicubic_psnr for score in found]))


class Watch:
    """The mean gain again and again during a run: the same figure as `mean_gain`, without what costs time."""

    def __init__(self, wanted: list[Case]) -> None:
        self._cases = wanted
        self._bicubic = float(np.mean([psnr(case.bicubic, case.large) for case in wanted]))

    def gain(self, network: nn.Module) -> float:
        """Return the mean over pictures of the network's luma PSNR minus bicubic's, in dB."""
        return float(np.mean([psnr(enlarge(network, case.small), case.large) for case in self._cases])) - self._bicubic
