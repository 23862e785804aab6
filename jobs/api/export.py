"""A key's data as one ZIP file, put together while it is sent: neither disk nor memory ever holds it.

Rows are read a page at a time, and no query is open between two pieces: each piece may be asked for in another thread.
What grows with the number of files is the ZIP's own directory alone, some 300 bytes each.
"""

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from django.core.files.base import File
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection
from django.db.models import Model, QuerySet
from zipstream import ZIP_DEFLATED, ZIP_STORED, ZipStream

from audit.models import Entry
from jobs.api.serializers.job import JobDetailSerializer
from jobs.models import ApiKey, Batch, IdempotencyKey, Job, WebhookMessage
from jobs.storage import file_names, files
from jobs.storage.archive import MISSING

#: Rows of one query.
PAGE = 200
_BLOCK = 1 << 16


def stream(key: ApiKey | None) -> Iterator[bytes]:
    """Yield the archive; None: of a caller without a key, who owns nothing."""
    archive = ZipStream(compress_type=ZIP_STORED)
    jobs = Job.objects.filter(api_key=key) if key else Job.objects.none()
    webhooks = WebhookMessage.objects.filter(api_key=key) if key else WebhookMessage.objects.none()
    batches = Batch.objects.filter(api_key=key) if key else Batch.objects.none()
    called = IdempotencyKey.objects.filter(owner=str(key.pk)) if key else IdempotencyKey.objects.none()
    acts = Entry.objects.filter(actor__kind="key", actor__reference=str(key.pk)) if key else Entry.objects.none()
    tables: dict[str, tuple[QuerySet[Any], Callable[[Any], dict[str, Any]]]] = {
        "jobs": (jobs, lambda job: dict(JobDetailSerializer(job).data)),
        "batches": (batches, _batch),
        "webhooks": (webhooks.prefetch_related("attempts"), _webhook),
        "idempotency_keys": (called, _called),
        "audit": (acts, _act),
    }
    archive.add(_json(key and _facts(key)), "key.json")
    for name, (rows, shape) in tables.items():
        archive.add(_json_list(rows, shape), f"{name}.json", compress_type=ZIP_DEFLATED)
    yield from archive.all_files()
    missing = []
    for job in _paged(jobs):
        for name, opened in _pictures(job):
            if opened is None:
                missing.append(name)
                continue
            archive.add(_bytes_of(opened), name, size=opened.size)
            yield from archive.all_files()
    if missing:
        archive.add("These pictures are no longer stored:\n" + "\n".join(missing) + "\n", MISSING)
    yield from archive.finalize()


def _pictures(job: Job) -> Iterator[tuple[str, "File[bytes] | None"]]:
    """Yield the archive's names of a job's input and result, each with its file; None for one that went meanwhile."""
    if job.has_input:
        suffix = PurePosixPath(job.input_file).suffix
        yield f"inputs/{job.pk}{suffix}", _opened(files.open_input, job)
    if job.result_file:
        yield f"results/{job.pk}/{file_names.download_name(job)}", _opened(files.open_result, job)


def _opened(opener: "Callable[[Job], File[bytes]]", job: Job) -> "File[bytes] | None":
    try:
        return opener(job)
    except FileNotFoundError:
        return None


def _bytes_of(file: "File[bytes]") -> Iterator[bytes]:
    with file:
        while block := file.read(_BLOCK):
            yield block


def _paged(rows: QuerySet[Any]) -> Iterator[Any]:
    """Yield the rows by their primary keys, with a query for each page that ends before its rows are used."""
    last: Any = None
    while True:
        page = rows.order_by("pk")
        found: list[Model] = list((page if last is None else page.filter(pk__gt=last))[:PAGE])
        if not connection.in_atomic_block:
            connection.close()
        yield from found
        if len(found) < PAGE:
            return
        last = found[-1].pk


def _json_list(rows: QuerySet[Any], shape: Callable[[Any], dict[str, Any]]) -> Iterator[bytes]:
    """Yield a JSON list of the rows' shapes."""
    joint = b"[\n"
    for row in _paged(rows):
        yield joint + _json(shape(row))
        joint = b",\n"
    yield b"\n]\n" if joint == b",\n" else b"[]\n"


def _json(shape: object) -> bytes:
    return json.dumps(shape, cls=DjangoJSONEncoder, ensure_ascii=False, indent=1).encode()


def _facts(key: ApiKey) -> dict[str, Any]:
    """Return what is known of a key. Its digest is no fact of its owner's: whoever has it could try secrets on it."""
    names = ("name", "prefix", "scopes", "created_at", "expires_at", "last_used_at", "revoked_at", "retain_hours")
    return {name: getattr(key, name) for name in names}


def _batch(batch: Batch) -> dict[str, Any]:
    return {"batch_id": batch.pk, "created_at": batch.created_at, "rejected": batch.rejected}


def _webhook(message: WebhookMessage) -> dict[str, Any]:
    names = ("id", "event", "url", "state", "tries", "created_at", "finished_at", "body")
    tried = ("at", "number", "status", "seconds", "error", "answer")
    attempts = [{name: getattr(attempt, name) for name in tried} for attempt in message.attempts.all()]
    return {**{name: getattr(message, name) for name in names}, "attempts": attempts}


def _called(row: IdempotencyKey) -> dict[str, Any]:
    at: datetime = row.created_at
    return {"key": row.key, "created_at": at, "job_id": row.job_id, "batch_id": row.batch_id}


def _act(entry: Entry) -> dict[str, Any]:
    names = ("at", "action", "object_kind", "object_id", "detail", "request_id", "address_hash")
    return {name: getattr(entry, name) for name in names}
