"""Messages by PUBLISH and SUBSCRIBE of Redis. The rest of the service never waits for it: threads of this file do.

A Redis that is gone, frozen, restarted or unreachable costs what its messages save, and nothing else: each thread says
once that it does not answer and tries again each second. Nothing is stored there, so there is nothing to flush.
"""

import atexit
import logging
import socket
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import closing, suppress
from queue import Empty, SimpleQueue
from typing import Protocol

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from modelstore.bells.interface import readable

logger = logging.getLogger(__name__)

#: Seconds for connecting, and for each answer.
_ANSWER_SECONDS = 1.0
#: Seconds between two tries while Redis does not answer.
_AGAIN_SECONDS = 1.0
#: Seconds of silence on a listening connection after which it must answer a PING within as many: a network that lets
#: nothing through any more closes no connection.
_QUIET_SECONDS = 2.0
#: Seconds that a process which ends gives its last messages.
_LAST_SECONDS = 0.5


class Broker(Protocol):
    """The settings (upscaler_site/conf/broker.py)."""

    @property
    def url(self) -> str:
        """The address, checked; with its password."""

    @property
    def prefix(self) -> str:
        """The beginning of this installation's channels: they are one space for all databases of a Redis."""


class RedisBells:
    """The carrier, as one process has it; a forked child makes its own."""

    def __init__(self, broker: Broker) -> None:
        self._prefix = broker.prefix
        self._client = redis.Redis.from_url(
            broker.url,
            socket_timeout=_ANSWER_SECONDS,
            socket_connect_timeout=_ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 1),  # at once, since a server that was restarted has closed the connection
            protocol=2,  # needs nothing that an older Redis, or one of its kin, does not have
            driver_info=None,
        )
        self._outage = _Outage("telling")
        self._waiting: SimpleQueue[tuple[str, str] | threading.Event | None] = SimpleQueue()
        self._sender = threading.Thread(target=self._run, name="redis-sender", daemon=True)
        self._sender.start()
        atexit.register(self._finish)

    def send(self, channel: str, payload: str) -> None:
        """Have the sender tell it."""
        self._waiting.put((self._channel(channel), payload))

    def listener(self, channel: str) -> "RedisListener":
        """Return a new listener, which does not listen yet."""
        return RedisListener(self._client, self._channel(channel))

    def trouble(self, seconds: float) -> str:
        """Return why Redis does not answer this process within so many seconds; nothing when it does."""
        answered = threading.Event()
        self._waiting.put(answered)
        if answered.wait(seconds):
            return ""
        return self._outage.reason or f"no answer within {seconds:g} s"

    def _channel(self, name: str) -> str:
        return f"{self._prefix}:{name}"

    def _run(self) -> None:
        """Tell all that waits in one trip, again and again. What cannot be told is lost: it would come too late."""
        going_on = True
        while going_on:
            batch = [self._waiting.get()]
            with suppress(Empty):
                while True:
                    batch.append(self._waiting.get_nowait())
            going_on = None not in batch
            messages = [message for message in batch if message is not None]
            if not messages:  # the end: whether Redis answers was not asked
                return
            try:
                self._tell(messages)
            except Exception as error:  # noqa: BLE001 - a thread's edge: if it ended, nobody would be told any more
                self._outage.go_on(error)
            else:
                self._outage.end()

    def _tell(self, batch: list[tuple[str, str] | threading.Event]) -> None:
        with self._client.pipeline(transaction=False) as trip:
            for message in batch:
                if isinstance(message, tuple):
                    trip.publish(*message)
                else:
                    trip.ping()
            trip.execute()
        for message in batch:
            if isinstance(message, threading.Event):
                message.set()

    def _finish(self) -> None:
        self._waiting.put(None)
        self._sender.join(_LAST_SECONDS)


