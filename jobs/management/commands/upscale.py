"""``manage.py upscale INPUT… -o OUT``: pictures and whole directories, upscaled by this process itself."""

import argparse
import contextlib
import os
import sys
import time
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from jobs import chains
from jobs.cli import inputs
from jobs.cli.weights import Chosen, choose_chain
from jobs.engine.codec import decode, encode
from jobs.engine.codecs import output_format, probe
from jobs.engine.errors import DeviceUnavailable, EngineError, FormatUnsupported, WeightsRejected
from jobs.engine.tiling.passes import LARGEST_SCALE, SMALLEST_SCALE, native_scale, plan_passes
from jobs.engine.types import EncodeOptions, Frame, Header, OnTile, Picture, Report, Runtime, UpscaleOptions
from jobs.errors import ChainRefused
from jobs.options import STRIP, engine_limits
from modelstore.errors import ModelStoreError

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
        self._all(items, run)

    def prepared(self, options: dict[str, Any]) -> tuple[list[inputs.Item], "Run"]:
        """Return the pictures that ``options`` name, and what makes them larger.

        :raises CommandError: the inputs, the model or the options cannot be used so.
        """
        to_file = self.names_a_file(options)
        try:
            items = inputs.gather(options["inputs"], options["output"])
            chosen = choose_chain(options["model"], options["denoise_strength"])
            inputs.result_name(options["name"], source=Path("picture.png"), model=_name_of(chosen), scale=4)
        except (inputs.GatheringError, ChainRefused, ModelStoreError) as error:
            raise CommandError(str(error)) from None
        return items, Run(chosen, options, to_file=to_file)

    def _all(self, items: list[inputs.Item], run: "Run") -> None:
        tally = Tally()
        try:
            for item in items:
                self._one(run, item, tally, position=f"[{tally.done + tally.kept + tally.failed + 1}/{len(items)}]")
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

    def names_a_file(self, options: dict[str, Any]) -> bool:
        """Return whether -o names a file; it does for a single picture and a name with a picture's suffix."""
        target: Path = options["output"]
        single = len(options["inputs"]) == 1 and not options["inputs"][0].is_dir()
        if (
            target.is_dir()
            or not target.suffix
            or (not single and target.suffix.lower() not in inputs.PICTURE_SUFFIXES)
        ):
            return False
        if not single:
            raise CommandError(f"{target} looks like a file, but several pictures need a directory")
        asked = inputs.format_of(target)
        if asked is None:
            raise CommandError(
                f"{target.suffix} cannot be written: choose one of .png, .jpg, .webp, .avif, .tif, .jxl, or a directory"
            )
        if options["format"] not in (None, asked):
            raise CommandError(f"{target} is a name for {asked}, but --format says {options['format']}")
        options["format"] = asked
        return True

    def _one(self, run: "Run", item: inputs.Item, tally: Tally, position: str) -> None:
        try:
            header, target = run.plan(item)
            if target in tally.targets:
                raise inputs.GatheringError(
                    f"its result {target} would replace that of another picture; tell them apart: "
                    f"--name '{{stem}}_{{ext}}_{{model}}_x{{scale}}'"
                )
            tally.targets.add(target)
            if target.exists() and not run.overwrite:
                tally.kept += 1
                self.stdout.write(f"{position} {item.label}: kept {target}")
                return
            with tqdm(desc=item.label, unit="tile", leave=False, disable=None) as bar:
                said = run.upscale(item, header, target, _moves(bar)).told(run.verbosity)
        except (WeightsRejected, DeviceUnavailable):
            raise
        except (EngineError, inputs.GatheringError, OSError) as error:
            tally.failed += 1
            self.stderr.write(self.style.ERROR(f"{position} {item.label}: {error}"))
            return
        tally.done += 1
        self.stdout.write(f"{position} {item.label} → {target}: {said}")


