"""The only sender of this room's messages. A message is a doorbell: it says that rows wait, not which.

The `gpu` cluster is fed from the jobs' own rows (broker.py), so its bell is a notification and nothing more. The `io`
cluster's work has no common table: its bells are tickets of django-q2, which appear, or vanish, with the transaction
that writes them. Their tasks are named as release 1.0 names them, whose clusters may run beside ours during an upgrade
(docs/upgrading.md); see renamed_tasks.py.
"""

from django_q.models import OrmQ
from django_q.tasks import async_task

from jobs import notify

#: The channel on which pushers listen; the payload is the cluster's name.
CHANNEL = "queue_tickets"
GPU = "gpu"
IO = "io"


def ring() -> None:
    """Wake the idle workers of the `gpu` clusters when the transaction has committed: they take what waits."""
    notify.after_commit(CHANNEL, GPU)


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


def forget_gpu_tickets() -> None:
    """Delete what processes of release 1.0 left. A cluster of that release rings again by its own sweep."""
    OrmQ.objects.filter(key=GPU).delete()
