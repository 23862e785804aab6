"""One attempt of one job: claim -> weights -> decode -> upscale -> encode -> store -> finish -> preview.

Nothing long happens in a transaction. The result gets its name on the disk before the row names it; what the row does
not name in the end is deleted by who wrote it.
"""

import hashlib
import logging
import os
import time
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings

from jobs import chains
from jobs.engine.codec import decode, encode
from jobs.engine.errors import Cancelled, DeviceLost, EngineError, PrecisionUnavailable
from jobs.engine.types import EncodeOptions, Picture, Report, UpscaleOptions
from jobs.models.job import Job
from jobs.models.results import Finished
from jobs.options import engine_limits
from jobs.queue import shared_state
from jobs.storage import file_names, files
from jobs.worker import registration, runtime
from jobs.worker.claim import Claim
from jobs.worker.db_retry import retried
from jobs.worker.heartbeat import Heartbeat, Reason
from jobs.worker.previews import add_preview
from modelstore.errors import ModelNotReady, ModelStoreError
from modelstore.storage.weights import LocalWeights, weights_for

logger = logging.getLogger(__name__)


@retried
def _weights_for(model: str, denoise_strength: float | None) -> tuple[LocalWeights, ...]:
    """Return the files of all members of a job's chain: all of them, before the first tile."""
    return chains.resolved(chains.split(model), denoise_strength, weights_for)


#: Seconds between two polls for the model that a job waits for.
_PAUSE_SECONDS = 5.0
_LOOK_AGAIN_SECONDS = 1.0
#: Seconds after which a worker that still makes a preview counts as hanging, and the main process kills it.
_PREVIEW_SECONDS = 60.0


class _ModelComing(Exception):
    """The model's file was found damaged and is being fetched again."""


class _StorageError(Exception):
    """The result could not be written."""


def run_next() -> bool:
    """Take the best waiting job and bring it to an end. False when nothing waits.

    Ends the process where its device is lost: it would take and spoil job after job. Its successor looks for a device.
    """
    me = registration.mine()
    job = Job.objects.claim(me.id)
    if job is None:
        return False
    waited = (job.started_at - job.queued_at).total_seconds() if job.started_at else 0.0
    logger.info("job claimed job=%s worker=%s attempt=%d waited=%.3f", job.id, me.id, job.attempts, waited)
    me.current_job = job.id
    try:
        usable = _attempt(job)
    finally:
        me.current_job = None
        me.jobs_done += 1
    if not usable:
        logger.critical("worker ends: its device is lost worker=%s pid=%d", me.id, os.getpid())
        me.leave()
        os._exit(1)  # a normal exit would ask the dead device to free its memory
    runtime.give_memory_back()
    return True


def _attempt(job: Job) -> bool:
    """Work on a claimed job. Every way out settles the row, or leaves it to its owner. False: the device is lost."""
    claim = Claim(job)
    started = time.perf_counter()
    outcome, usable, result = "failed", True, None
    with Heartbeat(job, before_exit=lambda: _delete_files(claim)) as heartbeat:
        try:
            finished, result = _compute(job, heartbeat)
            outcome = "completed" if claim.succeed(finished) else "lost"
        except Cancelled:
            outcome = _interrupted(claim, heartbeat)
        except PrecisionUnavailable as error:
            outcome = _left_to_another(claim, str(error), error.code)
        except EngineError as error:
            usable = not isinstance(error, DeviceLost)
            outcome = _failed(claim, str(error), error.code, retry=error.retryable)
        except _ModelComing as error:
            outcome = _postponed(claim, str(error), "model_not_available")
        except ModelStoreError as error:
            outcome = _failed(claim, str(error), "model_not_available")
        except _StorageError as error:
            outcome = _failed(claim, str(error), "storage_full")
        except MemoryError:
            outcome = _failed(claim, "the worker ran out of memory", "out_of_memory", retry=True)
        except Exception:  # the worker's edge: whatever happens, the row must record it
            logger.exception("job broke job=%s", job.id)
            outcome = _failed(
                claim, "an internal error; the service's log has it under this job's id", "internal_error"
            )
    if outcome != "completed":
        _delete_files(claim)
    elif job.attempts > 1:  # this reads a directory
        files.remove_strays(job.id, keep=job.token)
    logger.info("job %s job=%s worker=%s seconds=%.3f", outcome, job.id, job.worker, time.perf_counter() - started)
    if outcome == "completed" and result is not None:
        job.result_sha256 = finished.result_sha256
        shared_state.set_limit(time.monotonic() + _PREVIEW_SECONDS)
        add_preview(job, result)
        shared_state.set_limit(0.0)
    return usable


