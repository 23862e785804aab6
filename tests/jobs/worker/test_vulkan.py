"""A worker on a Vulkan device: named in its row, in the job's report and in the system's, and gone with the worker."""

import os
import signal
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from jobs.engine.backends.vulkan import devices
from jobs.models import Job, Worker
from jobs.states import Status
from monitoring import system
from tests.eventually import eventually
from tests.processes import has_ended

pytestmark = pytest.mark.django_db(transaction=True)


def _holders() -> list[psutil.Process]:
    """The processes that hold a Vulkan device for the workers of this test."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            if any(part.endswith("vulkan/child.py") for part in child.cmdline()):
                found.append(child)
        except psutil.Error:
            continue
    return found


def test_a_worker_names_its_device_and_leaves_no_process(
    submit: Callable[..., Job], start_cluster: Callable[..., Any]
) -> None:
    if not devices.count():
        pytest.skip(devices.trouble(named=True))
    device = devices.look()[0][devices.preferred()]
    job = submit()
    start_cluster(DEVICE="vulkan", ENGINE_BACKEND="auto", WARM_MODELS=job.model)
    eventually(lambda: Job.objects.get(pk=job.pk).status in (Status.COMPLETED, Status.FAILED), seconds=120)
    job.refresh_from_db()
    assert job.status == Status.COMPLETED, job.error
    name = f"vulkan:{device.index}"
    assert (job.report["device"], job.report["device_name"], job.report["backend"]) == (name, device.name, "vulkan")
    worker = Worker.objects.get(device=name)
    assert (worker.device_name, (worker.precisions or [])[:1]) == (device.name, ["fp32"])
    report = system.report()
    assert report["gpu_available"]
    assert "vulkan" in report["execution_providers"]
    assert [one.name for one in report["devices"] if one.device == name] == [device.name]
    held = _holders()
    assert held
    os.kill(worker.pid, signal.SIGKILL)
    eventually(lambda: all(map(has_ended, held)))
