"""The whole service starts with one command, survives losses, and leaves nothing behind when it is told to stop."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from tests.eventually import LEAST_SECONDS, eventually
from tests.processes import has_ended
from tests.service import REPOSITORY, Service, StartService

pytestmark = pytest.mark.processes

#: The supervisor's own clocks end everything within 15 s; a machine with a load of 20 lets them tick more slowly.
STOP_SECONDS = LEAST_SECONDS


def everything_runs(service: Service) -> bool:
    """Web server and both clusters are there, each with its children."""
    mains = service.cluster_mains("gpu") + service.cluster_mains("io")
    try:
        return len(mains) == 2 and all(len(main.children(recursive=True)) >= 3 for main in mains)
    except psutil.Error:  # one ended meanwhile
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_top_process_stops_everything(start_service: StartService, number: signal.Signals) -> None:
    service = start_service()
    eventually(lambda: everything_runs(service), seconds=120)
    eventually(lambda: f"is ready:  http://localhost:{service.port}/" in service.output())
    assert service.stop(number, seconds=STOP_SECONDS) == 0


def test_a_signal_to_the_whole_group_stops_everything(start_service: StartService) -> None:
    service = start_service()
    eventually(lambda: everything_runs(service), seconds=120)
    assert service.process is not None
    os.killpg(service.process.pid, signal.SIGTERM)
    assert service.process.wait(STOP_SECONDS) == 0
    assert service.processes() == []


def test_a_signal_while_it_starts_stops_it_too(start_service: StartService) -> None:
    service = start_service(wait=False)
    eventually(lambda: len(service.processes()) > 1, seconds=120, every=0.01)
    service.stop(signal.SIGINT, seconds=STOP_SECONDS)


def test_a_second_signal_does_not_wait_for_anybody(start_service: StartService) -> None:
    service = start_service(STOP_GRACE_SECONDS="3000")
    eventually(lambda: everything_runs(service), seconds=120)
    for main in service.cluster_mains("gpu"):
        main.suspend()  # it will not stop by itself
    assert service.process is not None
    service.process.send_signal(signal.SIGTERM)
    eventually(lambda: "Stopping" in service.output())
    service.stop(signal.SIGTERM, seconds=STOP_SECONDS)


def test_a_killed_service_is_cleared_away_by_the_kernel_and_the_next_start(start_service: StartService) -> None:
    service = start_service()
    eventually(lambda: everything_runs(service), seconds=120)
    old = [p for p in service.processes() if service.process is None or p.pid != service.process.pid]
    assert service.process is not None
    service.process.kill()
    service.process.wait()
    service.start(wait=False)
    # The old web server may answer a little longer: its end is waited for first.
    eventually(lambda: all(map(has_ended, old)), seconds=120)
    eventually(service.answers, seconds=240)
    eventually(lambda: everything_runs(service), seconds=120)
    service.stop(seconds=STOP_SECONDS)


@pytest.mark.parametrize("queue", ["gpu", "io"])
def test_a_killed_cluster_comes_back_without_orphans(start_service: StartService, queue: str) -> None:
    service = start_service()
    eventually(lambda: everything_runs(service), seconds=120)
    (main,) = service.cluster_mains(queue)
    family = [main, *main.children(recursive=True)]
    main.kill()
    eventually(lambda: all(map(has_ended, family)))
    eventually(lambda: everything_runs(service), seconds=120)
    service.stop(seconds=STOP_SECONDS)


def test_a_killed_web_server_comes_back(start_service: StartService) -> None:
    service = start_service()
    servers = [p for p in service.processes() if "upscaler_site.web.server" in p.cmdline()]
    (master,) = [p for p in servers if (parent := p.parent()) and "upscaler_site.process.launcher" in parent.cmdline()]
    master.kill()
    eventually(lambda: has_ended(master))
    eventually(service.answers, seconds=120)
    service.stop(seconds=STOP_SECONDS)


def test_a_port_in_use_is_said_at_once(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = serve(tmp_path, PORT=str(port))
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert f"PORT={port + 1} make run" in done.stderr
    assert not (tmp_path / "data").exists()


def test_an_address_of_another_host_is_said_with_the_variable_to_change(tmp_path: Path) -> None:
    done = serve(tmp_path, LISTEN_ADDRESS="192.0.2.1")
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot listen on 192.0.2.1:" in done.stderr
    assert "LISTEN_ADDRESS must be" in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_setting_that_makes_no_sense_is_named(tmp_path: Path) -> None:
    done = serve(tmp_path, MAX_UPLOAD_MB="lots")
    assert done.returncode == 1
    assert done.stderr.strip().splitlines() == ["Error: MAX_UPLOAD_MB is 'lots'; it must be a whole number"]
    assert not (tmp_path / "data").exists()


def test_a_second_service_on_the_same_data_is_refused(service: Service) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "upscaler_site.serve"],
        cwd=REPOSITORY,
        env=service.environment | {"PORT": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1
    assert "already runs" in done.stderr
    assert httpx.get(f"{service.base_url}/api/v1/health/live", timeout=240).status_code == 200


def test_a_lone_command_starts_the_database_and_stops_it_again(tmp_path: Path) -> None:
    lone = Service(tmp_path / "data")
    lone.manage("migrate", "--verbosity=0")
    assert "bundled-compact-x4" in lone.manage("shell", "-c", LIST_MODELS).stdout
    assert lone.processes() == []


def test_a_command_works_beside_the_running_service(service: Service) -> None:
    assert "tiny-x2" in service.manage("shell", "-c", LIST_MODELS).stdout
    assert httpx.get(f"{service.base_url}/api/v1/health/live", timeout=240).status_code == 200


LIST_MODELS = "from modelstore.models import Model; print(*Model.objects.values_list('name', flat=True))"


def serve(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the service to its end, which is expected to come at once."""
    template = Service(tmp_path / "data", environment)
    return subprocess.run(
        [sys.executable, "-m", "upscaler_site.serve"],
        cwd=REPOSITORY,
        env=template.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
