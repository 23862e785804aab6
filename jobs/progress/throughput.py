"""Speed of this installation, learned from the jobs that it finished: no jobs, no estimate."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import prod
from typing import Any

from jobs import chains
from jobs.models.job import Job
from jobs.states import Status
from modelstore.models import Model

_RECENT = 50

#: Points (share of the tiles, share of the time) of a job whose tiles all take as long.
_EVEN = ((0.0, 0.0), (1.0, 1.0))


@dataclass(frozen=True)
class Throughput:
    """Of one model, or one chain of them, on the device that last worked with it."""

    pixels_per_second: float  # input pixels of all frames
    fixed_seconds: float  # the part of a job's time that does not depend on its pixels
    device: str
    jobs: int  # how many were measured
    #: A line through points (share of the tiles done, share of the time passed), both 0 to 1 and growing: a chain's
    #: members take as many tiles, but not as long for one.
    course: tuple[tuple[float, float], ...] = _EVEN

    def seconds(self, pixels: int) -> float:
        """Return the seconds that a picture of so many input pixels takes."""
        return self.fixed_seconds + pixels / self.pixels_per_second

    def left(self, pixels: int, done: float) -> float:
        """Return the seconds that are left when a share of the tiles is done, 0 to 1."""
        for (tiles, time), (next_tiles, next_time) in pairwise(self.course):
            if done <= next_tiles and next_tiles > tiles:
                passed = time + (next_time - time) * (done - tiles) / (next_tiles - tiles)
                return self.seconds(pixels) * (1.0 - passed)
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
            "report", "processing_seconds", "input_width", "input_height", "input_frames"
        )[:_RECENT]
    )
    if not recent:
        return None
    device = device or str(recent[0][0].get("device", ""))
    same = [row for row in recent if row[0].get("device", "") == device]
    if not same:
        return None
    infer = [float(row[0].get("seconds", {}).get("infer", row[1])) for row in same]
    pixels = sum(width * height * frames for _, _, width, height, frames in same)
    fixed = sorted(max(0.0, (row[1] or 0.0) - seconds) for row, seconds in zip(same, infer, strict=True))
    return Throughput(
        pixels_per_second=pixels / max(sum(infer), 1e-6),
        fixed_seconds=fixed[len(fixed) // 2],
        device=device,
        jobs=len(same),
        course=_course(same[0][0].get("members")),
    )


def _together(names: Sequence[str], device: str | None) -> Throughput | None:
    """Add up the members' times, each for the pixels that the members before it made."""
    scales = dict(Model.objects.filter(name__in=names).values_list("name", "scale"))
    speeds = [_measured(name, device) for name in names]
    known = [speed for speed in speeds if speed is not None]
    if len(known) < len(names) or len({speed.device for speed in known}) > 1 or scales.keys() < set(names):
        return None
    grown = [prod(scales[name] for name in names[:place]) ** 2 for place in range(len(names))]
    seconds = sum(factor / speed.pixels_per_second for factor, speed in zip(grown, known, strict=True))
    return Throughput(
        pixels_per_second=1 / seconds,
        fixed_seconds=max(speed.fixed_seconds for speed in known),
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
