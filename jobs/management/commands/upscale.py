"""``manage.py upscale INPUT… -o OUT``: pictures and whole directories, upscaled by this process itself."""

import argparse
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from jobs.cli import inputs
from jobs.cli.plans import names_a_file
from jobs.cli.run import Run
from jobs.engine.errors import DeviceUnavailable, EngineError, WeightsRejected
from jobs.engine.tiling.passes import LARGEST_SCALE, SMALLEST_SCALE
from jobs.errors import ChainRefused
from modelstore.errors import ModelStoreError
from modelstore.networks.errors import NetworkError

DEFAULT_NAME = "{stem}_{model}_x{scale}"


@dataclass
class Tally:
    """The pictures of a run, counted by what became of them."""

    done: int = 0
    kept: int = 0  # the result was there already
    failed: int = 0
    targets: set[Path] = field(default_factory=set)


class Command(BaseCommand):
    help = (
        "Upscale pictures without the web service. Directories are taken with everything below them, and the results "
        "keep the tree. A picture that fails is reported and the others go on; the exit code is then 1."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("inputs", nargs="+", type=Path, metavar="INPUT", help="picture or directory")
        parser.add_argument(
            "-o", "--output", type=Path, required=True, metavar="OUT",
            help="directory, made if needed; for a single picture also a file such as out.png",
        )  # fmt: skip
        parser.add_argument(
            "-m", "--model", default=settings.DEFAULT_MODEL,
            help="name of a model, or path of a .pth or .safetensors file; up to three with + between them are a chain "
            "that the picture goes through, such as denoise+RealESRGAN_x4plus (default: %(default)s)",
        )  # fmt: skip
        parser.add_argument(
            "-s", "--outscale", type=_within(float, SMALLEST_SCALE, LARGEST_SCALE), metavar="N",
            help="enlargement, 1 to 16 (default: the model's own, or the product of a chain's)",
        )  # fmt: skip
        parser.add_argument(
            "--longest-side", type=_within(int, 1, 1_000_000), metavar="PX",
            help="pixels of the result's longer side, instead of --outscale",
        )  # fmt: skip
        for side in ("width", "height"):
            parser.add_argument(
                f"--{side}", type=_within(int, 1, 1_000_000), metavar="PX",
                help=f"pixels of the result's {side}; the picture keeps its proportions, with both it fits inside",
            )  # fmt: skip
        parser.add_argument("--tile-size", type=_tile_size, metavar="PX", help="32 to 2048 input pixels; 0: no tiles")
        parser.add_argument(
            "--tile-pad", type=_within(int, 0, 128), metavar="PX", help="surroundings of a tile, 0 to 128"
        )
        parser.add_argument(
            "--denoise-strength", type=_within(float, 0, 1), metavar="N",
            help="0 (keep noise) to 1, for models published as a pair, such as realesr-general-x4v3",
        )  # fmt: skip
        parser.add_argument(
            "-f", "--format", choices=list(inputs.SUFFIXES), help="default: as the input, if it can hold the result"
        )
        parser.add_argument(
            "--quality", type=_within(int, 1, 100), metavar="N", help="of jpeg, webp, avif and jxl, 1 to 100"
        )
        parser.add_argument("--lossless", action="store_true", help="for webp, avif and jxl")
        parser.add_argument(
            "--strip-metadata",
            nargs="?",
            const="all",
            choices=("none", "location", "all"),
            help="keep no EXIF, XMP, IPTC or texts; location: no GPS. The colour profile stays",
        )
        parser.add_argument(
            "--name", default=DEFAULT_NAME, metavar="TEMPLATE",
            help="name of results without suffix, of {stem}, {ext}, {model} and {scale} (default: %(default)s)",
        )  # fmt: skip
        parser.add_argument(
            "--overwrite", action="store_true", help="replace results that exist; otherwise they are kept"
        )
        parser.add_argument(
            "--device", default=settings.DEVICE,
            help="auto, cpu, cuda, xpu, mps, openvino-gpu or vulkan, some with :N (default: %(default)s)",
        )  # fmt: skip
        parser.add_argument("--precision", choices=["auto", "fp32", "bf16", "fp16"], default=settings.PRECISION)
        parser.add_argument(
            "--backend",
            choices=["auto", "torch", "openvino", "winograd", "reference"],
            default=settings.ENGINE_BACKEND,
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        items, run = self.prepared(options)
        self._all(items, run, options["verbosity"])

    def prepared(self, options: dict[str, Any]) -> tuple[list[inputs.Item], Run]:
        """Return the pictures that ``options`` name, and what makes them larger.

        :raises CommandError: the inputs, the model or the options cannot be used so.
        """
        try:
            names_a_file(options)
            items = inputs.gather(options["inputs"], options["output"])
            return items, Run(options)
        except (inputs.GatheringError, ChainRefused, ModelStoreError, NetworkError) as error:
            raise CommandError(str(error)) from None

    def _all(self, items: list[inputs.Item], run: Run, verbosity: int) -> None:
        tally = Tally()
        try:
            for item in items:
                position = f"[{tally.done + tally.kept + tally.failed + 1}/{len(items)}]"
                self._one(run, item, tally, position, verbosity)
        except KeyboardInterrupt:
            self.stderr.write(f"Interrupted. {tally.done} of {len(items)} done.")
            sys.exit(130)
        except (WeightsRejected, DeviceUnavailable) as error:  # the next picture would fail likewise
            raise CommandError(str(error)) from None
        if len(items) > 1 or tally.failed or tally.kept:
            parts = [f"{tally.done} upscaled"]
            parts += [f"{tally.kept} kept (--overwrite replaces them)"] if tally.kept else []
            parts += [f"{tally.failed} failed"] if tally.failed else []
            self.stdout.write(", ".join(parts) + ".")
        if tally.failed:
            sys.exit(1)

    def _one(self, run: Run, item: inputs.Item, tally: Tally, position: str, verbosity: int) -> None:
        try:
            plan = run.planner.plan(item)
            target = plan.target
            if target in tally.targets:
                raise inputs.GatheringError(
                    f"its result {target} would replace that of another picture; tell them apart: "
                    f"--name '{{stem}}_{{ext}}_{{model}}_x{{scale}}'"
                )
            tally.targets.add(target)
            if target.exists() and not run.planner.overwrite:
                tally.kept += 1
                self.stdout.write(f"{position} {item.label}: kept {target}")
                return
            with tqdm(desc=item.label, unit="tile", leave=False, disable=None) as bar:
                said = run.upscale(item, plan, _moves(bar)).told(verbosity)
        except (WeightsRejected, DeviceUnavailable):
            raise
        except (EngineError, inputs.GatheringError, OSError) as error:
            tally.failed += 1
            self.stderr.write(self.style.ERROR(f"{position} {item.label}: {error}"))
            return
        tally.done += 1
        self.stdout.write(f"{position} {item.label} → {target}: {said}")


def _moves(bar: "tqdm[Any]") -> Callable[[int, int], None]:
    def on_tile(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    return on_tile


def _within(kind: Callable[[str], float], least: float, most: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a {'whole ' if kind is int else ''}number") from None
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{value:g} is out of bounds: {least:g} to {most:g}")
        return value

    return read


def _tile_size(text: str) -> float:
    return 0 if text == "0" else _within(int, 32, 2048)(text)
