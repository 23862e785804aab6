"""The interface of a carrier of messages: tell a channel something, and listen to one. A message is only a hint."""

import select
from collections.abc import Iterable, Sequence
from typing import Protocol


class Listener(Protocol):
    """Hears one channel; used by one thread."""

    def listen(self) -> bool:
        """Listen from now on. True: what was told since the last call may be lost, and is to be looked for."""

    def rest(self) -> None:
        """Listen no more, until `listen` is called again: this process has no use for what is told meanwhile."""

    def wait(self, seconds: float, also: Sequence[int] = ()) -> list[str]:
        """Return the payloads that arrived, as soon as one does or one of the descriptors ``also`` can be read."""


class Bells(Protocol):
    """A carrier. Channels and payloads are short texts."""

    def send(self, channel: str, payload: str) -> None:
        """Tell whoever listens. Never raises for the carrier: what it would tell is committed already."""

    def listener(self, channel: str) -> Listener:
        """Return a new listener, which does not listen yet."""


def readable(descriptors: Iterable[int], seconds: float) -> bool:
    """Wait until one of the descriptors can be read, or was closed by the other side; False when the time was up.

    Not by ``select.select``, which fails at number 1024: a web server with many callers reaches that.

    :raises ValueError: one is closed here.
    """
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(max(0.0, seconds) * 1000))
