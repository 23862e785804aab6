"""Takes pictures in: everything is checked before a row or a file stays, then both are written together.

The API, the page and the commands all come through here. Nothing here imports torch.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar, cast

from django.conf import settings
from django.db.models.functions import Now

from jobs.engine.codecs.output_format import check_side
from jobs.engine.codecs.probe import check, check_passes, probe
from jobs.engine.errors import EngineError, FormatUnsupported, ImageTooLarge
from jobs.engine.tiling.passes import plan_passes
from jobs.engine.types import Header, Written
from jobs.errors import (
    BatchRejected,
    BatchTooLarge,
    IdempotencyInProgress,
    ImageInvalid,
    ImageTooManyPixels,
    JobError,
    ResultUnstorable,
)
from jobs.models.batch import Batch
from jobs.models.job import Job
from jobs.options import JobOptions, engine_limits
from jobs.progress import eta
from jobs.queue import dispatch
from jobs.states import Status
from jobs.storage import file_names, files
from jobs.storage.files import Staged
from jobs.submission import admission, idempotency, limits, quote, result_reuse, work
from jobs.submission.chosen import Chosen, choose
from jobs.submission.dry_run import DryRunReport, report_of
from jobs.submission.request import Submission
from jobs.submission.rollback import disk_that_may_be_full, transaction_with_files
from jobs.submission.work import Picture
from modelstore import tracing

logger = logging.getLogger(__name__)

_Created = TypeVar("_Created", Job, Batch)

__all__ = ["DryRunReport", "Submission", "estimate", "plan", "submit", "submit_batch"]


def submit(upload: Any, submission: Submission) -> Job:
    """Accept one picture: an UploadedFile, a binary file object or a Path. Returns its job, waiting or already done.

    A call whose Idempotency-Key was seen returns the first call's job.

    :raises JobError: one of jobs/errors.py; :raises ModelStoreError: a model is unknown or has no weights here.
        Then no row and no file stays; nor is anything counted that has a daily limit.
    """
    with disk_that_may_be_full(), files.staged(upload) as staged:
        fingerprint = idempotency.fingerprint_of(submission, "job", [staged.sha256])
        first = idempotency.first_call(submission, fingerprint)
        if isinstance(first, Job):
            return first
        model = _usable(submission)
        picture = _examine(staged, _name_of(upload), submission, model)
        counts = work.of([picture], submission, model)
        if counts[0] and submission.require_worker is not None:
            submission.require_worker()
        admission.require_queue_room(work.count(counts))
        admission.require_disk_room(staged.bytes)
        (turn,) = work.turns(submission, counts)
        try:
            with transaction_with_files(work.drafts([picture])) as made:
                limits.take(submission.caller, submission.api_key, work.demand([picture], counts))
                job = _create(picture, submission, model, made, turn)
                result_reuse.announce([job])
                idempotency.remember(submission, fingerprint, job)
                if job.status == Status.QUEUED:
                    dispatch.ring()
        except idempotency.Repeated:
            return _first(submission, fingerprint, Job)
    logger.info(
        "job accepted job=%s model=%s priority=%s pixels=%d request=%s",
        job.id, job.model, submission.priority.name.lower(), picture.header.pixels, submission.request_id,
    )  # fmt: skip
    return job


def submit_batch(uploads: Sequence[Any], submission: Submission) -> Batch:
    """Accept pictures together. Those that cannot be upscaled are kept by name and reason in ``batch.rejected``.

    :raises BatchRejected: none of them can; :raises BatchTooLarge, QueueFull, StorageFull: nothing was accepted.
    """
    if not uploads or len(uploads) > settings.MAX_BATCH_IMAGES:
        raise BatchTooLarge(f"a batch has 1 to {settings.MAX_BATCH_IMAGES} images, this one has {len(uploads)}")
    with disk_that_may_be_full(), ExitStack() as stack:
        staged: list[Staged | JobError] = []
        for upload in uploads:
            try:
                staged.append(stack.enter_context(files.staged(upload)))
            except JobError as error:
                staged.append(error)
        hashes = [item.sha256 if isinstance(item, Staged) else "" for item in staged]
        fingerprint = idempotency.fingerprint_of(submission, "batch", hashes)
        first = idempotency.first_call(submission, fingerprint)
        if isinstance(first, Batch):
            return first
        model = _usable(submission)
        good, rejected = _sort(staged, uploads, submission, model)
        if not good:
            raise BatchRejected(rejected)
        pictures = [good[index] for index in sorted(good)]
        counts = work.of(pictures, submission, model)
        admission.require_queue_room(work.count(counts))
        admission.require_disk_room(sum(picture.staged.bytes for picture in pictures))
        turns = dict(zip(sorted(good), work.turns(submission, counts), strict=True))
        try:
            with transaction_with_files(work.drafts(pictures)) as made:
                limits.take(submission.caller, submission.api_key, work.demand(pictures, counts))
                batch = Batch.objects.create(api_key=submission.api_key, rejected=rejected)
                jobs = [
                    _create(good[index], submission, model, made, turn, batch, index) for index, turn in turns.items()
                ]
                result_reuse.announce(jobs)
                idempotency.remember(submission, fingerprint, batch)
                if any(job.status == Status.QUEUED for job in jobs):
                    dispatch.ring()
        except idempotency.Repeated:
            return _first(submission, fingerprint, Batch)
    logger.info(
        "batch accepted batch=%s jobs=%d rejected=%d model=%s request=%s",
        batch.id, len(jobs), len(rejected), model.name, submission.request_id,
    )  # fmt: skip
    return batch


def plan(upload: Any, submission: Submission) -> DryRunReport:
    """Return what a submission would do and cost.

    Checks all that `submit` checks about picture and model, creates nothing.
    """
    with disk_that_may_be_full(), files.staged(upload) as staged:
        model = _usable(submission)
        picture = _examine(staged, _name_of(upload), submission, model)
        return report_of(picture.header, model, picture.options, submission)


def estimate(header: Header, submission: Submission) -> DryRunReport:
    """Return what a submission of a picture with this header would do and cost: the picture itself need not be here.

    :raises ImageInvalid: when the picture, or its result, would be beyond a limit.
    """
    model = _usable(submission)
    return report_of(header, model, _fitting(header, submission, model), submission)


def _usable(submission: Submission) -> Chosen:
    admission.require_precision(submission.options.precision)
    return choose(submission.model, submission.options, sized=submission.target is not None)


def _examine(staged: Staged, name: str, submission: Submission, model: Chosen) -> Picture:
    """Probe the picture's header, and check every size that it will have on its way, and what it takes.

    :raises ImageInvalid: when, by its header, the engine could not upscale it.
    :raises TooExpensive: it would take more than its caller is willing to.
    """
    if staged.bytes == 0:
        raise ImageInvalid("the image file is empty")
    with _refusals():
        header = probe(staged.path, engine_limits())
    picture = Picture(staged, header, _fitting(header, submission, model), name)
    if submission.max_device_seconds is not None and any(work.of([picture], submission, model)):
        passes = plan_passes(header.width, header.height, model.scales, picture.options.outscale)
        speed = eta.speed_of(model.name)
        quote.require_within(submission.max_device_seconds, quote.quote_for(header, passes, picture.options, speed))
    return picture


def _fitting(header: Header, submission: Submission, model: Chosen) -> JobOptions:
    """Return the picture's options, when it and its result lie within every limit.

    :raises ImageInvalid: naming the limit that is passed.
    """
    limits, options = engine_limits(), submission.options_for(header)
    with _refusals():
        check(header, limits)
        passes = plan_passes(header.width, header.height, model.scales, options.outscale)
        check_passes(header, passes, limits)
    if options.format is not None:
        try:
            check_side(cast("Written", options.format), passes.width, passes.height)
        except FormatUnsupported as error:
            raise ResultUnstorable(str(error)) from error
    return options


@contextmanager
def _refusals() -> Iterator[None]:
    """Raise what the engine says of a picture as the error of a submission."""
    try:
        yield
    except ImageTooLarge as error:
        raise ImageTooManyPixels(str(error)) from error
    except EngineError as error:
        raise ImageInvalid(str(error)) from error


def _sort(
    staged: Sequence[Staged | JobError], uploads: Sequence[Any], submission: Submission, model: Chosen
) -> tuple[dict[int, Picture], list[dict[str, object]]]:
    """Return the good pictures by their index in the call, and an entry for each of the others."""
    good: dict[int, Picture] = {}
    rejected: list[dict[str, object]] = []
    for index, (item, upload) in enumerate(zip(staged, uploads, strict=True)):
        name = _name_of(upload)
        try:
            if isinstance(item, JobError):
                raise item
            good[index] = _examine(item, name, submission, model)
        except JobError as error:
            rejected.append({"index": index, "filename": name, "detail": str(error), "code": error.code})
    return good, rejected


def _create(
    picture: Picture,
    submission: Submission,
    model: Chosen,
    made: list[str],
    turn: float,
    batch: Batch | None = None,
    index: int | None = None,
) -> Job:
    """Write the row of a picture that is stored. ``made`` receives the name of every further file, for the undoing."""
    header, staged, options = picture.header, picture.staged, picture.options
    job = Job(
        id=picture.job_id,
        priority=submission.priority,
        batch=batch,
        batch_index=index,
        api_key=submission.api_key,
        caller=submission.caller,
        request_id=submission.request_id,
        traceparent=tracing.traceparent(),
        model=model.name,
        options=options.as_json(),
        fingerprint=result_reuse.fingerprint_of(model, options, staged.sha256),
        input_file=picture.input_file,
        input_name=picture.name,
        input_sha256=staged.sha256,
        input_bytes=staged.bytes,
        input_format=header.format,
        input_width=header.width,
        input_height=header.height,
        input_frames=header.frames,
        created_at=Now(),
        queued_at=Now(),
        turn=turn,
        retain_hours=submission.retention,
        delete_after_download=bool(submission.delete_after_download),
        drop_input=settings.DELETE_INPUTS_WHEN_DONE,
        webhook_url=submission.webhook_url,
        webhook_events=list(submission.webhook_events),
    )
    if submission.reuses:
        result_reuse.answer_from_existing(job, made)
    job.save(force_insert=True)
    job.refresh_from_db()
    return job


def _first(submission: Submission, fingerprint: str, kind: type[_Created]) -> _Created:
    """Return what the first call with this Idempotency-Key created: it committed while this one was under way."""
    first = idempotency.first_call(submission, fingerprint)
    if not isinstance(first, kind):
        raise IdempotencyInProgress("the first call with this Idempotency-Key was undone meanwhile; try again")
    return first


def _name_of(upload: Any) -> str:
    """Return the caller's file name without directories; it is used for the download's name only."""
    return file_names.last_part(str(getattr(upload, "name", "") or ""))
