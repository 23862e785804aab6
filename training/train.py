"""Train the bundled model: `python -m training.train --pictures FOLDER --run FOLDER --until 07:00`.

Ctrl-C or SIGTERM saves and ends; the same command goes on where it ended. Every minute's state can be exported.
"""

import argparse
import json
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import cv2
import torch

from training import pictures
from training.degrade import Array, standard_damage
from training.run import SCALE, Recipe, Run
from training.schedule import Budget, next_time, rate
from training.validate import Watch, cases

CHECKPOINT = "run.pt"
LOG = "log.jsonl"
SQUARED_FROM = 0.1
"""From this progress on the logarithm of the squared error counts, as PSNR has it; before, Charbonnier's error."""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    default = Recipe()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--pictures", type=Path, required=True, help="folder of photographs")
    parser.add_argument("--run", type=Path, required=True, help="folder of this run; one that exists is resumed")
    parser.add_argument("--steps", type=int, help="end after so many steps")
    parser.add_argument("--until", help="end at this time of day, HH:MM")
    parser.add_argument("--minutes", type=float, help="end so many minutes after the run was first started")
    parser.add_argument("--features", type=int, default=default.features, help="channels of the hidden layers")
    parser.add_argument("--convolutions", type=int, default=default.convolutions, help="hidden convolutions")
    parser.add_argument("--batch", type=int, default=default.batch, help="pairs per step")
    parser.add_argument("--patch", type=int, default=default.patch, help="side of the small patches, px")
    parser.add_argument("--clean-share", type=float, default=default.clean_share, help="pairs that are only shrunk")
    parser.add_argument("--optimizer", choices=("muon", "adamw"), default=default.optimizer, help="of hidden layers")
    parser.add_argument("--lr", type=float, default=default.lr, help="peak rate of Muon")
    parser.add_argument("--adam-lr", type=float, default=default.adam_lr, help="peak rate of AdamW")
    parser.add_argument("--seed", type=int, default=default.seed, help="of weights, pairs and held-out pictures")
    parser.add_argument("--holdout", type=int, default=default.holdout, help="pictures kept for validation")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to train")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default=default.precision, help="of the convolutions")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument("--validate-seconds", type=float, default=300.0, help="between validations")
    parser.add_argument("--save-seconds", type=float, default=60.0, help="between checkpoints")
    options = parser.parse_args(arguments)
    if options.steps is None and options.until is None and options.minutes is None:
        parser.error("say when to end: --steps, --until or --minutes")
    return options


def recipe_of(options: argparse.Namespace) -> Recipe:
    return Recipe(**{name: getattr(options, name) for name in Recipe.__dataclass_fields__})


def begin(options: argparse.Namespace) -> tuple[Run, Budget]:
    """Start a new run, or resume the one in the folder, which keeps the moment of its first start."""
    checkpoint = options.run / CHECKPOINT
    started = time.time()
    if checkpoint.exists():
        run, extra = Run.load(checkpoint, options.device)
        if run.recipe != recipe_of(options):
            raise SystemExit(f"{checkpoint} was made by another recipe: {run.recipe}")
        started = float(extra["started"])
    else:
        run = Run(recipe_of(options), options.device)
    deadline = None
    if options.until is not None:
        deadline = next_time(options.until, datetime.now().astimezone())
    elif options.minutes is not None:
        deadline = started + options.minutes * 60
    return run, Budget(options.steps, started, deadline)


class Session:
    """One stretch of a run, from start or resumption to its end or a signal."""

    def __init__(self, options: argparse.Namespace) -> None:
        options.run.mkdir(parents=True, exist_ok=True)
        self.folder: Path = options.run
        self.options = options
        kept, held = pictures.split(pictures.names(options.pictures), options.holdout, options.seed)
        self.library: list[Array] = [pictures.read(options.pictures / name) for name in kept]
        held_out = {name: pictures.read(options.pictures / name) for name in held}
        self.held = list(held_out.values())
        self.clean = Watch(cases(held_out, SCALE))
        self.damaged = Watch(cases(held_out, SCALE, standard_damage))
        self.run, self.budget = begin(options)
        self.losses: list[float] = []
        self.stopping = False

    def stop(self, *_: object) -> None:
        """Ask `work` to save and end after the current step. A signal handler."""
        self.stopping = True

    def batch(self, step: int) -> tuple[Any, Any]:
        """Return the pairs of that step, as `pictures.batch` makes them."""
        recipe = self.run.recipe
        return pictures.batch(
            self.library,
            size=recipe.batch,
            patch=recipe.patch,
            scale=SCALE,
            clean_share=recipe.clean_share,
            seed=recipe.seed,
            step=step,
        )

    def save(self) -> None:
        """Replace the checkpoint by the state of now."""
        self.run.save(self.folder / CHECKPOINT, {"started": self.budget.started})

    def validate(self) -> None:
        """Append one line to the log: the loss since the last line, the gains of the averaged weights now."""
        now = time.time()
        record = {
            "step": self.run.step,
            "seconds": round(now - self.budget.started, 1),
            "loss": round(sum(self.losses) / max(len(self.losses), 1), 6),
            "rate": round(rate(self.run.step, self.budget.progress(self.run.step, now)), 4),
            "clean_gain_db": round(self.clean.gain(self.run.average), 4),
            "damaged_gain_db": round(self.damaged.gain(self.run.average), 4),
        }
        self.losses.clear()
        with (self.folder / LOG).open("a") as log:
            log.write(json.dumps(record) + "\n")
        print(record, flush=True)

    def work(self) -> None:
        """Step until the budget is used up or `stop` was called, then save; validate when the run is complete."""
        saved = validated = time.time()
        with ThreadPoolExecutor(1) as ahead:
            coming = ahead.submit(self.batch, self.run.step)
            while (progress := self.budget.progress(self.run.step, time.time())) < 1 and not self.stopping:
                small, large = coming.result()
                coming = ahead.submit(self.batch, self.run.step + 1)
                factor, squared = rate(self.run.step, progress), progress > SQUARED_FROM
                self.losses.append(self.run.train_step(small, large, factor, squared=squared))
                now = time.time()
                if now - saved > self.options.save_seconds:
                    self.save()
                    saved = now
                if now - validated > self.options.validate_seconds:
                    self.validate()
                    validated = time.time()
        self.save()
        if not self.stopping:
            self.validate()


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)  # pairs are made beside the training, on one thread
    session = Session(options)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, session.stop)
    session.work()


if __name__ == "__main__":
    main()
