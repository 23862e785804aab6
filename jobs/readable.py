"""Waiting for descriptors. ``select.select`` fails at number 1024, which a web server with many callers reaches."""

import select
from collections.abc import Iterable


def readable(descriptors: Iterable[int], seconds: float) -> bool:
    """Wait until one of the descriptors can be read, or was closed by the other side; False when the time was up.

    :raises ValueError: one is closed here.
    """
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(max(0.0, seconds) * 1000))
