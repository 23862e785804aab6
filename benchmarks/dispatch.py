"""Jobs a second from end to end, start latency and the cost of idleness, of one or two checkouts side by side.

    python -m benchmarks.dispatch [--beside ../main] [--broker] [--workers 1 8 32] [--jobs 1000] [--rounds 3]

Jobs compute nothing (benchmarks/noop). Each checkout has an embedded Postgres of its own, two clusters (one where there
is one worker) and a driver that submits from eight threads, one job in each transaction; they take turns. Prints the
median of the rounds, beside it seconds of processor time per 1,000 jobs. ``--broker`` runs this checkout a second time,
with its messages over a redis-server of its own. ``--sync-ms`` makes the disk slow (by
``commit_delay``), as it is where several servers share one; ``--rows`` measures the claim of a job in a table of so
many finished ones instead, ``--waiting`` claims among so many waiting ones.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

import psutil

REPOSITORY = Path(__file__).resolve().parent.parent
THREADS = 8


class Side:
    """A checkout with its Postgres, its Redis or none, its driver and, while `clusters` lasts, its clusters."""

    def __init__(self, name: str, checkout: Path, scratch: Path, url: str) -> None:
        self.name, self.checkout, self.server = name, checkout, scratch / "database"
        self.redis = redis_in(scratch) if name == "redis" else None
        self.log = scratch / "clusters.log"
        self._running: list[subprocess.Popen[bytes]] = []
        self._environment = (
            os.environ
            | {
                "DATABASE_URL": url,
                "UPSCALER_DATA_DIR": str(scratch / "data"),
                "DJANGO_SETTINGS_MODULE": "noop_jobs",
                "PYTHONPATH": f"{checkout}:{REPOSITORY / 'benchmarks' / 'noop'}",
                "Q_CLUSTER_NAME": "gpu",
                "LOG_LEVEL": "WARNING",
                "MAX_QUEUED_JOBS": "1000000",
            }
            | ({"BROKER_URL": f"unix://{scratch}/redis.sock"} if self.redis else {})
        )  # as near as Postgres is
        self.driver = subprocess.Popen(
            [sys.executable, str(REPOSITORY / "benchmarks" / "noop" / "noop_jobs.py")],
            cwd=checkout, env=self._environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.ask("prepare")

    def ask(self, *command: Any) -> dict[str, float]:
        """Have the driver do something; its answer."""
        assert self.driver.stdin
        assert self.driver.stdout
        self.driver.stdin.write(json.dumps(command) + "\n")
        self.driver.stdin.flush()
        line = self.driver.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} broke:\n{self.log.read_text()[-3000:]}")
        answer: dict[str, float] = json.loads(line)
        return answer

    @contextmanager
    def clusters(self, workers: int) -> Iterator[None]:
        """Run ``workers`` in two clusters; one that is alone, in one."""
        shares = [workers] if workers == 1 else [workers // 2, workers - workers // 2]
        with self.log.open("ab") as log:
            for share in shares:
                self._running.append(
                    subprocess.Popen(
                        [sys.executable, "manage.py", "qcluster"],
                        cwd=self.checkout,
                        env=self._environment | {"NOOP_WORKERS": str(share)},
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )
                )
        try:
            self.ask("many", 8 * workers, 8)  # all have started, and have done something
            yield
        finally:
            for process in self._running:
                process.send_signal(signal.SIGTERM)
            for process in self._running:
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
            self._running.clear()

    def cpu(self) -> dict[str, float]:
        """Return seconds of processor time so far, of the clusters and of Postgres."""
        postmaster = psutil.Process(int((self.server / "postgres" / "data" / "postmaster.pid").read_text().split()[0]))
        return {
            "clusters": sum(_seconds(psutil.Process(process.pid)) for process in self._running),
            "postgres": _seconds(postmaster),
            "redis": _seconds(psutil.Process(self.redis.pid)) if self.redis else 0.0,
        }

    def close(self) -> None:
        if self.driver.stdin:
            self.driver.stdin.close()
        self.driver.wait(30)
        if self.redis:
            self.redis.terminate()
            self.redis.wait()


def redis_in(scratch: Path) -> "subprocess.Popen[bytes]":
    """Start a redis-server that keeps nothing, at a socket in ``scratch``."""
    server = subprocess.Popen(
        ["redis-server", "--port", "0", "--unixsocket", str(scratch / "redis.sock"), "--save", ""],
        cwd=scratch,
        stdout=subprocess.DEVNULL,
    )
    while not (scratch / "redis.sock").exists():
        if server.poll() is not None:
            raise SystemExit("redis-server did not start")
        time.sleep(0.05)
    return server


def _seconds(root: psutil.Process) -> float:
    """Return processor seconds of a process, its living descendants and the dead ones that were waited for."""
    total = 0.0
    for process in [root, *root.children(recursive=True)]:
        with suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def throughput(side: Side, jobs: int) -> dict[str, float]:
    cpu, counts = side.cpu(), side.ask("counters")
    done = side.ask("many", jobs, THREADS)
    cpu_after, counts_after = side.cpu(), side.ask("counters")
    per_thousand = 1000 / done["jobs"]
    return {
        "jobs a second": done["jobs"] / done["seconds"],
        "CPU s per 1,000: clusters": per_thousand * (cpu_after["clusters"] - cpu["clusters"]),
        "CPU s per 1,000: Postgres": per_thousand * (cpu_after["postgres"] - cpu["postgres"]),
        "CPU s per 1,000: Redis": per_thousand * (cpu_after["redis"] - cpu["redis"]),
        "CPU s per 1,000: submitting": per_thousand * done["sender_cpu"],
        "commits per job": (counts_after["commits"] - counts["commits"]) / done["jobs"],
        "attempts per job": done["attempts"] / done["jobs"],
    }


def latency(side: Side, count: int) -> dict[str, float]:
    found = side.ask("starts", count)
    return {
        "submit to start, median ms": found["start"],
        "submit to start, p95 ms": found["start95"],
        "submit to end, median ms": found["end"],
    }


def idleness(side: Side, seconds: float) -> dict[str, float]:
    time.sleep(2)
    cpu, counts, at = side.cpu(), side.ask("counters"), time.monotonic()
    time.sleep(seconds)
    cpu_after, counts_after = side.cpu(), side.ask("counters")
    passed = time.monotonic() - at
    return {
        "idle: clusters, CPU % of a core": 100 * (cpu_after["clusters"] - cpu["clusters"]) / passed,
        "idle: Postgres, CPU % of a core": 100 * (cpu_after["postgres"] - cpu["postgres"]) / passed,
        "idle: Redis, CPU % of a core": 100 * (cpu_after["redis"] - cpu["redis"]) / passed,
        "idle: transactions a second": (counts_after["commits"] - counts["commits"]) / passed,
        "idle: WAL bytes a second": (counts_after["wal"] - counts["wal"]) / passed,
    }


def connections(side: Side) -> dict[str, float]:
    """Count the connections of a cluster of one worker, at rest and with a job that takes its time."""
    found = {"connections, at rest": side.ask("counters")["connections"]}
    side.ask("slow")
    busy = 0.0
    for _ in range(12):
        time.sleep(0.5)
        busy = max(busy, side.ask("counters")["connections"])
    time.sleep(4)
    return found | {"connections, at work": busy}


def claiming(side: Side, waiting: int) -> dict[str, float]:
    found = side.ask("claims", waiting, 50, min(waiting, 1000))
    return {
        "claims a second": found["claims"],
        "ms inside the server": found["inside"],
        "ms of processor, claimer": found["cpu"],
    }


def compare(sides: list[Side], title: str, measure: Callable[[Side], dict[str, float]], rounds: int) -> None:
    """Let the sides take turns, and print the medians."""
    found: list[list[dict[str, float]]] = [[] for _ in sides]
    for _ in range(rounds):
        for side, results in zip(sides, found, strict=True):
            results.append(measure(side))
    print(f"\n{title:34}" + "".join(f"{side.name:>12}" for side in sides) + f"{'ratio':>9}", flush=True)
    for what in found[0][0]:
        figures = [median(result[what] for result in results) for results in found]
        ratio = f"{figures[0] / figures[1]:9.2f}" if len(figures) > 1 and figures[1] else ""
        print(f"{what:34}" + "".join(f"{figure:12.2f}" for figure in figures) + ratio, flush=True)


def measure_all(sides: list[Side], arguments: argparse.Namespace) -> None:
    for workers in arguments.workers:
        with ExitStack() as stack:
            for side in sides:
                stack.enter_context(side.clusters(workers))
            rounds = arguments.rounds
            compare(sides, f"{workers} workers", lambda side: throughput(side, arguments.jobs), rounds)
            compare(sides, f"{workers} workers", lambda side: latency(side, arguments.starts), rounds)
            compare(sides, f"{workers} workers", lambda side: idleness(side, arguments.idle), 1)
            if workers == 1:
                compare(sides, "1 worker", connections, 1)


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
    return median(times), sorted(times)[int(0.95 * len(times))], median(server_times())


def server_times() -> list[float]:
    """Return milliseconds of the claim's statement inside the server, without the round trip and the COMMIT."""
    from django.db import connection, transaction

    from jobs.models.job_changes import CHANNEL
    from jobs.models.job_claiming import CLAIM

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


