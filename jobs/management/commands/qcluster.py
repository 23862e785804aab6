"""`manage.py qcluster`: django-q2's command with our main process around it. Q_CLUSTER_NAME says which cluster."""

import os
import signal
import sys
import time
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django_q.cluster import Cluster as DjangoQCluster
from django_q.conf import Conf

from jobs.queue import dispatch, shared_state, watchdog
from jobs.queue.keepalive import Keepalive
from jobs.queue.pooler import warn_of_pooler
from jobs.queue.schema_ready import wait_for_migrations
from jobs.queue.silent_workers import SilentWorkers

#: Seconds between handing jobs back and killing a cluster that does not end by itself.
_HAND_BACK_SECONDS = 2.5
_EXIT_AGAIN = 1  # the supervisor restarts the cluster whatever the code; this one is for operators


class Command(BaseCommand):
    requires_system_checks = []  # they import every view; the web process makes them, workers start without
    help = "Runs one cluster of workers: Q_CLUSTER_NAME=gpu (default) or Q_CLUSTER_NAME=io."

    def handle(self, *_args: Any, **_options: Any) -> None:
        if Conf.CLUSTER_NAME not in (dispatch.GPU, dispatch.IO):
            raise CommandError(
                f"Q_CLUSTER_NAME is {Conf.CLUSTER_NAME!r}; the clusters are {dispatch.GPU} and {dispatch.IO}"
            )
        try:
            wait_for_migrations(self.stderr.write)
            warn_of_pooler()
        except KeyboardInterrupt:
            sys.exit(130)
        shared = shared_state.create(Conf.CLUSTER_NAME, int(Conf.WORKERS))
        shared_state.let_children_die_with_us()
        children = watchdog.Watchdog(shared)
        keepalive = Keepalive()
        silent_workers = SilentWorkers(shared, settings.JOB_LEASE_SECONDS, watchdog.TICK_SECONDS)
        q = DjangoQCluster()  # installs handlers of its own, which block inside the signal
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _on_signal)
        q.start()
        while q.sentinel.is_alive():
            time.sleep(watchdog.TICK_SECONDS)
            keepalive.beat()
            for pid in shared.overdue(time.monotonic()):
                self.stderr.write(f"worker {pid} hangs beyond its job's limit: it is killed")
                os.kill(pid, signal.SIGKILL)
            for killed in silent_workers.kill_silent():
                self.stderr.write(killed)
            if shared.memory.stop == shared_state.RUNNING:
                wrong = children.look()
                if wrong:
                    self._end(q, f"{wrong}: the cluster {shared.name} ends, to be started anew", _EXIT_AGAIN)
                continue
            q.stop_event.set()
            late = time.monotonic() > shared.memory.stop_at + _HAND_BACK_SECONDS
            if late or children.nobody_left():
                self._end(q, f"the cluster {shared.name} stops without waiting any longer", 0)
        if shared.memory.stop == shared_state.RUNNING:
            self.stderr.write(f"cluster {shared.name}: the sentinel died")
            sys.exit(_EXIT_AGAIN)

    def _end(self, q: DjangoQCluster, message: str, code: int) -> None:
        """End everything at once: the kernel kills the workers with their sentinel (shared_state.py)."""
        self.stderr.write(message)
        self.stderr.flush()
        os.kill(q.sentinel.pid, signal.SIGKILL)
        q.sentinel.join(timeout=5)
        os._exit(code)


def _on_signal(_number: int, _frame: FrameType | None) -> None:
    """Only note the request: a handler that waits, as django-q2's does, would be entered twice."""
    shared = shared_state.current()
    if shared is not None:
        watchdog.ask_to_stop(shared, time.monotonic(), settings.STOP_GRACE_SECONDS)
