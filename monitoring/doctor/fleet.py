"""Examines the workers of all hosts, and the queue before them: who works, who is silent, and what waits for nobody."""

from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings
from django.db.models import Max, Min
from django.db.models.functions import Now

from jobs.models import Job, Worker
from jobs.queue import dispatch, pauses
from jobs.states import Status
from monitoring.doctor.finding import Finding, fault, fine, note, warning

AREA = "workers"

#: A waiting job is late when workers are idle, and it is due and yet unclaimed for so long.
_LATE = timedelta(seconds=30)
#: Running jobs without a valid lease are given back by the next sweep; after so many of them nobody sweeps.
_SWEEPS = 10


def examine() -> Iterator[Finding]:
    """Examine what the workers' heartbeats and the jobs' rows say."""
    paused = pauses.on()
    for cluster, work in pauses.KINDS.items():
        yield from _workers(cluster, work)
        if cluster in paused:
            since = f"{paused[cluster].since:%Y-%m-%d %H:%M} UTC"
            yield note(AREA, f"{cluster} workers are paused since {since}", f"Go on: manage.py queue resume {cluster}")
    yield from _versions()
    yield from _queue(is_paused=dispatch.GPU in paused)


def _workers(cluster: str, work: str) -> Iterator[Finding]:
    alive = Worker.objects.alive().filter(cluster=cluster)
    hosts = sorted(set(alive.values_list("host", flat=True)))
    count = alive.count()
    if not count:
        advice = f"Start them: python -m upscaler_site.serve, or with --only {cluster}"
        yield fault(AREA, f"No {cluster} worker is alive: nobody does {work}", advice)
        return
    idle = [worker for worker in alive if cluster == dispatch.GPU and not worker.device]
    if len(idle) == count:
        yield fault(AREA, "No gpu worker has a device to compute on", "Their log says why; see docs/devices.md")
        return
    yield fine(AREA, f"{count} {cluster} worker{'s' if count > 1 else ''} alive on {', '.join(hosts)}, for {work}")
    for worker in idle:
        yield warning(AREA, f"{worker.id} has no device to compute on", "Its log says why; see docs/devices.md")
    for worker in alive:
        if worker.device_note:
            yield warning(AREA, f"{worker.host}: {worker.device_note}", "See docs/devices.md")


def _versions() -> Iterator[Finding]:
    versions = sorted(set(Worker.objects.alive().exclude(version="").values_list("version", flat=True)))
    if len(versions) > 1:
        yield note(AREA, f"Workers of several versions: {', '.join(versions)}", "Finish the upgrade of all hosts")


def _queue(*, is_paused: bool) -> Iterator[Finding]:
    lost = Job.objects.filter(
        status=Status.PROCESSING, lease_until__lt=Now() - timedelta(seconds=_SWEEPS * settings.SWEEP_SECONDS)
    ).count()
    if lost:
        advice = "Start a worker or a web process: each of them gives such jobs back to the queue"
        yield fault(AREA, f"{lost} running jobs have lost their worker, and nobody gives them back", advice)
    waiting = Job.objects.filter(status=Status.QUEUED, queued_at__lte=Now())
    facts = waiting.aggregate(oldest=Min("queued_at"), now=Max(Now()))
    count = waiting.count()
    if not count:
        yield fine(AREA, "Nothing waits")
        return
    age = facts["now"] - facts["oldest"]
    told = f"{count:,} jobs wait, the oldest for {int(age.total_seconds()):,} s"
    busy = Job.objects.filter(status=Status.PROCESSING).exists()
    if age > _LATE and not busy and not is_paused and Worker.objects.computing().exists():
        yield fault(AREA, f"{told}, though workers are idle", "Restart the gpu workers, and report it: this is a bug")
    else:
        yield fine(AREA, told)
