"""Pages of the job list: filters, a stable order, a cursor.

The order is newest first, ties by id. The cursor is the place after which the next page begins, so jobs that come in
between two calls neither repeat nor hide one. ``total`` is exact, as the guide promises: an index-only count, measured
in benchmarks/listing.py; pages themselves cost the same wherever they lie.
"""

import base64
import binascii
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Q, QuerySet

from jobs.models import Job

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class CursorInvalid(ValueError):
    """The text is no cursor that we gave out."""


@dataclass(frozen=True)
class Filters:
    """The caller's filters; None does not filter. Times are compared with the job's creation."""

    ids: list[uuid.UUID] | None = None
    status: str | None = None
    model: str | None = None
    batch: uuid.UUID | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True)
class Page:
    """Some jobs, how many there are in all, and where the next page begins (None after the last)."""

    jobs: list[Job]
    total: int
    next_cursor: str | None


def page_of(jobs: "QuerySet[Job]", filters: Filters, *, limit: int, cursor: str | None = None) -> Page:
    """Return one page of ``jobs``. Two queries, whatever the filters. Raises CursorInvalid."""
    wanted = filtered(jobs, filters)
    rows = wanted.order_by("-created_at", "-id")
    if cursor:
        created_at, job_id = decode_cursor(cursor)
        # The first condition is implied by the second; it is what lets Postgres start in the index at the right place.
        rows = rows.filter(created_at__lte=created_at).filter(Q(created_at__lt=created_at) | Q(id__lt=job_id))
    found = list(rows[: limit + 1])
    more = len(found) > limit
    found = found[:limit]
    return Page(found, wanted.order_by().count(), encode_cursor(found[-1]) if more and found else None)


def filtered(jobs: "QuerySet[Job]", filters: Filters) -> "QuerySet[Job]":
    """Return the jobs that match the filters."""
    if filters.ids is not None:
        jobs = jobs.filter(id__in=filters.ids)
    if filters.status is not None:
        jobs = jobs.filter(status=filters.status)
    if filters.model is not None:
        jobs = jobs.filter(model=filters.model)
    if filters.batch is not None:
        jobs = jobs.filter(batch_id=filters.batch)
    if filters.created_after is not None:
        jobs = jobs.filter(created_at__gt=filters.created_after)
    if filters.created_before is not None:
        jobs = jobs.filter(created_at__lt=filters.created_before)
    return jobs


def encode_cursor(job: Job) -> str:
    """Return the place just after ``job``: microseconds since 1970 (8 bytes), id (16 bytes), in URL-safe letters."""
    microseconds = (job.created_at - _EPOCH) // timedelta(microseconds=1)
    return base64.urlsafe_b64encode(microseconds.to_bytes(8, "big") + job.id.bytes).decode()


def decode_cursor(cursor: str) -> tuple[datetime, uuid.UUID]:
    """Read a cursor back. Raises CursorInvalid."""
    try:
        raw = base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True)
        if len(raw) != 24:
            raise CursorInvalid
        return _EPOCH + timedelta(microseconds=int.from_bytes(raw[:8], "big")), uuid.UUID(bytes=raw[8:])
    except (UnicodeEncodeError, binascii.Error, OverflowError, CursorInvalid):
        raise CursorInvalid("not a cursor of this service") from None
