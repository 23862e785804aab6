"""Kills and freezes processes of two supervised clusters and of Postgres at random while jobs run; counts what became.

    python -m benchmarks.chaos [--faults 300] [--jobs 300] [--every 1.0] [--seed 1] [--broker]

Everything is real: Postgres under its supervisor, clusters, pictures, a (tiny) network. A picture that the database did
not take is sent again with the same idempotency key, as a careful caller does. Prints faults by kind, starts, accepted,
accepted twice, lost, stuck and orphaned files, and ends with 1 when one of the last four is not zero. With ``--broker``
messages go over a Redis, which is killed, frozen and emptied as well.
"""

import argparse
import logging
import os
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.faults import Faults

if TYPE_CHECKING:
    from tests.jobs.clusters import RunningCluster
    from tests.redis_server import RedisServer

#: For who is about to delete a file, or to ask whether he has to.
SETTLE_SECONDS = 5.0


#: Why a cluster's main process ended it, from its log.
_WATCH = re.compile(r"^(.+): the cluster gpu ends", re.MULTILINE)


def _keep_logs(clusters: "list[RunningCluster]", scratch: Path) -> None:
    """Keep the logs, in which what went wrong is to be found."""
    for cluster in clusters:
        kept = Path(tempfile.gettempdir()) / f"{scratch.name}-{cluster.log.name}"
        kept.write_text(cluster.output())
        print(f"log             {kept}")


def run(
    scratch: Path,
    server: Path,
    url: str,
    redis: "RedisServer | None",
    gave_up: list[str],
    arguments: argparse.Namespace,
) -> int:
    """``server``: the directory of Postgres; ``gave_up`` receives why its supervisor gave up, which it must not."""
    import django

    data = scratch / "data"
    environment = {
        "DATABASE_URL": url,
        "UPSCALER_DATA_DIR": str(data),
        "DJANGO_SETTINGS_MODULE": "tests.jobs.rig.settings",
        "Q_CLUSTER_NAME": "gpu",
        "RIG_WORKERS": "2",
        "ENGINE_BACKEND": "torch",
        "DEVICE": "cpu",
        "OMP_NUM_THREADS": "1",
        "JOB_LEASE_SECONDS": "5",
        "SWEEP_SECONDS": "0.5",
        "JOB_MAX_ATTEMPTS": "10",
        "MAX_QUEUED_JOBS": "100000",
        "MIN_FREE_DISK_MB": "0",
        "DATABASE_TIMEOUT_SECONDS": "3",
        "CLEANUP_INTERVAL_MINUTES": "0",
        "LOG_LEVEL": "INFO",
    }
    if redis:
        environment["BROKER_URL"] = redis.url
    os.environ |= environment | {"LOG_LEVEL": "WARNING"}
    django.setup()
    logging.getLogger("django-q").setLevel(logging.WARNING)
    from django.core.management import call_command
    from django.db import connection

    from jobs.models import Job
    from jobs.states import LIVE
    from jobs.worker.db_retry import retried
    from tests.jobs.clusters import RunningCluster
    from tests.jobs.conftest import write_model
    from tests.tiny_models import write_tiny_weights

    call_command("migrate", verbosity=0, skip_checks=True)
    for directory in (data / "models", data / "files" / "uploads"):
        directory.mkdir(parents=True, exist_ok=True)
    model = write_model(data, write_tiny_weights(scratch / "tiny.safetensors"))
    clusters = [RunningCluster(scratch, environment, supervised=True) for _ in range(2)]
    for cluster in clusters:
        cluster.wait_ready(2)

    dice = random.Random(arguments.seed)
    faults = Faults(clusters, server, redis, dice)
    submitted = refused = 0
    begun = time.monotonic()

    try:
        while faults.count < arguments.faults and not gave_up:
            due = min(arguments.jobs, int(arguments.jobs * faults.count / (0.8 * arguments.faults)) + 1)
            while submitted < due:
                if not submit(model.name, submitted):
                    refused += 1
                    break
                submitted += 1
            faults.strike()
            time.sleep(arguments.every)
        faults.end()
        calm = time.monotonic()
        while submitted < arguments.jobs and time.monotonic() - calm < 60:
            submitted += submit(model.name, submitted)
        while retried(Job.objects.filter(status__in=LIVE).exists)() and time.monotonic() - calm < 240:
            time.sleep(0.2)
        settled = time.monotonic() - calm
        time.sleep(SETTLE_SECONDS)
        print(f"{time.monotonic() - begun:.0f} s, seed {arguments.seed}, 2 clusters of 2 workers")
        print(f"faults          {faults.count} ({', '.join(f'{n} {kind}' for kind, n in faults.kinds.most_common())})")
        print(f"submitted       {submitted}, and {refused} times not taken")
        print(f"settled         {settled:.1f} s after the last fault")
        if gave_up:
            print(f"Postgres        {gave_up[0]}")
        wrong = report(clusters, submitted, data / "files") or bool(gave_up)
        if wrong:
            _keep_logs(clusters, scratch)
        return int(wrong)
    finally:
        for cluster in clusters:
            cluster.destroy()
        connection.close()


