"""The parent's side of `child.py`: one process per Vulkan device, deadlines, and what its end means.

ncnn tells of failed calls to the driver on stderr alone, and goes on. So what the process wrote there is read after
every answer; a result that came with a complaint is not trusted.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from signal import SIGKILL, Signals
from typing import Any

from jobs.engine.errors import DeviceLost

_CHILD = Path(__file__).with_name("child.py")
#: Seconds for what computes nothing: start, list of devices, load (which compiles shaders), release.
PATIENCE = 120.0
#: Seconds for the driver's budget, which a thread asks that writes "I live".
_BUDGET_SECONDS = 5.0
_END_SECONDS = 10.0

#: VkResult of calls that failed for want of memory: of the host, the device, a mapping, too many objects, a pool,
#: fragmentation. https://registry.khronos.org/vulkan/specs/latest/man/html/VkResult.html
_MEMORY = re.compile(
    r"vk\w+ failed (-1|-2|-5|-10|-12|-1000069000|-1000161000)\b|out of memory|MemoryError|bad_alloc", re.IGNORECASE
)
#: Any other failed call; -4 is VK_ERROR_DEVICE_LOST.
_FAILED = re.compile(r"vk\w+ failed -\d+.*")


class DeviceProcess:
    """The process of one device; started when it is needed, and again after it ended. Used by one thread at a time."""

    def __init__(self, index: int, name: str) -> None:
        self.index = index
        self.name = name
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._lock = threading.RLock()
        self._owner = os.getpid()
        self._next = 0
        self._loaded: set[int] = set()
        self._unwanted: set[int] = set()
        self._used = False  # since memory was last given back
        self._budget = 0

    def number(self) -> int:
        """Return a number for a network to be loaded."""
        with self._lock:
            self._next += 1
            return self._next

    def has(self, number: int) -> bool:
        """Return True if the network of that number is loaded."""
        return self._alive() and number in self._loaded

    def load(self, number: int, text: str, weights: bytes, *, half: bool) -> None:
        """Load a graph and its weights, bytes (`graph.py`), under a number. :raises MemoryError, DeviceLost: `ask`."""
        with self._lock:
            self.ask("load", number, text, weights, half)
            self._loaded.add(number)

    def run(self, number: int, pixels: Any, seconds: float) -> Any:
        """Compute (C, H, W) float32 to (C, H*scale, W*scale) float32. :raises MemoryError, DeviceLost: see `ask`."""
        self._used = True
        return self.ask("run", number, pixels, seconds=seconds)

    def forget(self, number: int) -> None:
        """Drop a network before the next verb. Called by finalizers, so it waits for nothing."""
        self._unwanted.add(number)

    def release(self) -> bool:
        """Give back the memory of activations. Return True if there was any."""
        if not self._used or not self._alive():
            return False
        self.ask("release")
        self._used = False
        return True

    def budget(self) -> int:
        """Return the bytes that the device's heap has for the process, 0 if nobody knows; what it last was while busy.

        Never waits for a window that is being computed: a worker's "I live" asks it too.
        """
        if self._alive() and self._lock.acquire(blocking=False):
            try:
                if self._alive():
                    self._budget = int(self.ask("budget", seconds=_BUDGET_SECONDS))
            except (MemoryError, DeviceLost):
                pass  # whoever computes next will see it
            finally:
                self._lock.release()
        return self._budget

    def ask(self, verb: str, *arguments: Any, seconds: float = PATIENCE) -> Any:
        """Return the verb's result.

        :raises MemoryError: memory was short; the process has ended, and the next verb starts another.
        :raises DeviceLost: the driver failed, crashed, or did not answer in time.
        """
        with self._lock:
            if not self._alive():
                self._start()
            while self._unwanted:
                number = self._unwanted.pop()
                if number in self._loaded:
                    self._loaded.discard(number)
                    self._exchange("drop", (number,), PATIENCE)
            return self._exchange(verb, arguments, seconds)

    def close(self) -> None:
        """End the process in good order: it frees what it holds and the driver's instance.

        :raises DeviceLost: it did not end so.
        """
        with self._lock:
            if not self._alive():
                return
            assert self._pipe is not None
            assert self._process is not None
            self._pipe.close()
            try:
                code: int | None = self._process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                code = None
            said = self._said()
            self._end()
            if code != 0:
                raise DeviceLost(f"the process of {self.name} did not end in good order ({code}){_quoted(said)}")

    def _exchange(self, verb: str, arguments: tuple[Any, ...], seconds: float) -> Any:
        assert self._pipe is not None
        try:
            self._pipe.send((verb, arguments))
            if not self._pipe.poll(seconds):
                self._end()
                raise DeviceLost(f"{self.name} did not answer within {seconds:.0f} s")
            fine, result = self._pipe.recv()
        except (EOFError, OSError):
            fine, result = False, self._epitaph()
        said = self._said()
        if fine and not _FAILED.search(said):
            return result
        self._end()  # what failed once has left holes in ncnn's memory
        words = said if fine else f"{result}\n{said}"
        complaint = _FAILED.search(words)
        if _MEMORY.search(words):
            raise MemoryError(complaint.group() if complaint else words.splitlines()[0])
        if complaint is None:
            raise DeviceLost(f"{self.name} failed: {words.splitlines()[0]}{_quoted(said)}")
        sign = "VK_ERROR_DEVICE_LOST, " if "failed -4" in complaint.group() else ""
        raise DeviceLost(f"{self.name} failed: {sign}{complaint.group()}")

    def _epitaph(self) -> str:
        """Return what the end of the process says."""
        assert self._process is not None
        try:
            code = self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            return "its process closed the connection"
        if code == -SIGKILL:  # not by us: the kernel kills who takes the memory
            return "out of memory: its process was killed"
        return f"its process ended by {Signals(-code).name}" if code < 0 else f"its process ended with {code}"

    def _alive(self) -> bool:
        # A fork has the numbers of its parent's pipe, and no business there.
        return self._process is not None and self._owner == os.getpid()

    def _start(self) -> None:
        self._owner = os.getpid()
        self._loaded, self._used = set(), False
        ours, theirs = Pipe()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process lives
        self._read = 0
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(_CHILD), "serve", str(self.index), str(theirs.fileno())],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._stderr, pass_fds=[theirs.fileno()],
        )  # fmt: skip
        theirs.close()
        self._pipe = ours

    def _said(self) -> str:
        """Return what the process wrote to stderr since the last look."""
        size = os.fstat(self._stderr.fileno()).st_size
        text = os.pread(self._stderr.fileno(), size - self._read, self._read)
        self._read = size
        return text.decode(errors="replace")

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._stderr.close()
        if self._pipe is not None:
            self._pipe.close()
        self._process, self._pipe, self._loaded = None, None, set()


def listed() -> tuple[list[dict[str, Any]], str]:
    """Return the devices as `child.listed` gives them, and why there are none where something failed."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", str(_CHILD), "list"],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return [], f"the Vulkan driver did not answer within {PATIENCE:.0f} s"
    said = done.stderr.decode(errors="replace")
    if done.returncode < 0:
        return [], f"the Vulkan driver crashed ({Signals(-done.returncode).name}){_quoted(said)}"
    if done.returncode:
        return [], f"ncnn does not work here{_quoted(said)}"
    devices: list[dict[str, Any]] = json.loads(done.stdout)
    failed = _FAILED.search(said)
    return devices, "" if devices or not failed else failed.group()


def _quoted(said: str) -> str:
    """Return the last line of what a process said, to be put behind a sentence."""
    lines = said.strip().splitlines()
    return f": {lines[-1][:200]}" if lines else ""
