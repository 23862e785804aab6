"""Settings, an app and a driver for jobs that compute nothing: what they cost is the queue's alone.

A top-level module, so that it runs inside any checkout of the service (benchmarks/dispatch.py): the clusters use it as
their settings, and `python noop_jobs.py` in the checkout's directory is the driver, which reads commands from its input
and answers each with a line of JSON.
"""

import json
import os
import statistics
import sys
import threading
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from django.apps import AppConfig

from upscaler_site.settings import *  # noqa: F403 - the service's settings, with the differences below
from upscaler_site.settings import INSTALLED_APPS, Q_CLUSTER

INSTALLED_APPS = [*INSTALLED_APPS, "noop_jobs.NoopConfig"]
Q_CLUSTER = {**Q_CLUSTER, "workers": int(os.environ.get("NOOP_WORKERS", "1"))}

#: The model of a job that takes its time, and seconds.
SLOW, SLOW_SECONDS = "slow", 8.0


class NoopConfig(AppConfig):
    """Lets jobs end as soon as they are claimed, in workers that never import torch."""

    name = "noop_jobs"

    def ready(self) -> None:
        import jobs.worker

        runtime = ModuleType("jobs.worker.runtime")
        vars(runtime).update(
            settle_in=lambda: None, give_memory_back=lambda: None, upscale=upscale,
            upscaler=lambda: SimpleNamespace(pool=()),
        )  # fmt: skip
        sys.modules["jobs.worker.runtime"] = runtime
        setattr(jobs.worker, "runtime", runtime)  # noqa: B010 - a stand-in
        try:
            from jobs.worker import attempt, previews
        except ImportError:  # a checkout from before the line of jobs
            execution = import_module("jobs.worker.execution")
            setattr(execution, "_compute", compute)  # noqa: B010 - as above
        else:
            setattr(attempt.Attempt, "_weights", lambda _self: ())  # noqa: B010 - as above
            setattr(attempt, "decode", lambda _path, _limits: "picture")  # noqa: B010 - as above
            setattr(attempt, "store", lambda job, _result, _provenance: (finished(job), ()))  # noqa: B010 - as above
            setattr(previews, "add_preview", lambda *_: None)  # noqa: B010 - as above


def upscale(picture: Any, _members: Any, _asked: Any, _on_tile: Any) -> tuple[Any, Any]:
    from jobs.engine.types import Report

    return picture, Report("noop", "none", "none", "none", "fp32", 2.0, 0, 0, 1, 1)


def compute(job: Any, _heartbeat: Any) -> tuple[Any, None]:
    return finished(job), None


def finished(job: Any) -> Any:
    from jobs.models.results import Finished

    if job.model == SLOW:
        time.sleep(SLOW_SECONDS)
    return Finished(f"results/{job.token.hex}.png", 10, "png", 48, 32, "0" * 64, tiles_done=1, tiles_total=1)


# --- The driver
def submit(model: str = "noop", caller: str = "key:noop") -> uuid.UUID:
    """Take a turn, write a row and ring, as a submission does when its file is stored."""
    from django.db import transaction
    from django.db.models.functions import Now

    from jobs.models import Job
    from jobs.queue import dispatch

    job = Job(model=model, input_file="inputs/x.png", input_sha256="0" * 64, input_bytes=1, input_format="png",
              input_width=24, input_height=16, created_at=Now(), queued_at=Now(), **_place(caller))  # fmt: skip
    with transaction.atomic():
        job.save(force_insert=True)
        dispatch.ring()
    return job.id


def _place(caller: str) -> dict[str, Any]:
    try:
        from jobs.models import Turn
        from jobs.models.turn import cost
    except ImportError:  # a checkout from before fair shares
        return {}
    (turn,) = Turn.objects.take(caller, 10, [cost(24, 16, 1, "noop")])
    return {"caller": caller, "turn": turn}


def ended() -> int:
    from jobs.models import Job

    return int(Job.objects.ended().count())


def wait_for(count: int, seconds: float = 300) -> None:
    limit = time.monotonic() + seconds
    while ended() < count:
        if time.monotonic() > limit:
            raise SystemExit(f"{ended()} of {count} jobs have ended")
        time.sleep(0.05)


