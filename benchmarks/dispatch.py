"""Own broker against django-q2's stock ORM broker, side by side in one run: start latency, idle CPU, throughput.

    python -m benchmarks.dispatch [--starts 200] [--idle 20] [--tasks 500] [--rows 1000000]

Everything runs in a scratch directory with an embedded Postgres of its own. ``--rows`` also measures the claim of a job
in a table of so many finished ones.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

import psutil

REPOSITORY = Path(__file__).resolve().parent.parent


class Cluster:
    """A running cluster of one broker, in a session of its own."""

    def __init__(self, broker: str, scratch: Path) -> None:
        self.notes = scratch / f"{broker}.notes"
        self.log = scratch / f"{broker}.log"
        command = ["-m", "benchmarks.queue_tasks"] if broker == "stock" else ["manage.py", "qcluster"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, *command],
                cwd=REPOSITORY,
                env={**os.environ, "BENCH_BROKER": broker, "BENCH_NOTES": str(self.notes), "Q_CLUSTER_NAME": "io"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def lines(self) -> list[tuple[float, float]]:
        if not self.notes.exists():
            return []
        return [(float(a), float(b)) for a, b in (line.split() for line in self.notes.read_text().splitlines())]

    def wait_for(self, count: int, seconds: float = 120) -> None:
        limit = time.monotonic() + seconds
        while len(self.lines()) < count:
            if time.monotonic() > limit or self.process.poll() is not None:
                raise SystemExit(f"{len(self.lines())} of {count} tasks ran:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.002)

    def cpu_seconds(self) -> float:
        total = 0.0
        for process in [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]:
            times = process.cpu_times()
            total += times.user + times.system
        return total

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def enqueue(broker: str) -> None:
    """Enqueue one task through the broker that is measured; the other one would not ring."""
    from django_q.brokers.orm import ORM
    from django_q.tasks import async_task

    from jobs.queue.broker import PostgresBroker

    chosen = PostgresBroker("io") if broker == "own" else ORM("io")
    async_task("benchmarks.queue_tasks.note", time.time(), broker=chosen)


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def measure(broker: str, scratch: Path, arguments: argparse.Namespace) -> dict[str, float]:
    from django.db import connection, transaction

    cluster = Cluster(broker, scratch)
    try:
        enqueue(broker)
        cluster.wait_for(1)
        dice = random.Random(3)
        for index in range(arguments.starts):
            time.sleep(dice.uniform(0.02, 0.25))
            enqueue(broker)
            cluster.wait_for(index + 2)
        starts = [1000 * seconds for seconds, _ in cluster.lines()[1:]]

        time.sleep(2)
        before, at = cluster.cpu_seconds(), time.monotonic()
        time.sleep(arguments.idle)
        idle = 100 * (cluster.cpu_seconds() - before) / (time.monotonic() - at)

        already = len(cluster.lines())
        with transaction.atomic():
            for _ in range(arguments.tasks):
                enqueue(broker)
        begun = time.time()
        cluster.wait_for(already + arguments.tasks, 600)
        rate = arguments.tasks / (cluster.lines()[-1][1] - begun)
    finally:
        cluster.stop()
        connection.close()
    return {
        "start median ms": median(starts),
        "start p95 ms": percentile(starts, 0.95),
        "idle CPU % of a core": idle,
        "tasks per second": rate,
    }


def measure_claims(rows: int) -> tuple[float, float, float]:
    """Return milliseconds (median, p95, median in the server) of claims in a table of ``rows`` finished jobs."""
    from django.db import connection

    from jobs.models import Job
    from jobs.states import Status

    insert = """
        INSERT INTO jobs_job (id, status, priority, request_id, model, options, fingerprint, input_file, input_name,
            input_sha256, input_bytes, input_format, input_width, input_height, input_frames, result_file,
            preview_file, result_format, result_sha256, report, created_at, queued_at, finished_at, attempts,
            worker, tiles_done, cancel_requested, error, error_code, webhook_url, webhook_events)
        SELECT gen_random_uuid(), %s, 10, '', 'tiny', '{}', md5(n::text), 'inputs/' || n, '', md5(n::text), 1, 'png',
            1, 1, 1, CASE WHEN %s = 'completed' THEN 'results/' || n ELSE '' END, '', 'png', '', '{}', now(), now(),
            CASE WHEN %s = 'completed' THEN now() END, 1, '', 0, false, '', '', '', '[]'
        FROM generate_series(1, %s) AS n
    """
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM jobs_job")
        for status, count in ((Status.COMPLETED, rows), (Status.QUEUED, 200)):
            cursor.execute(insert, [status.value, status.value, status.value, count])
        cursor.execute("VACUUM ANALYZE jobs_job")
    times = []
    for _ in range(200):
        at = time.perf_counter()
        assert Job.objects.claim("bench") is not None
        times.append(1000 * (time.perf_counter() - at))
    return median(times), percentile(times, 0.95), median(server_times())


def server_times() -> list[float]:
    """Return milliseconds of the claim's statement inside the server, without the round trip and the COMMIT."""
    from django.db import connection, transaction

    from jobs.models.job_changes import CHANNEL
    from jobs.models.job_queryset import CLAIM

    values: dict[str, Any] = {
        "token": uuid.uuid4(),
        "worker": "w",
        "lease": timedelta(seconds=30),
        "limit": 1,
        "limit_per_megapixel": 1,
    }
    times = []
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE jobs_job SET status = 'queued', token = NULL, lease_until = NULL WHERE status = 'processing'"
        )
        for _ in range(100):
            with transaction.atomic():
                cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {CLAIM}", values | {"channel": CHANNEL})
                row = cursor.fetchone()
                transaction.set_rollback(True)
            times.append(float(row[0][0]["Planning Time"] + row[0][0]["Execution Time"]))
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=200)
    parser.add_argument("--idle", type=float, default=20.0)
    parser.add_argument("--tasks", type=int, default=500)
    parser.add_argument("--rows", type=int, default=0)
    arguments = parser.parse_args()
    from upscaler_site.postgres.embedded import EmbeddedPostgres

    with tempfile.TemporaryDirectory(prefix="upscaler-bench-") as name:
        scratch = Path(name)
        scratch.chmod(0o755)
        with EmbeddedPostgres(scratch / "database") as url:
            os.environ |= {
                "DATABASE_URL": url,
                "UPSCALER_DATA_DIR": str(scratch / "data"),
                "DJANGO_SETTINGS_MODULE": "benchmarks.queue_settings",
                "LOG_LEVEL": "WARNING",
            }
            import django

            django.setup()
            from django.core.management import call_command

            call_command("migrate", verbosity=0, skip_checks=True)
            found = {broker: measure(broker, scratch, arguments) for broker in ("own", "stock")}
            print(f"{'':24}{'own':>10}{'stock':>10}{'own/stock':>12}")
            for what in found["own"]:
                own, stock = found["own"][what], found["stock"][what]
                print(f"{what:24}{own:10.2f}{stock:10.2f}{own / stock:12.2f}")
            print(f"{arguments.starts} starts, {arguments.idle:g} s idle, {arguments.tasks} tasks at once, one worker")
            if arguments.rows:
                for rows in (0, arguments.rows):
                    middle, high, inside = measure_claims(rows)
                    print(
                        f"claim among {rows} finished jobs: median {middle:.2f} ms, p95 {high:.2f} ms, "
                        f"of that inside the server {inside:.2f} ms"
                    )
            from django.db import connection

            connection.close()


if __name__ == "__main__":
    main()
