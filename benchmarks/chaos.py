"""Kills processes of two supervised clusters at random while jobs run, and counts what became of the jobs.

    python -m benchmarks.chaos [--seconds 300] [--jobs 300] [--every 1.0] [--seed 1]

Everything is real: Postgres, clusters, pictures, a (tiny) network. Prints kills by role, starts, accepted, accepted
twice, lost and stuck, and ends with 1 when one of the last three is not zero.
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
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.jobs.clusters import RunningCluster

ROLES = ("worker", "worker", "worker", "pusher", "monitor", "sentinel", "main")


#: Why a cluster's main process ended it, from its log.
_WATCH = re.compile(r"^(.+): the cluster gpu ends", re.MULTILINE)


def _keep_logs(clusters: "list[RunningCluster]", scratch: Path) -> None:
    """What went wrong is to be found in here."""
    for cluster in clusters:
        kept = Path(tempfile.gettempdir()) / f"{scratch.name}-{cluster.log.name}"
        kept.write_text(cluster.output())
        print(f"log             {kept}")


def run(scratch: Path, url: str, arguments: argparse.Namespace) -> int:
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
        "LOG_LEVEL": "INFO",
    }
    os.environ |= environment | {"LOG_LEVEL": "WARNING"}
    django.setup()
    logging.getLogger("django-q").setLevel(logging.WARNING)
    from django.core.management import call_command
    from django.db.models import Sum

    from jobs import files, retention
    from jobs.models import Job
    from jobs.options import JobOptions
    from jobs.states import LIVE, Status
    from jobs.submitting import intake
    from tests.jobs.clusters import RunningCluster
    from tests.jobs.conftest import picture, write_model
    from tests.tiny_models import write_tiny_weights

    call_command("migrate", verbosity=0, skip_checks=True)
    for directory in (data / "models", data / "files" / "uploads"):
        directory.mkdir(parents=True, exist_ok=True)
    model = write_model(data, write_tiny_weights(scratch / "tiny.safetensors"))
    submission = intake.Submission(model.name, JobOptions(tile_size=32))
    clusters = [RunningCluster(scratch, environment, supervised=True) for _ in range(2)]
    for cluster in clusters:
        cluster.wait_ready(2)

    dice = random.Random(arguments.seed)
    kills: Counter[str] = Counter()
    submitted = 0
    begun = time.monotonic()
    try:
        while time.monotonic() - begun < arguments.seconds:
            due = min(arguments.jobs, int(arguments.jobs * (time.monotonic() - begun) / (0.8 * arguments.seconds)) + 1)
            while submitted < due:
                intake.submit(picture(160, 160, seed=submitted), submission)
                submitted += 1
            role = dice.choice(ROLES)
            if dice.choice(clusters).kill(role) is not None:
                kills[role] += 1
            time.sleep(arguments.every)
        calm = time.monotonic()
        while Job.objects.filter(status__in=LIVE).exists() and time.monotonic() - calm < 180:
            time.sleep(0.2)
        settled = time.monotonic() - calm

        accepted: Counter[str] = Counter()
        for cluster in clusters:
            for line in cluster.output().splitlines():
                if "job completed job=" in line:
                    accepted[line.split("job completed job=")[1].split()[0]] += 1
        completed = Job.objects.filter(status=Status.COMPLETED)
        whole = sum(files.path_of(job.result_file).stat().st_size == job.result_bytes for job in completed)
        lost = submitted - Job.objects.count() + completed.count() - whole
        stuck = Job.objects.filter(status__in=LIVE).count()
        twice = sum(count > 1 for count in accepted.values())
        print(f"{time.monotonic() - begun:.0f} s, seed {arguments.seed}, 2 clusters of 2 workers")
        print(f"kills           {sum(kills.values())} ({', '.join(f'{n} {role}' for role, n in kills.most_common())})")
        print(f"cluster starts  {sum(cluster.starts for cluster in clusters)}")
        print(f"submitted       {submitted}")
        print(f"attempts        {Job.objects.aggregate(total=Sum('attempts'))['total']}")
        print(f"accepted        {completed.count()}, all with their whole result: {whole == completed.count()}")
        print(f"failed          {Job.objects.filter(status=Status.FAILED).count()}")
        print(f"accepted twice  {twice}")
        print(f"lost            {lost}")
        print(f"stuck           {stuck}")
        print(f"orphaned files  {retention.cleanup(orphan_seconds=0, dry_run=True).orphans}")
        watch = Counter(re.sub(r" \d+", "", why) for cluster in clusters for why in _WATCH.findall(cluster.output()))
        print(f"own watch       {dict(watch) or 'never'}")
        if stuck or lost or twice:
            _keep_logs(clusters, scratch)
        print(f"settled         {settled:.1f} s after the last kill")
        return 1 if twice or lost or stuck else 0
    finally:
        for cluster in clusters:
            cluster.destroy()
        from django.db import connection

        connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two kills")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    from upscaler_site.embedded_postgres import EmbeddedPostgres

    with tempfile.TemporaryDirectory(prefix="upscaler-chaos-") as name:
        scratch = Path(name)
        scratch.chmod(0o755)
        with EmbeddedPostgres(scratch / "database") as url:
            code = run(scratch, url, arguments)
    sys.exit(code)


if __name__ == "__main__":
    main()
