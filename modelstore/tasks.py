"""Entry point of the `io` cluster, named by its dotted path in jobs/queue/work.py. Imported by nobody."""

from modelstore.downloads import runner


def download_waiting() -> None:
    """Bring every model that waits, one after the other; other workers that were rung do so side by side."""
    runner.run_waiting()
