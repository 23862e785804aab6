"""A real redis-server of a test's own: started, killed, frozen, emptied."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from tests.eventually import eventually
from tests.ports import free_port

REDIS = shutil.which("redis-server", path=f"{os.environ.get('PATH', '')}:/usr/bin:/usr/local/bin")


class RedisServer:
    """One server at one port of the loopback interface, which may be ended and started again."""

    def __init__(self, directory: Path, url: str, *options: str) -> None:
        self.port = free_port()
        self.url = url.format(port=self.port, directory=directory)
        self._directory = directory
        self._options = [option.format(port=self.port, directory=directory) for option in options]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        assert REDIS is not None
        with (self._directory / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                [REDIS, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", *self._options],
                stdout=log,
                cwd=self._directory,
            )
        eventually(self._answers, say="redis-server's first answer")

    def kill(self) -> None:
        """End it without ado."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def freeze(self) -> None:
        """Let it take connections and answer nothing."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._send(signal.SIGCONT)

    def flush(self) -> None:
        """Empty it."""
        self.client().flushall()

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, socket_timeout=30, protocol=2)

    def spy(self) -> redis.client.PubSub:
        """A connection that hears what it subscribes to; for a `with`."""
        return redis.client.PubSub(self.client().connection_pool, ignore_subscribe_messages=True)

    def listeners(self, channel: str) -> int:
        """How many listen to a channel, named in full."""
        return int(dict(self.client().pubsub_numsub(channel))[channel.encode()])

    def _send(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            pytest.fail(f"redis-server ended:\n{(self._directory / 'redis.log').read_text()}")
        try:
            return bool(self.client().ping())
        except redis.ConnectionError:
            return False


StartRedis = Callable[..., RedisServer]


@pytest.fixture
def start_redis(tmp_path: Path) -> Iterator[StartRedis]:
    """``start_redis("redis://:secret@127.0.0.1:{port}/0", "--requirepass", "secret")``; it is gone after the test."""
    if REDIS is None:
        pytest.skip("redis-server is not installed")
    started: list[RedisServer] = []

    def start(url: str = "redis://127.0.0.1:{port}/0", *options: str) -> RedisServer:
        server = RedisServer(tmp_path, url, *options)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.kill()


@pytest.fixture
def redis_server(start_redis: StartRedis) -> RedisServer:
    """A server with its defaults."""
    return start_redis()
