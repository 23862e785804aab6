"""One call in a child process with a memory limit and a deadline: its crash or hang is a result, not an end."""

import os
import pickle
import resource
import select
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

#: Exit status of a child whose call raised; its output is then the traceback.
_RAISED = 3


@dataclass(frozen=True)
class Ended:
    """The end of a child: with a ``value``, or with the ``fault`` that ended it."""

    value: Any
    fault: str | None  # "killed by SIGSEGV", "no end within 60 s", or a traceback
    memory_mb: float  # the largest resident set
    processor_s: float


def call(work: Callable[[], Any], limit_mb: int, deadline_s: float) -> Ended:
    """Fork, compute ``work()`` under a limit on the address space, and return its value, which must be picklable.

    The parent must not have used OpenCV's or torch's threads before: a fork has none of them. Output of the child to
    the standard streams is dropped; libraries chatter about broken files there.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _child(work, limit_mb, writer)
    os.close(writer)
    data, in_time = _received(reader, pid, deadline_s)
    os.close(reader)
    if not in_time:
        os.kill(pid, signal.SIGKILL)
    _, status, usage = os.wait4(pid, 0)
    value, fault = None, None
    if not in_time:
        fault = f"no end within {deadline_s:g} s"
    elif os.WIFSIGNALED(status):
        fault = f"killed by {signal.Signals(os.WTERMSIG(status)).name}"
    elif os.WEXITSTATUS(status) == _RAISED:
        fault = pickle.loads(data)
    elif os.WEXITSTATUS(status):
        fault = f"ended with status {os.WEXITSTATUS(status)}"
    else:
        value = pickle.loads(data)
    return Ended(value, fault, usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime)


def _received(reader: int, pid: int, deadline_s: float) -> tuple[bytes, bool]:
    """Return what the child wrote, and whether it ended in time."""
    ending = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    data = bytearray()
    try:
        while poll.poll(deadline_s * 1000):
            chunk = os.read(reader, 1 << 20)
            if not chunk:
                poll.unregister(reader)
                poll.register(ending, select.POLLIN)
                return bytes(data), bool(poll.poll(deadline_s * 1000))
            data += chunk
        return bytes(data), False
    finally:
        os.close(ending)


def _child(work: Callable[[], Any], limit_mb: int, writer: int) -> None:
    """Run the call and leave without the parent's clean-ups."""
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    resource.setrlimit(resource.RLIMIT_AS, (limit_mb << 20, limit_mb << 20))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    status = 0
    try:
        answer = pickle.dumps(work())
    except BaseException:  # noqa: BLE001 - whatever ends the call is the finding
        answer, status = pickle.dumps(traceback.format_exc(limit=-4)), _RAISED
    with os.fdopen(writer, "wb") as pipe:
        pipe.write(answer)
    sys.stdout.flush()
    os._exit(status)
