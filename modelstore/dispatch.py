"""The only sender of this room's messages. A message is a doorbell: it says that rows wait, not which."""

from django_q.tasks import async_task


def ring() -> None:
    """Wake one worker of the `io` cluster. Inside a transaction the message appears, or vanishes, with its rows."""
    async_task("modelstore.tasks.download_waiting", cluster="io", task_name="modelstore.download_waiting")
