"""Entry point of the `io` cluster, named by its dotted path in dispatch.py. Imported by nobody."""

from modelstore.downloads import runner


def download_waiting() -> None:
    """Bring every model that waits, one after the other; other workers that were rung do so side by side."""
    runner.run_waiting()
