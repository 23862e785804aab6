"""Speed of this installation, learned from the jobs that it finished: no jobs, no estimate."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import prod
from statistics import median
from typing import Any

from jobs import chains
from jobs.engine.tiling.passes import plan_passes
from jobs.models.job import Job
from jobs.states import Status
from modelstore.models import Model

_RECENT = 50
#: How many times larger than the largest measured job another may be for its time to be told: small pictures tell how
#: long a job takes at least, but not how fast the network is.
_REACH = 32

#: Points (share of the tiles, share of the time) of a job whose tiles all take as long.
_EVEN = ((0.0, 0.0), (1.0, 1.0))


@dataclass(frozen=True)
class Throughput:
    """Of one model, or one chain of them, on the device that last worked with it."""

    pixels_per_second: float  # pixels that go into networks, of all passes and frames
    fixed_seconds: float  # the part of a job's time that does not depend on its pixels
    device: str
    jobs: int  # how many were measured
    scales: tuple[int, ...]  # of the model, or of a chain's members; empty where nobody knows them
    largest: float  # the most pixels of a measured job, as above
    #: Of the network alone: what a device works, without decoding, encoding and the disk.
    device_fixed_seconds: float
    device_pixels_per_second: float
    #: A line through points (share of the tiles done, share of the time passed), both 0 to 1 and growing: a chain's
    #: members take as many tiles, but not as long for one.
    course: tuple[tuple[float, float], ...] = _EVEN

    def seconds(self, width: int, height: int, frames: int = 1, outscale: float | None = None) -> float:
        """Return the seconds that a picture of this size in pixels takes."""
        return self.fixed_seconds + _work(self.scales, width, height, frames, outscale) / self.pixels_per_second

    def device_seconds(self, width: int, height: int, frames: int = 1, outscale: float | None = None) -> float:
        """Return the seconds for which such a picture keeps the device."""
        work = _work(self.scales, width, height, frames, outscale)
        return self.device_fixed_seconds + work / self.device_pixels_per_second

    def foretells(self, width: int, height: int, frames: int = 1, outscale: float | None = None) -> bool:
        """Return True if jobs that are not all much smaller were measured."""
        return _work(self.scales, width, height, frames, outscale) <= _REACH * self.largest

    def left(self, whole: float, done: float) -> float:
        """Return the seconds that are left of a job's ``whole`` ones when a share of the tiles is done, 0 to 1."""
        for (tiles, time), (next_tiles, next_time) in pairwise(self.course):
            if done <= next_tiles and next_tiles > tiles:
                passed = time + (next_time - time) * (done - tiles) / (next_tiles - tiles)
                return whole * (1.0 - passed)
        return 0.0


def measured(model: str, device: str | None = None) -> Throughput | None:
    """Return the throughput of the model's recent completed jobs, on ``device`` or the last one; None without any.

    That of a chain which nobody has used yet is put together from its members', where all of them are known.
    """
    names = chains.split(model)
    return _measured(model, device) or (_together(names, device) if len(names) > 1 else None)


def _measured(model: str, device: str | None) -> Throughput | None:
    rows = Job.objects.filter(status=Status.COMPLETED, model=model, reused_from=None, processing_seconds__gt=0)
    recent = list(
        rows.order_by("-finished_at").values_list(
            "report", "processing_seconds", "input_width", "input_height", "input_frames", "options"
        )[:_RECENT]
    )
    if not recent:
        return None
    device = device or str(recent[0][0].get("device", ""))
    same = [row for row in recent if row[0].get("device", "") == device]
    if not same:
        return None
    scales = _scales(chains.split(model))
    work = [_work(scales, width, height, frames, asked.get("outscale")) for _, _, width, height, frames, asked in same]
    took = [float(row[1] or 0.0) for row in same]
    infer = [float(row[0].get("seconds", {}).get("infer", row[1])) for row in same]
    fixed, per_pixel = _line(work, took) or _proportion(work, took, infer)
    device_fixed, device_per_pixel = _line(work, infer) or (0.0, max(sum(infer), 1e-6) / sum(work))
    return Throughput(
        pixels_per_second=1 / per_pixel,
        fixed_seconds=fixed,
        device=device,
        jobs=len(same),
        scales=scales,
        largest=max(work),
        device_fixed_seconds=device_fixed,
        device_pixels_per_second=1 / device_per_pixel,
        course=_course(same[0][0].get("members")),
    )


