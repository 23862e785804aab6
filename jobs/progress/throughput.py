"""Speed of this installation, learned from the jobs that it finished: no jobs, no estimate."""

from dataclasses import dataclass

from jobs.models.job import Job
from jobs.states import Status

_RECENT = 50


@dataclass(frozen=True)
class Throughput:
    """Of one model on the device that last worked with it."""

    pixels_per_second: float  # input pixels of all frames
    fixed_seconds: float  # the part of a job's time that does not depend on its pixels
    device: str
    jobs: int  # how many were measured

    def seconds(self, pixels: int) -> float:
        """Return the seconds that a picture of so many input pixels takes."""
        return self.fixed_seconds + pixels / self.pixels_per_second


def measured(model: str, device: str | None = None) -> Throughput | None:
    """Return the throughput of the model's recent completed jobs, on ``device`` or the last one; None without any."""
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
    )
