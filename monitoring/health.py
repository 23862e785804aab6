"""Is the service well? ``live`` asks this process only; ``ready`` asks everything that a picture needs on its way.

Both are cheap enough for a probe every second: nothing is loaded, nothing is computed, and every question to the
database is bounded in time, so that a hung database makes the service "not ready" instead of hanging the probe.
"""

import logging
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil
from django.conf import settings
from django.db import DatabaseError, connection, transaction

from jobs import deadlines
from jobs.errors import one_line
from jobs.models import Pause, Worker
from jobs.queue import dispatch
from jobs.storage import files
from modelstore import notify
from modelstore.errors import StorageUnavailable
from modelstore.storage.weights import count_usable

log = logging.getLogger(__name__)

#: A probe of Kubernetes gives up after some seconds; the answer "the database is slow" must come before that. One
#: statement by the server's clock, which ends it there too; all of them by ours, since a frozen server has no clock.
STATEMENT_TIMEOUT_MS = 2000
DATABASE_SECONDS = 2.5
#: The same for a broker beside the database.
BROKER_SECONDS = 1.0

#: Checks that failed at this process's last probe, and those that ever succeeded.
_failing: set[str] = set()
_succeeded: set[str] = set()
#: Seconds after this process's start in which a worker that never was there is starting, not missing.
STARTING_SECONDS = 120.0

NO_MODEL = "no usable model; download one first using /api/v1/models/download"


@dataclass(frozen=True)
class Finding:
    """The result of one check: ``ok``, and the reason in one line."""

    name: str
    ok: bool
    detail: str  # without paths and addresses: the endpoint is public
    cause: str = ""  # the system's error message, for the log only
    warning: bool = False  # pictures are upscaled all the same, but something is not as it should be


def uptime_seconds() -> float:
    """Return the seconds since this web process started."""
    return round(max(0.0, time.time() - psutil.Process(os.getpid()).create_time()), 1)


def readiness() -> list[Finding]:
    """Answer every question of readiness. The service is ready when all are ``ok``."""
    with deadlines.within(DATABASE_SECONDS):
        database = _check("database", _database)
        rest = [_check("worker", _worker), _check("model", _model)] if database.ok else []
    findings = [database, *broker(), storage(), *rest]
    _log_changes(findings)
    if not database.ok:
        findings += [Finding(name, False, "unknown: the database does not answer") for name in ("worker", "model")]
    return findings


def _log_changes(findings: list[Finding]) -> None:
    """Log one line when a result changes: probes come every second, and repeated lines hide what matters."""
    for finding in findings:
        failed_before = finding.name in _failing
        if finding.ok:
            _succeeded.add(finding.name)
        if not finding.ok and _starts(finding):
            log.debug("starting check=%s reason=%s", finding.name, finding.detail)
        elif not finding.ok:
            _failing.add(finding.name)
            level = logging.DEBUG if failed_before else logging.WARNING
            log.log(level, "not ready check=%s reason=%s", finding.name, finding.cause or finding.detail)
        elif failed_before:
            _failing.discard(finding.name)
            log.info("ready again check=%s reason=%s", finding.name, finding.detail)


def _starts(finding: Finding) -> bool:
    return finding.name == "worker" and finding.name not in _succeeded and uptime_seconds() < STARTING_SECONDS


def _check(name: str, question: Callable[[], tuple[bool, str]]) -> Finding:
    """Ask one question. An error of the system is the answer "no", with a reason that names no path and no address."""
    try:
        ok, detail = question()
    except DatabaseError as error:
        return Finding(name, False, f"the database does not answer ({type(error).__name__})", one_line(error))
    except StorageUnavailable as error:
        return Finding(name, False, error.advice, error.cause)
    except OSError as error:
        return Finding(name, False, f"cannot write: {error.strerror or type(error).__name__}", str(error))
    return Finding(name, ok, detail)


def _bounded() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL statement_timeout = {STATEMENT_TIMEOUT_MS}")


def _database() -> tuple[bool, str]:
    with transaction.atomic():
        _bounded()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    return True, "answers"


def broker() -> list[Finding]:
    """Ask the broker beside the database, where there is one. Without it all goes on, so it is never "not ready"."""
    if notify.over_postgres():
        return []
    if trouble := notify.trouble(BROKER_SECONDS):
        detail = "Redis does not answer: work starts, and callers hear of its end, up to some seconds late"
        return [Finding("broker", True, detail, trouble, warning=True)]
    return [Finding("broker", True, "Redis answers")]


def storage() -> Finding:
    """Say whether pictures can be stored now: their directory or bucket answers, and uploads have room."""
    return _check("storage", _storage)


def _storage() -> tuple[bool, str]:
    words = files.check()
    free_mb = shutil.disk_usage(settings.FILE_UPLOAD_TEMP_DIR).free // 1_000_000
    if free_mb < settings.MIN_FREE_DISK_MB:
        return False, f"{free_mb} MB of disk are free; uploads must leave {settings.MIN_FREE_DISK_MB} MB"
    return True, words


def _worker() -> tuple[bool, str]:
    with transaction.atomic():
        _bounded()
        alive = Worker.objects.computing().count()
        if alive:
            pause = Pause.objects.filter(cluster=dispatch.GPU).first()
            paused = f"; paused, pictures wait{pause.reason and f': {pause.reason}'}" if pause else ""
            return True, f"{alive} inference worker{'s' if alive > 1 else ''} alive{paused}"
        if Worker.objects.alive().filter(cluster="gpu").exists():
            return False, "inference workers start, but find no device to compute on; their log says why"
        last = Worker.objects.filter(cluster="gpu").order_by("-seen_at").values_list("seen_at", flat=True).first()
    if last is None:
        return False, "no inference worker has ever reported; start the cluster gpu"
    return False, f"no inference worker is alive; the last was seen at {last:%Y-%m-%dT%H:%M:%SZ}"


def _model() -> tuple[bool, str]:
    with transaction.atomic():
        _bounded()
        usable = count_usable()
    if usable:
        return True, f"{usable} usable model{'s' if usable > 1 else ''}"
    return False, NO_MODEL