def print_claims(rows: int, url: str, scratch: Path) -> None:
    os.environ |= {
        "DATABASE_URL": url,
        "UPSCALER_DATA_DIR": str(scratch / "data"),
        "DJANGO_SETTINGS_MODULE": "upscaler_site.settings",
    }
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0, skip_checks=True)
    for finished in (0, rows):
        middle, high, inside = measure_claims(finished)
        print(
            f"claim among {finished} finished jobs: median {middle:.2f} ms, p95 {high:.2f} ms, "
            f"of that inside the server {inside:.2f} ms"
        )
    connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beside", type=Path, help="another checkout, of an older version")
    parser.add_argument("--broker", action="store_true", help="beside it, this checkout with BROKER_URL")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--starts", type=int, default=60)
    parser.add_argument("--idle", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=0)
    parser.add_argument("--waiting", type=int, default=0, help="measure claims among so many waiting jobs instead")
    parser.add_argument("--sync-ms", type=float, default=0.0, help="let Postgres wait so long before each sync")
    arguments = parser.parse_args()
    from upscaler_site.postgres.embedded import EmbeddedPostgres

    slow_disk = {"commit_delay": str(round(1000 * arguments.sync_ms)), "commit_siblings": "0"}
    checkouts = {"this": REPOSITORY} | ({"beside": arguments.beside.resolve()} if arguments.beside else {})
    checkouts |= {"redis": REPOSITORY} if arguments.broker else {}
    with tempfile.TemporaryDirectory(prefix="upscaler-bench-") as name, ExitStack() as stack:
        sides = []
        for which, checkout in checkouts.items():
            scratch = Path(name) / which
            scratch.mkdir()
            for directory in (Path(name), scratch):
                directory.chmod(0o755)
            url = stack.enter_context(EmbeddedPostgres(scratch / "database", slow_disk))
            if arguments.rows:
                print_claims(arguments.rows, url, scratch)
                return
            sides.append(Side(which, checkout, scratch, url))
            stack.callback(sides[-1].close)
        if arguments.waiting:
            what = f"{arguments.waiting} jobs of 50 callers wait"
            compare(sides, what, lambda side: claiming(side, arguments.waiting), arguments.rounds)
        else:
            measure_all(sides, arguments)


if __name__ == "__main__":
    main()
