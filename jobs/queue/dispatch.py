"""The only sender of this room's messages. A message is a doorbell: it says that rows wait, not which.

Inside a transaction a message appears, or vanishes, with the rows that it announces. Tasks are named as release 1.0
names them, whose clusters may run beside ours during an upgrade (docs/upgrading.md); see jobs/queue/renamed_tasks.py.
"""

from django_q.models import OrmQ
from django_q.tasks import async_task

GPU = "gpu"
IO = "io"


def ring(times: int = 1) -> None:
    """Wake as many workers of the `gpu` cluster: each takes the best waiting job."""
    for _ in range(times):
        async_task("jobs.worker.run_next", cluster=GPU, task_name="jobs.run_next")


def ring_webhooks() -> None:
    """Wake one worker of the `io` cluster: it delivers the webhooks that are due."""
    async_task("jobs.worker.deliver_webhooks", cluster=IO, task_name="jobs.deliver_webhooks")


def ring_cleanup() -> None:
    """Wake one worker of the `io` cluster: it removes what is older than its time."""
    async_task("jobs.worker.cleanup", cluster=IO, task_name="jobs.cleanup")


def ring_upkeep() -> None:
    """Wake one worker of the `io` cluster: it does what jobs/queue/periodic.py knows."""
    async_task("jobs.worker.keep_up", cluster=IO, task_name="jobs.keep_up")


def tickets(cluster: str) -> int:
    """Return the number of messages to that cluster that were not taken yet."""
    return int(OrmQ.objects.filter(key=cluster).count())
