"""The main process's watch, by its numbers alone."""

import os
import signal

import pytest

from jobs.queue import shared_state, watchdog
from jobs.queue.shared_state import SharedState
from jobs.queue.watchdog import Watchdog


def test_a_cluster_at_rest_or_at_work_is_left_alone() -> None:
    shared = SharedState("gpu", 1)
    guard = Watchdog(shared)
    slot = shared.take_slot()
    slot.busy = 0
    for _ in range(500):
        shared.memory.beat += 1
        shared.memory.handed += 1
        slot.picked += 1
        slot.done += 1
        shared.memory.collected += 1
        assert guard.look() is None


def test_a_task_that_nobody_reads_for_ten_seconds_ends_it() -> None:
    shared = SharedState("gpu", 1)
    guard = Watchdog(shared)
    shared.memory.handed = 1
    looks = []
    for _ in range(22):
        shared.memory.beat += 1
        looks.append(guard.look())
    assert looks[:20] == [None] * 20
    assert looks[21] == "no worker reads the local queue"


def test_a_silent_pusher_ends_it() -> None:
    guard = Watchdog(SharedState("gpu", 1))
    looks = [guard.look() for _ in range(121)]
    assert looks[118] is None
    assert looks[120] == "the pusher is stuck"


def test_results_that_nobody_collects_end_it_but_those_that_died_with_a_process_do_not() -> None:
    shared = SharedState("gpu", 1)
    guard, slot = Watchdog(shared), shared.take_slot()
    for _ in range(100):
        shared.memory.beat += 1
        slot.done += 2
        shared.memory.collected += 1  # every other result was lost with its process
        assert guard.look() is None
    for _ in range(20):
        shared.memory.beat += 1
        slot.done += 1
        wrong = guard.look()
    assert wrong == "nobody collects the workers' results"


def test_a_dead_workers_slot_is_taken_over() -> None:
    shared = SharedState("gpu", 1)
    pid = os.fork()
    if pid == 0:
        slot = shared.take_slot()
        slot.picked = 5
        os._exit(0)
    os.waitpid(pid, 0)
    assert shared.alive == 0
    slot = shared.take_slot()
    assert slot.picked == 5
    assert (shared.alive, shared.idle, shared.busy) == (1, 0, 1)  # its start is work
    slot.busy = 0
    assert (shared.alive, shared.idle, shared.busy) == (1, 1, 0)
    assert shared.memory.slots[1].pid == 0


def _child(shared: SharedState, *, busy: bool) -> int:
    """A process that has taken a slot and waits; its pid."""
    ready, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        shared.take_slot().busy = int(busy)
        os.write(tell, b"x")
        signal.pause()
    os.read(ready, 1)
    return pid


@pytest.mark.parametrize("other_works", [False, True])
def test_an_idle_workers_death_ends_it_unless_another_works(other_works: bool) -> None:
    shared = SharedState("gpu", 2)
    guard = Watchdog(shared)
    idle, other = _child(shared, busy=False), _child(shared, busy=other_works)
    try:
        assert guard.look() is None
        os.kill(idle, signal.SIGKILL)
        os.waitpid(idle, 0)
        assert guard.look() == (None if other_works else f"the idle worker {idle} was killed")
    finally:
        os.kill(other, signal.SIGKILL)
        os.waitpid(other, 0)


def test_a_busy_workers_death_is_its_sentinels_business() -> None:
    shared = SharedState("gpu", 1)
    guard = Watchdog(shared)
    busy = _child(shared, busy=True)
    assert guard.look() is None
    os.kill(busy, signal.SIGKILL)
    os.waitpid(busy, 0)
    assert guard.look() is None


def test_a_worker_that_took_a_task_between_two_looks_and_died_at_it_was_no_idle_one() -> None:
    """As one whose device is lost at the first job: its successor goes on in the same cluster."""
    shared = SharedState("gpu", 1)
    guard = Watchdog(shared)
    worker = _child(shared, busy=False)
    assert guard.look() is None
    shared.memory.slots[0].busy = 1
    os.kill(worker, signal.SIGKILL)
    os.waitpid(worker, 0)
    assert guard.look() is None


def test_a_sentinel_that_does_not_see_a_dead_worker_ends_it() -> None:
    shared = SharedState("gpu", 1)
    guard = Watchdog(shared)
    busy = _child(shared, busy=True)
    os.kill(busy, signal.SIGKILL)
    os.waitid(os.P_PID, busy, os.WEXITED | os.WNOWAIT)  # dead, and not taken note of
    try:
        assert (shared.alive, shared.idle, shared.busy) == (0, 0, 0)
        looks = [guard.look() for _ in range(20)]
        assert looks[:19] == [None] * 19
        assert looks[19] == "the sentinel does not replace dead workers"
    finally:
        os.waitpid(busy, 0)


def test_the_second_request_to_stop_means_now() -> None:
    shared = SharedState("gpu", 1)
    watchdog.ask_to_stop(shared, 100.0, 10.0)
    assert (shared.memory.stop, shared.memory.stop_at) == (shared_state.STOPPING, 110.0)
    watchdog.ask_to_stop(shared, 101.0, 10.0)
    assert (shared.memory.stop, shared.memory.stop_at) == (shared_state.STOPPING_NOW, 101.0)
