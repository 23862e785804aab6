"""Periodic work of the rooms above, which this room must not import: they register it when their app is ready."""

import logging
from collections.abc import Callable

logger = logging.getLogger(__name__)

_work: dict[str, Callable[[], object]] = {}


def register(name: str, work: Callable[[], object]) -> None:
    """Have ``work`` done every few minutes by one worker of the `io` cluster. It must be safe to do twice."""
    _work[name] = work


def run() -> None:
    """Do all of it. What fails is done the next time, and keeps nobody else from being done."""
    for name, work in _work.items():
        try:
            work()
        except Exception:  # the edge of a registered task, whose errors are not known here
            logger.exception("periodic task failed task=%s", name)