class Run:
    """Everything that is the same for all pictures of one call."""

    def __init__(self, chosen: tuple[Chosen, ...], options: dict[str, Any], *, to_file: bool) -> None:
        from jobs.engine.backends.network_cache import NetworkPool  # noqa: PLC0415 - torch: `manage.py help` lists commands without it
        from jobs.engine.upscaler import Upscaler  # noqa: PLC0415 - as above
        from modelstore.networks.checkpoint import inspect  # noqa: PLC0415 - as above
        from modelstore.networks.errors import NetworkError  # noqa: PLC0415 - as above

        self.model = _name_of(chosen)
        self.weights = [member.weights for member in chosen]
        try:
            self.scales = [member.scale or inspect(member.weights.path).scale for member in chosen]
        except NetworkError as error:
            raise CommandError(str(error)) from None
        if options["outscale"] is None and native_scale(self.scales) > LARGEST_SCALE:
            raise CommandError(
                f"{self.model} enlarges {native_scale(self.scales)} times; at most {LARGEST_SCALE:g} are possible: "
                "give --outscale"
            )
        runtime = Runtime(options["device"], options["precision"], options["backend"], settings.MEASUREMENTS_DIR)
        self.upscaler = Upscaler(NetworkPool(runtime, settings.MODEL_MEMORY_MB * 1_000_000))
        self.limits = engine_limits()
        self.verbosity: int = options["verbosity"]
        self.output: Path = options["output"]
        self.to_file = to_file
        self.template: str = options["name"]
        self.overwrite: bool = options["overwrite"]
        self.asked = UpscaleOptions(options["outscale"], options["tile_size"], options["tile_pad"])
        self.encoding = EncodeOptions(
            format=options["format"] or "auto",
            quality=options["quality"],
            lossless=options["lossless"],
            strip_metadata=STRIP[options["strip_metadata"] or settings.STRIP_METADATA_DEFAULT],
        )

    def plan(self, item: inputs.Item) -> tuple[Header, Path]:
        """Find out what the picture is and where its result goes, and check every limit, before a pixel is decoded."""
        header = probe.probe(item.source, self.limits)
        passes = plan_passes(header.width, header.height, self.scales, self.asked.outscale)
        probe.check_passes(header, passes, self.limits)
        written = output_format.choose(_outline(header, passes.width, passes.height), self.encoding)
        if self.to_file:
            return header, self.output
        name = inputs.result_name(self.template, source=item.source, model=self.model, scale=passes.scale)
        return header, self.output / item.folder / (name + inputs.suffix_for(item.source, written))

    def upscale(self, item: inputs.Item, header: Header, target: Path, on_tile: OnTile) -> "Made":
        """Do it, and return what came of it. A result is there whole or not at all."""
        started = time.perf_counter()
        picture = decode(item.source, self.limits)
        result, report = self.upscaler.upscale(picture, self.weights, self.asked, on_tile)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        provenance = f"{self.model} {report.scale:g}x, Real-ESRGAN upscaler {settings.UPSCALER_VERSION}"
        try:
            written = encode(result, part, EncodeOptions(**{**self.encoding.__dict__, "provenance": provenance}))
            if self.to_file and written.format != inputs.format_of(target):
                raise FormatUnsupported(f"the result is {written.format}, which {target.name} does not say")
            part.replace(target)
        finally:
            with contextlib.suppress(FileNotFoundError):
                part.unlink()
        told = (*report.notes, *written.notes)
        return Made(header, (result.width, result.height), time.perf_counter() - started, report, told)


@dataclass(frozen=True)
class Made:
    """A result that was written: its size in pixels, the seconds that it took, what there is to say of it."""

    header: Header
    size: tuple[int, int]
    seconds: float
    report: Report
    notes: tuple[str, ...]

    def told(self, verbosity: int) -> str:
        """Return it in words."""
        notes = f" ({'; '.join(self.notes)})" if self.notes else ""
        if verbosity >= 2:
            notes += _in_detail(self.report)
        return (
            f"{self.header.width}×{self.header.height} → {self.size[0]}×{self.size[1]} px, "
            f"{self.seconds:.1f} s, {self.report.device} {self.report.precision}{notes}"
        )


def _name_of(chosen: tuple[Chosen, ...]) -> str:
    """Return the text that names all members of a chain."""
    return chains.SEPARATOR.join(member.weights.name for member in chosen)


def _in_detail(report: Report) -> str:
    """Return the engine's account in lines of their own, as ``-v 2`` prints it."""
    seconds = ", ".join(f"{span} {value:.2f} s" for span, value in report.seconds.items())
    tiles = f"{report.tiles} of {report.tile_size} px" if report.tile_size else "none, the picture is computed whole"
    backend = report.choice or f"{report.backend} {report.precision}"
    members = "".join(
        f"\n  {member.model}: {member.scale}×, {member.backend} {member.precision}, {member.tiles} tiles, "
        f"{member.seconds['infer']:.2f} s"
        for member in report.members
    )
    return f"\n  device: {report.device_name}\n  backend: {backend}\n  tiles: {tiles}\n  time: {seconds}{members}"


def _moves(bar: "tqdm[Any]") -> Callable[[int, int], None]:
    def on_tile(done: int, total: int) -> None:
        bar.total = total
        bar.update(done - bar.n)

    return on_tile


def _outline(header: Header, width: int, height: int) -> Picture:
    """Return a picture with the result's properties without its pixels: one pixel, broadcast to (height, width, C)."""
    dtype: Any = np.uint16 if header.bits == 16 else np.uint8
    color = np.broadcast_to(np.zeros((1, 1, 1), dtype), (height, width, 1 if header.gray else 3))
    alpha = np.broadcast_to(np.zeros((1, 1), dtype), (height, width)) if header.alpha else None
    animated = header.frames > 1 and header.format != "tiff"
    frame = Frame(color, alpha, 100 if animated else None)
    return Picture(header.format, (frame,) * header.frames)


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
