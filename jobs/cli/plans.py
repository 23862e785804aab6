"""Plans of a call's pictures: size, format and place of each result, known before a pixel is decoded."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from jobs.cli import inputs
from jobs.engine.codecs import output_format, probe
from jobs.engine.tiling.passes import LARGEST_SCALE, native_scale, plan_passes
from jobs.engine.types import EncodeOptions, Frame, Header, Limits, Picture, UpscaleOptions
from jobs.errors import SizeUnreachable
from jobs.options import STRIP
from jobs.submission.target_size import TargetSize


@dataclass(frozen=True)
class Plan:
    """A picture's header, and where its result goes in which format."""

    header: Header
    target: Path
    format: str
    asked: UpscaleOptions


@dataclass(frozen=True)
class Made:
    """A result that was written: its size in pixels, the seconds that it took, what there is to say of it."""

    header: Header
    size: tuple[int, int]
    seconds: float
    device: str
    precision: str
    notes: tuple[str, ...]
    detail: str = ""  # the engine's account, in lines of their own

    def told(self, verbosity: int) -> str:
        """Return it in words."""
        notes = f" ({'; '.join(self.notes)})" if self.notes else ""
        if verbosity >= 2:
            notes += self.detail
        return (
            f"{self.header.width}×{self.header.height} → {self.size[0]}×{self.size[1]} px, "
            f"{self.seconds:.1f} s, {self.device} {self.precision}{notes}"
        )


class Planner:
    """Options of a call, applied alike wherever it is computed.

    :param model: the text that names the model or the chain; ``scales`` are those of its members.
    :param strip: what is left out of the metadata where the options do not say, of `jobs.options.STRIP`.
    :raises GatheringError: the options cannot be used so.
    """

    def __init__(self, options: dict[str, Any], *, model: str, scales: list[int], limits: Limits, strip: str) -> None:
        self.to_file = names_a_file(options)
        inputs.result_name(options["name"], source=Path("picture.png"), model=model, scale=4)
        self.size = _size_in_pixels(options)
        if options["outscale"] is None and self.size is None and native_scale(scales) > LARGEST_SCALE:
            raise inputs.GatheringError(
                f"{model} enlarges {native_scale(scales)} times; at most {LARGEST_SCALE:g} are possible: "
                "give --outscale"
            )
        self.model, self.scales, self.limits = model, scales, limits
        self.output: Path = options["output"]
        self.template: str = options["name"]
        self.overwrite: bool = options["overwrite"]
        self.asked = UpscaleOptions(options["outscale"], options["tile_size"], options["tile_pad"])
        self.encoding = EncodeOptions(
            format=options["format"] or "auto",
            quality=options["quality"],
            lossless=options["lossless"],
            strip_metadata=STRIP[options["strip_metadata"] or strip],
        )

    def plan(self, item: inputs.Item) -> Plan:
        """Find out what the picture is and where its result goes, and check every limit.

        :raises EngineError, GatheringError, OSError: it cannot be upscaled so.
        """
        header = probe.probe(item.source, self.limits)
        asked = self._asked_of(header)
        passes = plan_passes(header.width, header.height, self.scales, asked.outscale)
        probe.check_passes(header, passes, self.limits)
        written = output_format.choose(_outline(header, passes.width, passes.height), self.encoding)
        if self.to_file:
            return Plan(header, self.output, written, asked)
        name = inputs.result_name(self.template, source=item.source, model=self.model, scale=passes.scale)
        target = self.output / item.folder / (name + inputs.suffix_for(item.source, written))
        if target.resolve() == item.source.resolve():
            raise inputs.GatheringError("its result would replace the picture itself; choose another -o or --name")
        return Plan(header, target, written, asked)

    def _asked_of(self, header: Header) -> UpscaleOptions:
        if self.size is None:
            return self.asked
        try:
            return replace(self.asked, outscale=self.size.outscale(header))
        except SizeUnreachable as error:
            raise inputs.GatheringError(str(error)) from None


def _size_in_pixels(options: dict[str, Any]) -> TargetSize | None:
    """Return the size that the options name instead of a factor. :raises GatheringError: they name two."""
    sides = {name: options[name] for name in ("width", "height", "longest_side") if options[name] is not None}
    ways = [options["outscale"] is not None, "longest_side" in sides, bool(sides.keys() & {"width", "height"})]
    if sum(ways) > 1:
        raise inputs.GatheringError("give --outscale, or --longest-side, or --width and --height: not several of them")
    return TargetSize(**sides) if sides else None


def names_a_file(options: dict[str, Any]) -> bool:
    """Return whether -o names a file; it does for a single picture and a name with a picture's suffix.

    ``options["format"]`` then is that file's. :raises GatheringError: it cannot be a file.
    """
    target: Path = options["output"]
    single = len(options["inputs"]) == 1 and not options["inputs"][0].is_dir()
    if target.is_dir() or not target.suffix or (not single and target.suffix.lower() not in inputs.PICTURE_SUFFIXES):
        return False
    if not single:
        raise inputs.GatheringError(f"{target} looks like a file, but several pictures need a directory")
    asked = inputs.format_of(target)
    if asked is None:
        raise inputs.GatheringError(
            f"{target.suffix} cannot be written: choose one of .png, .jpg, .webp, .avif, .tif, .jxl, or a directory"
        )
    if options["format"] not in (None, asked):
        raise inputs.GatheringError(f"{target} is a name for {asked}, but --format says {options['format']}")
    options["format"] = asked
    return True


def _outline(header: Header, width: int, height: int) -> Picture:
    """Return a picture with the result's properties without its pixels: one pixel, broadcast to (height, width, C)."""
    dtype: Any = np.uint16 if header.bits == 16 else np.uint8
    color = np.broadcast_to(np.zeros((1, 1, 1), dtype), (height, width, 1 if header.gray else 3))
    alpha = np.broadcast_to(np.zeros((1, 1), dtype), (height, width)) if header.alpha else None
    animated = header.frames > 1 and header.format != "tiff"
    frame = Frame(color, alpha, 100 if animated else None)
    return Picture(header.format, (frame,) * header.frames)