def many(count: int, threads: int) -> dict[str, float]:
    """Submit ``count`` jobs, one per transaction, from ``threads`` at once; all have ended when this returns."""
    from django.db import connection
    from django.db.models import Max, Min

    from jobs.models import Job

    Job.objects.all().delete()
    began_cpu = time.process_time()

    def work(share: int) -> None:
        for _ in range(share):
            submit()
        connection.close()

    senders = [threading.Thread(target=work, args=(count // threads,)) for _ in range(threads)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    cpu = time.process_time() - began_cpu
    wait_for(count // threads * threads)
    times = Job.objects.aggregate(first=Min("created_at"), last=Max("finished_at"))
    attempts = sum(Job.objects.values_list("attempts", flat=True))
    seconds = (times["last"] - times["first"]).total_seconds()
    return {"seconds": seconds, "jobs": ended(), "attempts": attempts, "sender_cpu": cpu}


def starts(count: int) -> dict[str, float]:
    """Submit jobs one after the other; milliseconds from each submission to its claim and to its end."""
    from django.db.models import F

    from jobs.models import Job

    Job.objects.all().delete()
    for number in range(count):
        submit()
        wait_for(number + 1)
        time.sleep(0.03 + 0.1 * (number % 7) / 7)
    times = Job.objects.annotate(start=F("started_at") - F("queued_at"), end=F("finished_at") - F("queued_at"))
    to_start = sorted(1000 * time.total_seconds() for time in times.values_list("start", flat=True))
    to_end = sorted(1000 * time.total_seconds() for time in times.values_list("end", flat=True))
    return {
        "start": statistics.median(to_start),
        "start95": to_start[int(0.95 * len(to_start))],
        "end": statistics.median(to_end),
    }


def counters() -> dict[str, float]:
    """Return the server's own counts: transactions, bytes of WAL, connections of others."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT xact_commit, pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0'), (SELECT count(*) FROM "
            "pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()) "
            "FROM pg_stat_database WHERE datname = current_database()"
        )
        commits, wal, connections = cursor.fetchone()
    return {"commits": int(commits), "wal": int(wal), "connections": int(connections)}


def claims(waiting: int, callers: int, count: int) -> dict[str, float]:
    """Claim ``count`` of so many waiting jobs; jobs a second, and milliseconds inside the server."""
    from django.db import connection, transaction

    from jobs.models import Job
    from jobs.models.job_changes import CHANNEL

    try:
        claim = import_module("jobs.models.job_claiming").CLAIM
    except ImportError:  # a checkout from before the claim had a file of its own
        claim = import_module("jobs.models.job_queryset").CLAIM
    fair = hasattr(Job, "turn")  # a checkout from before fair shares has no such columns
    columns, values = (", caller, turn", f", 'key:' || mod(n, {callers}), n / {callers}") if fair else ("", "")
    Job.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute(f"""
            INSERT INTO jobs_job (id, status, priority, request_id, model, options, fingerprint, input_file, input_name,
                input_sha256, input_bytes, input_format, input_width, input_height, input_frames, result_file,
                preview_file, result_format, result_sha256, report, created_at, queued_at, attempts, worker, tiles_done,
                cancel_requested, error, error_code, webhook_url, webhook_events{columns})
            SELECT gen_random_uuid(), 'queued', 10, '', 'tiny', '{{}}', md5(n::text), 'inputs/' || n, '', md5(n::text),
                1, 'png', 1000, 1000, 1, '', '', '', '', '{{}}', now(), now(), 0, '', 0, false, '', '', '', '[]'{values}
            FROM generate_series(1, %s) AS n""", [waiting])  # fmt: skip
        cursor.execute("VACUUM ANALYZE jobs_job")
    parameters: dict[str, Any] = {"token": uuid.uuid4(), "worker": "w", "lease": timedelta(seconds=30), "limit": 1,
                  "limit_per_megapixel": 1, "channel": CHANNEL}  # fmt: skip
    inside = []
    for _ in range(50):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {claim}", parameters)
            (plan,) = cursor.fetchone()[0]
            transaction.set_rollback(True)
        inside.append(plan["Planning Time"] + plan["Execution Time"])
    began, began_cpu = time.perf_counter(), time.process_time()
    for _ in range(count):
        if Job.objects.claim("bench") is None:
            raise SystemExit("nothing waits")
    seconds = time.perf_counter() - began
    return {
        "claims": count / seconds,
        "inside": statistics.median(inside),
        "cpu": 1000 * (time.process_time() - began_cpu) / count,
    }


def prepare() -> dict[str, float]:
    from django.core.management import call_command

    call_command("migrate", verbosity=0, skip_checks=True)
    return {}


def slow() -> dict[str, float]:
    """Submit one job that takes its time."""
    submit(SLOW)
    return {}


COMMANDS: dict[str, Callable[..., dict[str, float]]] = {
    "prepare": prepare, "many": many, "starts": starts, "counters": counters, "slow": slow,
    "claims": claims,
}  # fmt: skip


def main() -> None:
    import django

    sys.path.insert(0, str(Path.cwd()))
    django.setup()
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(json.dumps(COMMANDS[name](*arguments)), flush=True)


if __name__ == "__main__":
    main()
