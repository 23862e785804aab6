"""The only sender of this room's messages. A message is a doorbell: it says that rows wait, not which.

The task is named as release 1.0 names it: see jobs/queue/dispatch.py.
"""

from django_q.tasks import async_task


def ring() -> None:
    """Wake one worker of the `io` cluster. Inside a transaction the message appears, or vanishes, with its rows."""
    async_task("modelstore.worker.download_waiting", cluster="io", task_name="modelstore.download_waiting")