class RedisListener:
    """Hears one channel by a thread of its own, so that its user keeps its times whatever Redis does."""

    def __init__(self, client: "redis.Redis", channel: str) -> None:
        self._client = client
        self._channel = channel
        self._ear: _Ear | None = None

    def listen(self) -> bool:
        """Listen from now on. True at first, when the connection is there, and each second while it is not."""
        if self._ear is None or not self._ear.is_alive():
            self._ear = _Ear(self._client, self._channel)
            self._ear.start()
            return True
        missed, self._ear.missed = self._ear.missed, False
        return missed

    def rest(self) -> None:
        """Give the connection back."""
        if self._ear is not None:
            self._ear.end()
            self._ear = None

    def wait(self, seconds: float, also: Sequence[int] = ()) -> list[str]:
        """Return the payloads that arrived, as soon as one does or one of the descriptors ``also`` can be read.

        Sooner, and without any, when `listen` has something to say.
        """
        assert self._ear is not None
        readable([self._ear.bell, *also], seconds)
        return self._ear.heard()


class _Ear(threading.Thread):
    """A listening connection, made again whenever it breaks."""

    def __init__(self, client: "redis.Redis", channel: str) -> None:
        super().__init__(name="redis-listener", daemon=True)
        self.missed = False
        self._client = client
        self._channel = channel
        self._outage = _Outage("listening")
        self._heard: deque[str] = deque()
        self._over = threading.Event()
        self._bell, self._clapper = socket.socketpair()
        self._bell.setblocking(False)
        self._clapper.setblocking(False)

    @property
    def bell(self) -> int:
        """A descriptor that can be read when something is to be heard, or was missed."""
        return self._bell.fileno()

    def heard(self) -> list[str]:
        """Return the payloads that arrived, in their order."""
        with suppress(BlockingIOError):
            self._bell.recv(65_536)  # before them: what comes in between rings once more
        return [self._heard.popleft() for _ in range(len(self._heard))]

    def end(self) -> None:
        """Listen no more; the thread ends when it next comes round."""
        self._over.set()
        self._bell.close()

    def run(self) -> None:
        """Hear until the end."""
        with closing(self._clapper):
            while not self._over.is_set():
                try:
                    with redis.client.PubSub(self._client.connection_pool) as connection:
                        connection.subscribe(self._channel)
                        self._hear(connection)
                except Exception as error:  # noqa: BLE001 - as above: nobody would be heard
                    if not self._over.is_set():
                        self._outage.go_on(error, self._over)
                        self._miss()

    def _hear(self, connection: "redis.client.PubSub") -> None:
        asked = False
        while not self._over.is_set():
            message = connection.get_message(timeout=_QUIET_SECONDS)
            if message is None:
                if asked:
                    raise redis.TimeoutError(f"no answer within {_QUIET_SECONDS:g} s")
                connection.ping()
            elif message["type"] == "subscribe":  # by a reconnection, too
                self._outage.end()
                self._miss()
            elif message["type"] == "message":
                self._heard.append(message["data"].decode(errors="replace"))
                self._ring()
            asked = message is None

    def _miss(self) -> None:
        self.missed = True
        self._ring()

    def _ring(self) -> None:
        with suppress(OSError):  # it is full, and so rings already; or nobody listens any more
            self._clapper.send(b".")


class _Outage:
    """Says once that Redis does not answer, and once that it does again; belongs to one thread."""

    def __init__(self, what: str) -> None:
        self.reason = ""
        self._what = what

    def go_on(self, error: Exception, over: threading.Event | None = None) -> None:
        """Note a failure and let some time pass, until ``over`` at most."""
        begins = not self.reason
        self.reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        if begins:
            logger.warning(
                "Redis does not answer: until it does work starts, and callers hear of it, late what=%s error=%s",
                self._what,
                self.reason,
            )
        (over or threading.Event()).wait(_AGAIN_SECONDS)

    def end(self) -> None:
        """Note that it answers."""
        if self.reason:
            logger.info("Redis answers again what=%s", self._what)
        self.reason = ""
