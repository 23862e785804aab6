"""The events that a caller can subscribe to, and how their bodies look."""

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models

if TYPE_CHECKING:
    from jobs.models.batch import Batch
    from jobs.models.job import Job

MAX_ERROR_CHARACTERS = 2000  # keeps every body far below the 20 kB that Standard Webhooks allows


class WebhookEvent(models.TextChoices):
    """The event types; the values are the API's words."""

    STARTED = "job.started", "A worker took the job"
    PROGRESS = "job.progress", "A quarter, half or three quarters of the tiles are done"
    COMPLETED = "job.completed", "The result is there"
    FAILED = "job.failed", "The job failed"
    CANCELLED = "job.cancelled", "The job was cancelled"
    BATCH_COMPLETED = "batch.completed", "Every job of the batch has ended"


#: The events of a webhook_url without webhook_events: one message per end. The others are sent on request only.
DEFAULT_EVENTS = (WebhookEvent.COMPLETED, WebhookEvent.FAILED, WebhookEvent.CANCELLED, WebhookEvent.BATCH_COMPLETED)


def job_body(event: WebhookEvent, job: "Job", at: datetime) -> str:
    """Return the JSON text of a job's event: the job as the API shows it, with links instead of bytes."""
    data: dict[str, Any] = {
        "job_id": str(job.id),
        "batch_id": str(job.batch_id) if job.batch_id else None,
        "batch_index": job.batch_index,
        "status": job.status,
        "model": job.model,
        "filename": job.input_name or None,
        "created_at": _iso(job.created_at),
        "started_at": _iso(job.started_at),
        "completed_at": _iso(job.finished_at),
        "processing_time_seconds": job.processing_seconds,
        "progress": {"tiles_done": job.tiles_done, "tiles_total": job.tiles_total},
        "error": job.error[:MAX_ERROR_CHARACTERS] or None,
        "error_code": job.error_code or None,
        "width": job.result_width,
        "height": job.result_height,
        "bytes": job.result_bytes,
        "sha256": job.result_sha256 or None,
        "status_url": _link(f"jobs/{job.id}"),
        "result_url": _link(f"jobs/{job.id}/result") if event == WebhookEvent.COMPLETED else None,
    }
    return _body(event, at, data)


def batch_body(batch: "Batch", counts: dict[str, int], at: datetime) -> str:
    """Return the JSON text of a batch's end: counts per status, not a thousand job ids."""
    data = {
        "batch_id": str(batch.id),
        "created_at": _iso(batch.created_at),
        "completed_at": _iso(at),
        "total": sum(counts.values()),
        "rejected": len(batch.rejected),
        "counts": counts,
        "status_url": _link(f"batches/{batch.id}"),
    }
    return _body(WebhookEvent.BATCH_COMPLETED, at, data)


def _body(event: WebhookEvent, at: datetime, data: dict[str, Any]) -> str:
    return json.dumps({"type": str(event), "timestamp": _iso(at), "data": data}, separators=(",", ":"))


def _link(path: str) -> str:
    """Return an absolute URL where PUBLIC_URL is set, else a path: the worker cannot know how callers reach us."""
    return f"{settings.PUBLIC_URL}/api/v1/{path}"


def _iso(at: datetime | None) -> str | None:
    return at.isoformat().replace("+00:00", "Z") if at else None
