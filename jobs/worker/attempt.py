"""One attempt of one job: weights and decode, then the device's part, then encode, store, accept and preview.

Three steps, which a line of several jobs takes side by side (line.py), each in the thread that calls it. Nothing long
happens in a transaction. The result gets its name on the disk before the row names it; what the row does not name in
the end is deleted by who wrote it.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any, TypeVar

from django.conf import settings

from jobs import chains
from jobs.engine.codec import decode
from jobs.engine.errors import Cancelled, DeviceLost, EngineError, PrecisionUnavailable
from jobs.engine.types import Picture, Report, UpscaleOptions
from jobs.models.job import Job
from jobs.options import engine_limits
from jobs.storage import files
from jobs.worker import previews, registration, runtime
from jobs.worker.claim import Claim
from jobs.worker.clerk import Clerk
from jobs.worker.db_retry import retried
from jobs.worker.heartbeat import Heartbeat, Reason
from jobs.worker.limits import limited
from jobs.worker.storing import StorageError, known, provenance_of, store
from modelstore import tracing
from modelstore.errors import ModelNotReady, ModelStoreError, StorageUnavailable
from modelstore.storage.weights import LocalWeights, weights_for

logger = logging.getLogger(__name__)

_Answer = TypeVar("_Answer")

#: Seconds between two polls for the model that a job waits for.
_PAUSE_SECONDS = 5.0
_LOOK_AGAIN_SECONDS = 1.0
#: Seconds after which a worker that still makes a preview counts as hanging, and the main process kills it.
_PREVIEW_SECONDS = 60.0


class _ModelComing(Exception):
    """The model's file was found damaged and is being fetched again."""