def submit(model: str, number: int) -> bool:
    """Send a picture; False where the database did not take it, or did not say so."""
    from django.db import InterfaceError, OperationalError, connection

    from jobs.errors import IdempotencyInProgress
    from jobs.options import JobOptions
    from jobs.submission import submit as intake
    from tests.jobs.conftest import picture

    submission = intake.Submission(model, JobOptions(tile_size=32), idempotency_key=f"picture-{number}")
    try:
        intake.submit(picture(160, 160, seed=number), submission)
    except (OperationalError, InterfaceError, IdempotencyInProgress):
        connection.close()
        return False
    return True


def report(clusters: "list[RunningCluster]", submitted: int, directory: Path) -> bool:
    """Print what became of the jobs and of the files below ``directory``; whether anything is wrong."""
    from django.db.models import Sum

    from jobs.models import Job
    from jobs.states import LIVE, Status
    from jobs.storage import files, retention

    accepted: Counter[str] = Counter()
    for cluster in clusters:
        for line in cluster.output().splitlines():
            if "job completed job=" in line:
                accepted[line.split("job completed job=")[1].split()[0]] += 1
    completed = Job.objects.filter(status=Status.COMPLETED)
    whole = sum(files.open_result(job).size == job.result_bytes for job in completed)
    lost = submitted - Job.objects.count() + completed.count() - whole
    orphans = retention.cleanup(orphan_seconds=0, dry_run=True).orphans
    stuck = Job.objects.filter(status__in=LIVE).count()
    twice = sum(count > 1 for count in accepted.values())
    print(f"cluster starts  {sum(cluster.starts for cluster in clusters)}")
    print(f"attempts        {Job.objects.aggregate(total=Sum('attempts'))['total']}")
    print(f"accepted        {completed.count()}, all with their whole result: {whole == completed.count()}")
    print(f"failed          {Job.objects.filter(status=Status.FAILED).count()}")
    print(f"accepted twice  {twice}")
    print(f"lost            {lost}")
    print(f"stuck           {stuck}")
    print(f"orphaned files  {orphans} {_unnamed(directory, retention.named)}")
    watch = Counter(re.sub(r" \d+", "", why) for cluster in clusters for why in _WATCH.findall(cluster.output()))
    print(f"own watch       {dict(watch) or 'never'}")
    return bool(twice or lost or stuck or orphans)


def _unnamed(root: Path, named: "Callable[[list[str]], set[str]]") -> list[str]:
    """Files below ``root`` that no row names."""
    found = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
    return sorted(set(found) - named(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=300)
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two faults")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--broker", action="store_true", help="messages go over a Redis, which is harmed as well")
    arguments = parser.parse_args()
    from tests.redis_server import RedisServer
    from upscaler_site.postgres.embedded import EmbeddedPostgres
    from upscaler_site.postgres.supervisor import PostgresSupervisor

    with tempfile.TemporaryDirectory(prefix="upscaler-chaos-") as name:
        scratch = Path(name)
        scratch.chmod(0o755)
        postgres = EmbeddedPostgres(scratch / "database")
        gave_up: list[str] = []
        with ExitStack() as stack:
            url = stack.enter_context(postgres)
            stack.enter_context(PostgresSupervisor(postgres, gave_up.append))
            redis = RedisServer(scratch, "redis://127.0.0.1:{port}/0") if arguments.broker else None
            if redis:
                stack.callback(redis.kill)
                redis.start()
            code = run(scratch, scratch / "database", url, redis, gave_up, arguments)
    sys.exit(code)


if __name__ == "__main__":
    main()
