"""Faults for benchmarks/chaos.py: processes of clusters, Postgres and Redis killed and frozen, Redis emptied."""

import random
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from tests.jobs.clusters import RunningCluster
    from tests.redis_server import RedisServer

#: What is killed by -9; "stopped" gets SIGSTOP: a worker for good, Postgres for some seconds.
KILLED = ("worker", "pusher", "monitor", "sentinel", "main")
WORKER_STOPPED, POSTGRES_STOPPED, POSTMASTER = "worker stopped", "postgres stopped", "postmaster"
FAULTS = (*["worker"] * 6, *KILLED[1:] * 2, *[WORKER_STOPPED] * 3, *[POSTGRES_STOPPED] * 2, *[POSTMASTER] * 2)
REDIS_KILLED, REDIS_STOPPED, REDIS_FLUSHED = "redis killed", "redis stopped", "redis flushed"
REDIS_FAULTS = (*[REDIS_KILLED] * 3, *[REDIS_STOPPED] * 3, REDIS_FLUSHED)
#: Its supervisor takes three deaths within a minute for a server that cannot live.
POSTMASTER_SECONDS = 31.0
STOPPED_SECONDS = (1.0, 9.0)


class Faults:
    """The faults that were made: of the clusters, of Postgres, whose directory is ``server``, and of Redis."""

    def __init__(
        self, clusters: "list[RunningCluster]", server: Path, redis: "RedisServer | None", dice: random.Random
    ) -> None:
        self.kinds: Counter[str] = Counter()
        self._clusters, self._server, self._dice = clusters, server, dice
        self._redis, self._without_redis = redis, threading.Thread()
        self._postmaster_at = 0.0
        self._freezing: threading.Thread | None = None

    @property
    def count(self) -> int:
        return self.kinds.total()

    def strike(self) -> None:
        """Do one by the dice, and count it unless there is nothing to do it to just now."""
        fault = self._dice.choice((*FAULTS, *REDIS_FAULTS) if self._redis else FAULTS)
        done = {
            WORKER_STOPPED: self._stop_worker,
            POSTGRES_STOPPED: self._stop_postgres,
            POSTMASTER: self._kill_postmaster,
        } | {name: partial(self._harm_redis, name) for name in REDIS_FAULTS}
        self.kinds[fault] += done[fault]() if fault in done else self._kill(fault)

    def end(self) -> None:
        """Wait until everything runs again that was only stopped."""
        if self._freezing is not None:
            self._freezing.join()
        if self._without_redis.ident is not None:
            self._without_redis.join()

    def _kill(self, role: str) -> bool:
        return self._dice.choice(self._clusters).kill(role) is not None

    def _stop_worker(self) -> bool:
        return self._dice.choice(self._clusters).kill("worker", signal.SIGSTOP) is not None

    def _stop_postgres(self) -> bool:
        if self._freezing is not None and self._freezing.is_alive():
            return False
        self._freezing = threading.Thread(target=self._freeze, args=(self._dice.uniform(*STOPPED_SECONDS),))
        self._freezing.start()
        return True

    def _freeze(self, seconds: float) -> None:
        from tests.frozen import frozen

        with suppress(psutil.Error, OSError, ValueError), frozen(self._server):  # it may be dead, or die
            time.sleep(seconds)

    def _harm_redis(self, fault: str) -> bool:
        redis, seconds = self._redis, self._dice.uniform(*STOPPED_SECONDS)
        assert redis is not None
        if self._without_redis.is_alive():
            return False
        if fault == REDIS_FLUSHED:
            redis.flush()
            return True
        begin, end = (redis.kill, redis.start) if fault == REDIS_KILLED else (redis.freeze, redis.thaw)

        def harm() -> None:
            begin()
            time.sleep(seconds)
            end()

        self._without_redis = threading.Thread(target=harm)
        self._without_redis.start()
        return True

    def _kill_postmaster(self) -> bool:
        from tests.frozen import postmaster

        if time.monotonic() - self._postmaster_at < POSTMASTER_SECONDS:
            return False
        try:
            postmaster(self._server).kill()
        except (psutil.Error, OSError, ValueError):  # it has just died
            return False
        self._postmaster_at = time.monotonic()
        return True
