"""Errors between a submission and its result.

No HTTP here: statuses and retry times stand in upscaler_site/api/errors.py. The code stands with the error, since rows
and batches name it too.
"""


class JobError(Exception):
    """The root of the room's errors. The message is fit to be shown; ``code`` is stable and machine-readable."""

    code = "job_error"


class JobNotFound(JobError):
    """No such job, or one of another caller."""

    code = "job_not_found"

    def __init__(self, job_id: object) -> None:
        super().__init__(f"Job not found: {job_id}")


class KeyNotFound(JobError):
    """No such API key."""

    code = "key_not_found"

    def __init__(self, prefix: str) -> None:
        super().__init__(f"API key not found: {prefix}")


class BatchNotFound(JobError):
    """No such batch, or one of another caller."""

    code = "batch_not_found"

    def __init__(self, batch_id: object) -> None:
        super().__init__(f"Batch not found: {batch_id}")


class ResultNotFound(JobError):
    """The job has no result and will get none by waiting, or its file was cleaned up."""

    code = "result_not_found"


class PreviewNotFound(ResultNotFound):
    """The job has a result, but its small rendition could not be made, or was cleaned up."""

    code = "preview_not_found"


class PyramidNotFound(ResultNotFound):
    """The picture is there, but its tiles could not be made, or there is no such tile."""

    code = "pyramid_not_found"


class PyramidsBusy(JobError):
    """Too many pictures are being cut into tiles already."""

    code = "pyramids_busy"


class JobFailed(JobError):
    """The job ended without a result; ``code`` is the job's own error code."""

    code = "job_failed"

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class InputRejected(JobFailed):
    """The job failed because of its picture: the caller's side of the contract."""

    code = "image_invalid"


class JobStateConflict(JobError):
    """The job is not in a state that allows the action: a finished job cannot be cancelled."""

    code = "job_state_conflict"


class InputGone(JobStateConflict):
    """The job's picture was deleted when it ended, as the operator wishes (DELETE_INPUTS_WHEN_DONE)."""

    code = "input_deleted"


class ImageInvalid(JobError):
    """The upload is no image that can be upscaled; the message says why."""

    code = "image_invalid"


class ImageTooManyPixels(ImageInvalid):
    """Input or output would be beyond a limit that the message names."""

    code = "image_too_large"


class ResultUnstorable(ImageInvalid):
    """The format that was asked for cannot hold the result; the message says why."""

    code = "format_unsupported"


class SizeUnreachable(ImageInvalid):
    """The size in pixels that was asked for is smaller than the picture, or more than 16 times as large."""

    code = "size_unreachable"


class UploadTooLarge(JobError):
    """More bytes than MAX_UPLOAD_MB."""

    code = "upload_too_large"


class ChainRefused(JobError):
    """The text names too many models, or none where one should stand, or their scales multiply beyond the limit."""

    code = "chain_refused"


class QueueFull(JobError):
    """MAX_QUEUED_JOBS jobs wait already."""

    code = "queue_full"


class LimitReached(JobError):
    """The call goes beyond a limit of its caller. ``retry_seconds``: when it may fit; None: never, it is too large."""

    code = "limit_reached"

    def __init__(self, message: str, retry_seconds: int | None = None) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds


class QueuedLimitReached(LimitReached):
    """So many jobs of the caller wait already."""

    code = "queued_jobs_limit"


class StorageLimitReached(LimitReached):
    """The caller's pictures take up so much room already."""

    code = "stored_bytes_limit"


class DailyLimitReached(LimitReached):
    """The caller has submitted so many megapixels today."""

    code = "daily_megapixels_limit"


class NoWorker(JobError):
    """Nobody is there who could work on a picture that its caller waits for."""

    code = "no_worker"


class PrecisionUnavailable(JobError):
    """No worker computes in the precision that was asked for; the message names those that there are."""

    code = "precision_unavailable"


class StorageFull(JobError):
    """The disk quota or the free disk space does not allow another picture."""

    code = "storage_full"


class TooExpensive(JobError):
    """The quote is dearer than the caller's max_device_seconds."""

    code = "too_expensive"


class IdempotencyConflict(JobError):
    """The Idempotency-Key was used with another payload."""

    code = "idempotency_key_reused"


class IdempotencyInProgress(JobError):
    """The first call with this Idempotency-Key is still being submitted."""

    code = "idempotency_key_in_progress"


class PriorityRefused(JobError):
    """The caller may not go before all others."""

    code = "priority_refused"


class WebhookRefused(JobError):
    """The webhook_url cannot be delivered to."""

    code = "webhook_url_refused"


class ImageUrlRefused(JobError):
    """The image_url is not allowed: switched off, a host that is not listed, or an address that must not be reached."""

    code = "image_url_refused"


class ImageUrlFailed(JobError):
    """The picture could not be fetched from image_url: no answer, an error, or too slow."""

    code = "image_url_failed"


class WaitersExceeded(JobError):
    """MAX_WAITING_REQUESTS requests of this web process wait already; the job goes on, its caller must ask again."""

    code = "too_many_waiting"


class BatchRejected(JobError):
    """None of a batch's pictures can be upscaled. ``rejected`` has an entry per picture, as in ``Batch.rejected``."""

    code = "batch_rejected"

    def __init__(self, rejected: "list[dict[str, object]]") -> None:
        super().__init__(f"none of the {len(rejected)} images can be upscaled")
        self.rejected = rejected


class BatchTooLarge(JobError):
    """More than MAX_BATCH_IMAGES pictures."""

    code = "batch_too_large"


def one_line(error: BaseException) -> str:
    """Return an error's text for a log line: libpq's goes over several."""
    return " ".join(str(error).split())
