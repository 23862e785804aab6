"""Limits of one caller: waiting jobs, stored bytes, megapixels a day. How many of its jobs run at once: the claim.

A key has its own; what it leaves open, and callers without a key, have those of the settings. 0 is no limit.
"""

from dataclasses import dataclass

from django.conf import settings
from django.db import connection
from django.db.models import F, Min, Q, Sum
from django.db.models.functions import Coalesce, Extract, Now

from jobs.errors import DailyLimitReached, QueuedLimitReached, StorageLimitReached
from jobs.models.allowance import Allowance
from jobs.models.api_key import ApiKey
from jobs.models.job import Job
from jobs.states import TERMINAL, Status

#: Seconds after which asking again makes sense where that depends on what workers do.
_SOON = 10
#: The first number of the advisory locks under which the submissions of a limited caller go one after the other.
_LOCK = 0x7570_6C69  # "upli"


@dataclass(frozen=True)
class Limits:
    """Limits of one caller; 0 is no limit."""

    queued_jobs: int
    stored_bytes: int
    megapixels_per_day: float

    @classmethod
    def of(cls, key: ApiKey | None) -> "Limits":
        """Return the limits of a key, or of a caller without one."""
        own = key if key is not None else ApiKey()
        defaults = (settings.CALLER_MAX_QUEUED_JOBS, settings.CALLER_MAX_STORED_GB * 1e9)
        return cls(
            queued_jobs=defaults[0] if own.max_queued_jobs is None else own.max_queued_jobs,
            stored_bytes=int(defaults[1]) if own.max_stored_bytes is None else own.max_stored_bytes,
            megapixels_per_day=(
                settings.CALLER_MAX_MEGAPIXELS_PER_DAY
                if own.max_megapixels_per_day is None
                else own.max_megapixels_per_day
            ),
        )


@dataclass(frozen=True)
class Demand:
    """Demand of one call."""

    jobs: int  # that have to be computed
    megapixels: float  # of their inputs, all frames
    bytes: int  # of all inputs


def take(caller: str, key: ApiKey | None, demand: Demand) -> None:
    """Check a call against its caller's limits, and count it, in the transaction that accepts it.

    The submissions of one limited caller go one after the other from here to their COMMIT, so that no two of them are
    given the same room. Callers without limits do not wait.

    :raises QueuedLimitReached, StorageLimitReached, DailyLimitReached: beyond one; they say when to ask again.
    """
    limits = Limits.of(key)
    if not caller or limits == Limits(0, 0, 0):
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_LOCK, caller])
    if limits.queued_jobs and demand.jobs:
        _require_place(caller, limits.queued_jobs, demand.jobs)
    if limits.stored_bytes:
        _require_bytes(caller, key, limits.stored_bytes, demand.bytes)
    if limits.megapixels_per_day and demand.megapixels:
        _require_megapixels(caller, limits.megapixels_per_day, demand.megapixels)
        Allowance.objects.add(caller, demand.megapixels)


def _require_place(caller: str, limit: int, jobs: int) -> None:
    waiting = Job.objects.filter(status=Status.QUEUED, caller=caller).count()
    if waiting + jobs > limit:
        raise QueuedLimitReached(
            f"Your limit of waiting jobs is {limit}: {waiting} wait already, this call has {jobs}",
            _SOON if jobs <= limit else None,
        )


def _require_bytes(caller: str, key: ApiKey | None, limit: int, size: int) -> None:
    own = Q(api_key=key) if key else Q(api_key=None, caller=caller) & ~Q(caller="")  # as the index has it
    found = Job.objects.filter(own).aggregate(
        stored=Sum(F("input_bytes") + Coalesce(F("result_bytes"), 0)),
        oldest=Extract(Now() - Min("finished_at", filter=Q(status__in=sorted(TERMINAL))), "epoch"),
    )
    stored = int(found["stored"] or 0)
    if stored + size > limit:
        kept = settings.RESULT_TTL_HOURS * 3600 - float(found["oldest"] or 0)  # then the clean-up makes room
        raise StorageLimitReached(
            f"Your limit of stored pictures is {_bytes(limit)}: {_bytes(stored)} are stored, "
            f"this call has {_bytes(size)}",
            max(60, round(kept)) if size <= limit else None,
        )


def _require_megapixels(caller: str, limit: float, megapixels: float) -> None:
    used, seconds_left = Allowance.objects.used(caller)
    if used + megapixels > limit:
        raise DailyLimitReached(
            f"Your limit of megapixels a day is {limit:g}: {used:.4g} are used, this call has {megapixels:.4g}; "
            f"a day ends at 0:00 UTC",
            seconds_left if megapixels <= limit else None,
        )


def _bytes(size: int) -> str:
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size} bytes"
