"""The process that holds a real driver: its memory, its end, and the end of who started it."""

import resource
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest

from jobs.engine.backends.vulkan import devices
from jobs.engine.backends.vulkan.graph import graph
from jobs.engine.backends.vulkan.process import DeviceProcess
from modelstore.networks.srvgg import SRVGGNetCompact
from tests.eventually import eventually
from tests.jobs.engine.conftest import seeded
from tests.processes import has_ended

PIXELS = np.zeros((3, 64, 64), np.float32)


@pytest.fixture
def process(real: devices.VulkanDevice) -> DeviceProcess:
    """A process of the test's own, with a network under number 1."""
    one = DeviceProcess(real.index, real.name)
    one.load(one.number(), *graph(seeded(partial(SRVGGNetCompact, features=8, convolutions=1, scale=2))), half=False)
    return one


def test_it_ends_in_good_order_with_networks_loaded(process: DeviceProcess) -> None:
    process.run(1, PIXELS, 60)
    process.close()  # raises where the process crashed on its way out
    process.close()
    assert not process.has(1)
    assert process.budget() >= 0


@pytest.mark.skipif(sys.platform != "linux", reason="limits of another process")
def test_memory_that_a_real_driver_does_not_get_is_a_memory_error(process: DeviceProcess) -> None:
    assert process._process is not None
    pid = process._process.pid
    room = psutil.Process(pid).memory_info().vms + 400_000_000
    resource.prlimit(pid, resource.RLIMIT_AS, (room, room))
    with pytest.raises(MemoryError):
        process.run(1, np.zeros((3, 2048, 2048), np.float32), 60)
    assert not process.has(1)


def test_a_killed_process_is_a_memory_error_and_another_starts(process: DeviceProcess) -> None:
    assert process._process is not None
    process._process.send_signal(signal.SIGKILL)
    with pytest.raises(MemoryError, match="killed"):
        process.run(1, PIXELS, 60)
    assert process.budget() >= 0
    assert process.ask("budget") > 0
    process.close()


STARTS_ONE_AND_WAITS = """
import sys, time
from jobs.engine.backends.vulkan import devices
process = devices.process_of(f"vulkan:{devices.preferred()}")
process.ask("budget")
print(process._process.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.processes
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_who_started_it(how: signal.Signals, real: devices.VulkanDevice) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTS_ONE_AND_WAITS], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    ) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.send_signal(how)
        eventually(lambda: has_ended(child))
