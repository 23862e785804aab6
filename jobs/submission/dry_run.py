"""Dry runs: the cost of a submission, told before anything is created. Pure arithmetic and one query."""

from dataclasses import dataclass
from decimal import Decimal

from jobs.engine.tiling.cost import ITEM_BYTES, estimate
from jobs.engine.tiling.passes import plan_passes
from jobs.engine.types import Header
from jobs.models.job import Job
from jobs.models.turn import Turn
from jobs.models.worker import Worker
from jobs.options import JobOptions
from jobs.progress import eta, throughput
from jobs.states import Status
from jobs.submission.chosen import Chosen
from jobs.submission.quote import quote_for
from jobs.submission.request import Submission


@dataclass(frozen=True)
class DryRunReport:
    """The answer to a dry run. None stands for what this installation cannot know yet."""

    format: str | None  # None: no file was sent
    width: int
    height: int
    frames: int
    output_width: int
    output_height: int
    scale: float
    passes: int | None
    tiles: int | None
    memory_bytes: int | None
    seconds: float | None  # of computing, from jobs of this model that were measured here
    device_seconds: float | None  # of these, those of the device alone
    price: Decimal | None
    currency: str | None
    jobs_ahead: int  # that run now, or wait and come first
    wait_seconds: float | None  # until they are done


def report_of(header: Header, chosen: Chosen, options: JobOptions, submission: Submission) -> DryRunReport:
    """Return the dry run's report for one picture: what lies before it depends on whose it is, and on its priority."""
    passes = plan_passes(header.width, header.height, chosen.scales, options.outscale)
    specs = chosen.specs
    worker = Worker.objects.computing().first() or Worker(device="cpu", precision="fp32")
    cost = specs and estimate(
        specs,
        width=header.width,
        height=header.height,
        frames=header.frames,
        gray=header.gray,
        alpha=header.alpha,
        bits=header.bits,
        outscale=options.outscale,
        tile_size=options.tile_size,
        tile_pad=options.tile_pad,
        kind=worker.device.partition(":")[0] or "cpu",
        free_bytes=worker.memory_free or 0,
        item_bytes=ITEM_BYTES[options.precision or worker.precision or "fp32"],
    )
    speed = throughput.measured(chosen.name)
    asked = (header.width, header.height, header.frames, options.outscale)
    quote = quote_for(header, passes, options, speed)
    turn = Turn.objects.next(submission.caller, submission.priority)
    before = Job.objects.before(submission.priority, turn)
    wait = eta.seconds_before(before)
    return DryRunReport(
        format=header.format or None,
        width=header.width,
        height=header.height,
        frames=header.frames,
        output_width=passes.width,
        output_height=passes.height,
        scale=passes.scale,
        passes=cost.passes if cost else len(passes.inputs),
        tiles=cost.tiles if cost else None,
        memory_bytes=cost.bytes if cost else None,
        seconds=round(speed.seconds(*asked), 2) if speed and speed.foretells(*asked) else None,
        device_seconds=quote.device_seconds,
        price=quote.price,
        currency=quote.currency,
        jobs_ahead=before.count() + Job.objects.filter(status=Status.PROCESSING).count(),
        wait_seconds=None if wait is None else round(wait, 2),
    )
