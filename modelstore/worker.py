"""Entry point of the `io` cluster, named by its dotted path in dispatch.py. Imported by nobody."""

from modelstore import fetching


def download_waiting() -> None:
    """Bring every model that waits, one after the other; other workers that were rung do so side by side."""
    fetching.run_waiting()