def _compute(job: Job, heartbeat: Heartbeat) -> tuple[Finished, Picture]:
    options = job.job_options
    limits = engine_limits()
    seconds: dict[str, float] = {}
    members = _weights(job.model, options.denoise_strength)

    at = time.perf_counter()
    try:
        picture = decode(files.path_of(job.input_file), limits)
    except FileNotFoundError as error:
        raise EngineError("the uploaded picture is no longer there") from error
    seconds["decode"] = time.perf_counter() - at
    heartbeat.check()

    asked = UpscaleOptions(options.outscale, options.tile_size, options.tile_pad, _known(options.precision))
    result, report = runtime.upscale(picture, members, asked, heartbeat.on_tile)
    for member in report.members or (report,):
        registration.mine().used(member.model, len(runtime.upscaler().pool), member.choice)
    del picture
    heartbeat.check()

    at = time.perf_counter()
    stored, notes = _store(job, result, _provenance(report))
    seconds["encode"] = time.perf_counter() - at
    heartbeat.check()
    report = replace(report, seconds={**report.seconds, **seconds}, notes=(*report.notes, *notes))
    accounted = asdict(report) | {"seconds": dict(report.seconds)}
    return replace(stored, tiles_done=report.tiles, tiles_total=report.tiles, report=accounted), result


def _weights(model: str, denoise_strength: float | None) -> tuple[LocalWeights, ...]:
    """Return the files of the job's models on this host.

    :raises _ModelComing: when waiting can help.
    :raises ModelStoreError: when it cannot.
    """
    try:
        try:
            return _weights_for(model, denoise_strength)
        except ModelNotReady as error:
            if error.coming:
                raise
        # The deletion of a model is undone when it finds a job at the last moment; meanwhile the model looked missing.
        time.sleep(_LOOK_AGAIN_SECONDS)
        return _weights_for(model, denoise_strength)
    except ModelNotReady as error:
        if error.coming:
            raise _ModelComing(str(error)) from error
        raise


def _store(job: Job, result: Picture, provenance: str) -> tuple[Finished, tuple[str, ...]]:
    """Write the result under a name that carries the claim's token; return it, and what its format had no place for.

    :raises _StorageError: the disk refused.
    """
    assert job.token is not None
    options = job.job_options
    wanted = EncodeOptions(
        format=_known(options.format) or "auto",
        quality=options.quality,
        lossless=bool(options.lossless),
        strip_metadata=options.strip_metadata or False,
        provenance=provenance,
    )
    try:
        part = files.part_of_result(job.id, job.token)
        written = encode(result, part, wanted)
        size, digest = part.stat().st_size, _sha256(part)
        name = file_names.result_name(job.id, job.token, written.format)
        files.keep(part, name)
    except OSError as error:
        # Pillow's encoders lose the number of an error while they write.
        if error.errno in files.FULL or error.errno is None:
            raise _StorageError("the disk is full: the result could not be written") from error
        raise _StorageError("the result could not be written on this server; its log says why") from error
    finished = Finished(
        result_file=name,
        result_bytes=size,
        result_format=written.format,
        result_width=result.width,
        result_height=result.height,
        result_sha256=digest,
    )
    return finished, written.notes


def _interrupted(claim: Claim, heartbeat: Heartbeat) -> str:
    if heartbeat.reason is Reason.CANCELLED:
        return "cancelled" if claim.give_up() else "lost"
    return heartbeat.reason.name.lower() if heartbeat.reason else "lost"


def _failed(claim: Claim, error: str, code: str, *, retry: bool = False) -> str:
    """End the job, or give it another attempt where that may end differently and attempts are left."""
    if retry and claim.job.attempts < settings.JOB_MAX_ATTEMPTS:
        return "requeued" if claim.requeue(error, code) else "lost"
    return "failed" if claim.fail(error, code) else "lost"


def _left_to_another(claim: Claim, error: str, code: str) -> str:
    """Leave the job to a worker whose device computes in its precision; without one it cannot be done."""
    others = claim.another_computes(claim.job.job_options.precision)
    return _postponed(claim, error, code) if others else _failed(claim, error, code)


def _postponed(claim: Claim, error: str, code: str) -> str:
    """Put the job aside until something has come that it needs: no attempt of its own, and others go first meanwhile.

    It comes to an end: a download that fails leaves a model that is not coming any more, a worker that leaves nobody
    who could take the job.
    """
    return "postponed" if claim.postpone(error, code, timedelta(seconds=_PAUSE_SECONDS)) else "lost"


def _delete_files(claim: Claim) -> None:
    """Delete what this claim wrote, unless its result was accepted after all."""
    assert claim.job.token is not None
    if not claim.is_accepted():
        files.remove_claim(claim.job.id, claim.job.token)


def _provenance(report: Report) -> str:
    return f"{report.model} {report.scale:g}x, Real-ESRGAN upscaler {settings.UPSCALER_VERSION}"


def _known(word: str | None) -> Any:
    """Return a word that the serializer checked; the engine's Literal types are the same words."""
    return word


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
