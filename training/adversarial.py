"""The second stage, for the eye: `python -m training.adversarial --run RUN --pictures FOLDER --output RUN2`.

Goes on from a finished run with a discriminator that learns to tell results from photographs (Goodfellow et al., 2014;
hinge loss, spectral norms: Miyato et al., 2018) while the network learns to please it without leaving the truth. What
comes out is a run like any other: `training.export` and `training.evaluate` take it. Its figures against the truth fall
by design; look at the contact sheets.
"""

import argparse
import time
from pathlib import Path

import cv2
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from training import pictures
from training.run import SCALE, Run, charbonnier
from training.train import CHECKPOINT

RATE = 1e-4
"""Of Adam, for both networks, as ESRGAN's second stage has it."""


def discriminator(features: int = 32) -> nn.Sequential:
    """Build a network from RGB (N, 3, H, W) in [0, 1] to (N, 1, H/8, W/8); positive: 8x8 px look photographic."""
    layers: list[nn.Module] = []
    channels = 3
    for index in range(3):
        layers += [
            spectral_norm(nn.Conv2d(channels, features << index, 4, stride=2, padding=1)),
            nn.LeakyReLU(0.2),
        ]
        channels = features << index
    return nn.Sequential(*layers, spectral_norm(nn.Conv2d(channels, 1, 3, padding=1)))


class Contest:
    """Both networks and their optimisers. :param weight: of the discriminator's opinion beside Charbonnier's error."""

    def __init__(self, run: Run, weight: float) -> None:
        torch.manual_seed(run.recipe.seed)
        self.run = run
        self.weight = weight
        run.network.load_state_dict(run.average.state_dict())
        self.judge = discriminator().to(run.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's types lack it
        self.optimizer = torch.optim.Adam(run.network.parameters(), RATE, betas=(0.9, 0.99))
        self.judge_optimizer = torch.optim.Adam(self.judge.parameters(), RATE * 4, betas=(0.5, 0.99))

    def step(self, small: Tensor, large: Tensor) -> tuple[float, float]:
        """Update both networks once. Return (Charbonnier's error of the network, hinge loss of the discriminator)."""
        result = self.run.network(small)
        error = charbonnier(result, large)
        loss = error - self.weight * self.judge(result).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        self.judge_optimizer.zero_grad(set_to_none=True)
        true, false = self.judge(large), self.judge(result.detach())
        hinge = functional.relu(1 - true).mean() + functional.relu(1 + false).mean()
        hinge.backward()  # type: ignore[no-untyped-call]  # torch's
        self.judge_optimizer.step()
        self.run.step += 1
        self.run.update_average()
        return float(error.detach()), float(hinge.detach())


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of the finished first stage")
    parser.add_argument("--pictures", type=Path, required=True, help="the folder that it was trained with")
    parser.add_argument("--output", type=Path, required=True, help="folder for the new run")
    parser.add_argument("--steps", type=int, default=1000, help="steps of this stage")
    parser.add_argument("--weight", type=float, default=0.005, help="of the discriminator's opinion")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to train")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    run, _ = Run.load(options.run / CHECKPOINT, options.device)
    recipe = run.recipe
    kept, _ = pictures.split(pictures.names(options.pictures), recipe.holdout, recipe.seed)
    library = [pictures.read(options.pictures / name) for name in kept]
    contest = Contest(run, options.weight)
    started = time.time()
    for count in range(1, options.steps + 1):
        small, large = pictures.batch(
            library,
            size=recipe.batch,
            patch=recipe.patch,
            scale=SCALE,
            clean_share=recipe.clean_share,
            seed=recipe.seed,
            step=run.step,
        )
        error, hinge = contest.step(run.tensor(small), run.tensor(large))
        if count % 100 == 0 or count == options.steps:
            print(f"step {count}: error {error:.4f}, discriminator {hinge:.3f}", flush=True)
    options.output.mkdir(parents=True, exist_ok=True)
    run.save(options.output / CHECKPOINT, {"started": started})


if __name__ == "__main__":
    main()
