"""Ports of the loopback interface for the servers that tests start."""

import fcntl
import itertools
import os
import socket
import tempfile
from pathlib import Path
from typing import TextIO

#: Below those that the kernel gives to clients. Each process of the suite begins elsewhere, so that few tries fail.
_FIRST, _LAST, _STEP = 20_000, 32_700, 700
#: Between the choice of a port and a server's use of it lie seconds, in which nobody else must get it: neither another
#: process of the suite, nor another run of it on this machine. The lock goes when this process ends.
_LOCKS = Path(tempfile.gettempdir()) / f"upscaler-test-ports-{os.getuid()}"
_held: list[TextIO] = []
_numbers = itertools.count(_STEP * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")))


def free_port() -> int:
    """Return a port that nobody uses just now, and that no test of this machine has been given while it runs."""
    _LOCKS.mkdir(exist_ok=True)
    for number in itertools.islice(_numbers, _LAST - _FIRST):
        port = _FIRST + number % (_LAST - _FIRST)
        if _is_ours(port) and _is_free(port):
            return port
    raise AssertionError(f"no port between {_FIRST} and {_LAST} is free")


def _is_ours(port: int) -> bool:
    file = (_LOCKS / str(port)).open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return False
    _held.append(file)
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