def _work(scales: tuple[int, ...], width: int, height: int, frames: int, outscale: float | None) -> float:
    """Return the pixels that go into networks: a picture that is enlarged beyond a model's scale passes it twice."""
    if not scales:
        return width * height * frames
    return frames * sum(w * h for w, h in plan_passes(width, height, scales, outscale).inputs)


def _scales(names: Sequence[str]) -> tuple[int, ...]:
    """Return the models' scales in their order; empty where one of them is gone, or was never examined."""
    known = dict(Model.objects.filter(name__in=names).values_list("name", "scale"))
    return tuple(known[name] for name in names) if all(known.get(name) for name in names) else ()


def _line(work: Sequence[float], took: Sequence[float]) -> tuple[float, float] | None:
    """Return the seconds of a job without pixels, and those per pixel: the line with the least relative errors.

    None where the jobs are too much alike to tell one from the other.
    """
    if max(work) < 2 * min(work):
        return None
    weights = [1 / max(seconds, 1e-3) ** 2 for seconds in took]
    total = sum(weights)
    mean_work = sum(w * x for w, x in zip(weights, work, strict=True)) / total
    mean_time = sum(w * y for w, y in zip(weights, took, strict=True)) / total
    spread = sum(w * (x - mean_work) ** 2 for w, x in zip(weights, work, strict=True))
    slope = sum(w * (x - mean_work) * (y - mean_time) for w, x, y in zip(weights, work, took, strict=True)) / spread
    fixed = mean_time - slope * mean_work
    return (fixed, slope) if slope > 0 and fixed >= 0 else None


def _proportion(work: Sequence[float], took: Sequence[float], infer: Sequence[float]) -> tuple[float, float]:
    """Return the same where no line is to be had: by what the reports say of the networks' own time."""
    fixed = median(max(0.0, seconds - own) for seconds, own in zip(took, infer, strict=True))
    return fixed, max(sum(infer), 1e-6) / sum(work)


def _together(names: Sequence[str], device: str | None) -> Throughput | None:
    """Add up the members' times, each for the pixels that the members before it made."""
    scales = dict(Model.objects.filter(name__in=names).values_list("name", "scale"))
    speeds = [_measured(name, device) for name in names]
    known = [speed for speed in speeds if speed is not None]
    if len(known) < len(names) or len({speed.device for speed in known}) > 1 or scales.keys() < set(names):
        return None
    grown = [prod(scales[name] for name in names[:place]) ** 2 for place in range(len(names))]
    seconds = sum(factor / speed.pixels_per_second for factor, speed in zip(grown, known, strict=True))
    of_device = sum(factor / speed.device_pixels_per_second for factor, speed in zip(grown, known, strict=True))
    return Throughput(
        pixels_per_second=sum(grown) / seconds,
        scales=tuple(scales[name] for name in names),
        largest=min(speed.largest for speed in known),
        fixed_seconds=max(speed.fixed_seconds for speed in known),
        device_fixed_seconds=sum(speed.device_fixed_seconds for speed in known),
        device_pixels_per_second=sum(grown) / of_device,
        device=known[0].device,
        jobs=min(speed.jobs for speed in known),
    )


def _course(members: Any) -> tuple[tuple[float, float], ...]:
    """Return the course of a chain's job by its report; an even one where that tells nothing."""
    try:
        tiles = _shares(float(member["tiles"]) for member in members or ())
        times = _shares(float(member["seconds"]["infer"]) for member in members or ())
    except (KeyError, TypeError, ValueError):  # a report older or newer than the code
        return _EVEN
    return tuple(zip(tiles, times, strict=True)) if tiles and times else _EVEN


def _shares(parts: Iterable[float]) -> list[float]:
    """Return the sums of the parts up to each, as shares of all: from 0 to 1. Empty where all of them are nothing."""
    sums = list(accumulate(parts, initial=0.0))
    return [part / sums[-1] for part in sums] if sums[-1] > 0 else []
