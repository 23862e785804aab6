"""The only sender of this room's bells. A bell says that rows wait, not which."""

from modelstore import notify


def ring() -> None:
    """Wake the `io` clusters when the transaction has committed: models wait."""
    notify.ring("io")