class Attempt:
    """A claimed job on its way. Each step returns whether there is a next one; every way out settles the row."""

    def __init__(self, job: Job, clerk: Clerk) -> None:
        """Begin the heartbeat. ``finish`` or ``hand_back`` must come, whatever comes between."""
        self.job = job
        self.claimed = self.begun = time.monotonic()  # begun: on the device, once it is
        self.lost_device = False
        self.computed = threading.Event()
        self.infer_seconds: float | None = None  # once computed
        self._claim, self._clerk = Claim(job), clerk
        self._outcome: str | None = None
        self._seconds: dict[str, float] = {}
        self._members: tuple[LocalWeights, ...] = ()
        self._picture: Picture | None = None  # decoded, then upscaled
        self._report: Report | None = None
        self.trace = tracing.of_job(
            job.traceparent, job.queued_at, job=str(job.id), request=job.request_id, model=job.model,
            attempt=job.attempts, worker=job.worker, input_pixels=job.input_width * job.input_height * job.input_frames,
        )  # fmt: skip
        self.heartbeat = Heartbeat(job, before_exit=self._delete_files)
        self.heartbeat.__enter__()

    @property
    def is_settled(self) -> bool:
        """True once the job's row says how this attempt ended."""
        return self._outcome is not None

    # --- Steps
    def prepare(self) -> bool:
        """Find the weights and decode the picture."""
        with self._settling():
            with tracing.span("weights"):
                self._members = self._weights()
            at = time.perf_counter()
            try:
                with tracing.span("decode"), files.local(self.job.input_file) as path:
                    self._picture = decode(path, engine_limits())
            except FileNotFoundError as error:
                raise EngineError("the uploaded picture is no longer there") from error
            self._seconds["decode"] = time.perf_counter() - at
            self.heartbeat.check()
        return not self.is_settled

    def compute(self) -> bool:
        """Upscale on this process's device: in the one thread that uses it. ``computed`` is set in the end."""
        try:
            return self._compute()
        finally:
            self.computed.set()

    def _compute(self) -> bool:
        options, picture = self.job.job_options, self._picture
        assert picture is not None
        self._picture, at, self.begun = None, time.perf_counter(), time.monotonic()
        with self._settling():
            self.heartbeat.check()
            asked = UpscaleOptions(options.outscale, options.tile_size, options.tile_pad, known(options.precision))
            with tracing.span("infer") as span:
                self._picture, report = runtime.upscale(picture, self._members, asked, self.heartbeat.on_tile)
                tracing.note(span, tiles=report.tiles, device=report.device, backend=report.backend,
                             precision=report.precision, tile_size=report.tile_size)  # fmt: skip
            for member in report.members or (report,):
                registration.mine().used(member.model, len(runtime.upscaler().pool), member.choice)
            self._report = report
            self.infer_seconds = time.perf_counter() - at
            self.heartbeat.check()
        return not self.is_settled

    def finish(self) -> None:
        """Encode, store and have the result accepted, where there is one; then make its preview. Raises nothing."""
        result, report = self._picture, self._report
        digest = ""
        with self._settling():
            if not self.is_settled and result is not None and report is not None:
                at = time.perf_counter()
                stored, notes = store(self.job, result, provenance_of(report), self.heartbeat.check)
                self._seconds["encode"] = time.perf_counter() - at
                self.heartbeat.check()
                report = replace(report, seconds={**report.seconds, **self._seconds}, notes=(*report.notes, *notes))
                accounted = asdict(report) | {"seconds": dict(report.seconds)}
                finished = replace(stored, tiles_done=report.tiles, tiles_total=report.tiles, report=accounted)
                self._outcome = "completed" if self._ask(self._claim.succeed, finished) else "lost"
                digest = finished.result_sha256
        self._close()
        if self._outcome == "completed" and result is not None:
            self.job.result_sha256 = digest
            with self.trace.current(), tracing.span("preview"), limited(time.monotonic() + _PREVIEW_SECONDS):
                previews.add_preview(self.job, result, self._ask)

    def hand_back(self) -> None:
        """Give the job back to the queue, at its old place: nothing was wrong with it. Raises nothing."""
        self._picture = None
        if not self.is_settled:
            with self._settling():
                self._outcome = "released" if self._ask(self._claim.hand_back) else "lost"
        self._close()

    def _weights(self) -> tuple[LocalWeights, ...]:
        """Return the files of the job's models on this host.

        :raises _ModelComing: when waiting can help.
        :raises ModelStoreError: when it cannot.
        """
        wanted = self.job.model, self.job.job_options.denoise_strength
        try:
            try:
                return self._ask(_weights_for, *wanted)
            except ModelNotReady as error:
                if error.coming:
                    raise
            # The deletion of a model is undone when it finds a job at the last moment; meanwhile it looked missing.
            time.sleep(_LOOK_AGAIN_SECONDS)
            return self._ask(_weights_for, *wanted)
        except ModelNotReady as error:
            if error.coming:
                raise _ModelComing(str(error)) from error
            raise

    # --- The ways out
    @contextmanager
    def _settling(self) -> Iterator[None]:
        """Have the row say how the attempt ended, when a step cannot go on."""
        try:
            with self.trace.current():
                yield
        except Exception as error:  # noqa: BLE001 - the worker's edge: whatever happens, the row must record it
            self._picture = None
            self.lost_device = self.lost_device or isinstance(error, DeviceLost)
            try:
                self._outcome = self._settled(error)
            except Exception:  # as above: the lease brings the job back
                logger.exception("job not settled job=%s", self.job.id)
                self._outcome = "lost"

    def _settled(self, error: Exception) -> str:
        """Settle the row for a step that raised; return how, in a word."""
        if isinstance(error, Cancelled):
            return self._interrupted()
        if isinstance(error, PrecisionUnavailable):
            return self._left_to_another(str(error), error.code)
        if isinstance(error, EngineError):
            return self._failed(str(error), error.code, retry=error.retryable)
        if isinstance(error, _ModelComing):
            return self._postponed(str(error), "model_not_available")
        if isinstance(error, ModelStoreError):
            return self._failed(str(error), "model_not_available")
        if isinstance(error, StorageUnavailable):
            logger.warning("job put aside, the storage is away job=%s reason=%s", self.job.id, error.cause)
            return self._postponed(str(error), error.code)
        if isinstance(error, StorageError):
            return self._failed(str(error), "storage_full")
        if isinstance(error, MemoryError):
            return self._failed("the worker ran out of memory", "out_of_memory", retry=True)
        logger.error("job broke job=%s", self.job.id, exc_info=error)
        return self._failed("an internal error; the service's log has it under this job's id", "internal_error")

    def _interrupted(self) -> str:
        reason = self.heartbeat.reason
        if reason is Reason.CANCELLED:
            return "cancelled" if self._ask(self._claim.give_up) else "lost"
        return reason.name.lower() if reason else "lost"

    def _failed(self, error: str, code: str, *, retry: bool = False) -> str:
        """End the job, or give it another attempt where that may end differently and attempts are left."""
        if retry and self.job.attempts < settings.JOB_MAX_ATTEMPTS:
            return "requeued" if self._ask(self._claim.requeue, error, code) else "lost"
        return "failed" if self._ask(self._claim.fail, error, code) else "lost"

    def _left_to_another(self, error: str, code: str) -> str:
        """Leave the job to a worker whose device computes in its precision; without one it cannot be done."""
        others = self._ask(self._claim.another_computes, self.job.job_options.precision)
        return self._postponed(error, code) if others else self._failed(error, code)

    def _postponed(self, error: str, code: str) -> str:
        """Put the job aside until something has come that it needs: no attempt of its own, others go first meanwhile.

        It comes to an end: a download that fails leaves a model that is not coming any more, a worker that leaves
        nobody who could take the job.
        """
        put_aside = self._ask(self._claim.postpone, error, code, timedelta(seconds=_PAUSE_SECONDS))
        return "postponed" if put_aside else "lost"

    def _close(self) -> None:
        """End the heartbeat, and remove what no row names."""
        self.heartbeat.__exit__(None, None, None)
        self._picture = None
        try:
            if self._outcome != "completed":
                self._ask(self._delete_files)
            elif self.job.attempts > 1:  # this reads a directory
                files.remove_strays(self.job.id, keep=self.job.token)
        except Exception:  # an edge: the row is settled, and the clean-up finds files that no row names
            logger.exception("job's files stay job=%s", self.job.id)
        with self.trace.current():
            logger.info(
                "job %s job=%s worker=%s seconds=%.3f",
                self._outcome, self.job.id, self.job.worker, time.monotonic() - self.claimed,
            )  # fmt: skip
        self.trace.end(self._outcome or "lost")

    def _delete_files(self) -> None:
        """Delete what this claim wrote, unless its result was accepted after all."""
        assert self.job.token is not None
        if not self._claim.is_accepted():
            files.remove_claim(self.job.id, self.job.token)

    def _ask(self, question: Callable[..., _Answer], *args: Any) -> _Answer:
        return self._clerk.ask(question, *args)


@retried
def _weights_for(model: str, denoise_strength: float | None) -> tuple[LocalWeights, ...]:
    """Return the files of all members of a job's chain: all of them, before the first tile."""
    return chains.resolved(chains.split(model), denoise_strength, weights_for)
