"""The embedded Postgres is started again when it dies, whoever started it; one that keeps dying ends the service."""

import contextlib
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from tests.eventually import eventually
from tests.frozen import postmaster
from tests.processes import has_ended
from tests.service import Service, StartService
from tests.tiny_models import TINY_MODEL, write_tiny_weights
from tests.upscaler_site.postgres.embedded import holder, processes_of, select_one
from tests.upscaler_site.postgres.test_frozen_database import is_ready, submit
from upscaler_site.postgres.embedded import EmbeddedPostgres
from upscaler_site.postgres.supervisor import DEATHS, PostgresSupervisor

pytestmark = pytest.mark.processes


class Watched:
    """A server of this process and its supervisor."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self.server = server
        self.reason = ""
        self.ended = threading.Event()

    def give_up(self, why: str) -> None:
        self.reason = why
        self.ended.set()

    def runs_again(self, after: psutil.Process) -> bool:
        """Whether a server answers that is another than ``after``."""
        if not self.server.cluster.runs() or postmaster(self.server.cluster.places.root.parent) == after:
            return False
        return self.server.cluster.answers()


@pytest.fixture
def watch(data_dir: Path) -> Iterator[Callable[[], Watched]]:
    """Begin to use the server, under supervision."""
    server = EmbeddedPostgres(data_dir)
    watched = Watched(server)
    supervisor = PostgresSupervisor(server, watched.give_up)
    begun: list[PostgresSupervisor] = []

    def begin() -> Watched:
        server.acquire()
        begun.append(supervisor.__enter__())
        return watched

    yield begin
    for one in begun:
        one.__exit__(None, None, None)
    server.release()


def kill_postmaster(directory: Path) -> psutil.Process:
    first = postmaster(directory)
    first.kill()
    return first


def test_a_server_that_dies_is_started_again_with_what_was_committed(
    watch: Callable[[], Watched], data_dir: Path
) -> None:
    watched = watch()
    with psycopg.connect(watched.server.cluster.url()) as connection:
        connection.execute("CREATE TABLE survivor AS SELECT 1 AS number")
    killed = kill_postmaster(data_dir)
    eventually(lambda: watched.runs_again(killed), say="the second server")
    with psycopg.connect(watched.server.cluster.url()) as connection:
        assert connection.execute("SELECT number FROM survivor").fetchone() == (1,)
    assert not watched.ended.is_set()


def test_children_that_a_killed_server_leaves_do_not_keep_the_next_one_from_starting(
    watch: Callable[[], Watched], data_dir: Path
) -> None:
    """One that is frozen would hold the shared memory for ever."""
    watched = watch()
    with psycopg.connect(watched.server.cluster.url()) as connection:
        child = psutil.Process(connection.info.backend_pid)
        child.suspend()
        killed = kill_postmaster(data_dir)
        eventually(lambda: watched.runs_again(killed), say="the second server")
        assert has_ended(child)


def test_a_server_that_another_user_started_is_looked_after_as_well(
    watch: Callable[[], Watched], data_dir: Path
) -> None:
    other, url = holder(data_dir)
    watched = watch()
    killed = kill_postmaster(data_dir)
    eventually(lambda: watched.runs_again(killed), say="the second server")
    other.communicate("")
    assert other.returncode == 0
    assert select_one(url)


def test_a_user_that_comes_first_starts_it_and_nobody_a_second_time(data_dir: Path) -> None:
    """Without supervision, as a lone command: the next user finds a dead server and children of it."""
    with EmbeddedPostgres(data_dir) as url:
        with psycopg.connect(url) as connection:
            psutil.Process(connection.info.backend_pid).suspend()
            kill_postmaster(data_dir)
            others = [holder(data_dir) for _ in range(2)]
        assert select_one(url)
        for process, _ in others:
            process.communicate("")
            assert process.returncode == 0
        assert select_one(url)


def test_a_server_that_keeps_dying_is_given_up_with_a_reason(watch: Callable[[], Watched], data_dir: Path) -> None:
    watched = watch()
    for _ in range(DEATHS - 1):
        killed = kill_postmaster(data_dir)
        eventually(lambda killed=killed: watched.runs_again(killed), say="the next server")  # type: ignore[misc]
    kill_postmaster(data_dir)
    assert watched.ended.wait(240)
    assert "died 3 times within a minute" in watched.reason
    assert str(watched.server.cluster.places.log) in watched.reason


def test_a_server_that_does_not_start_any_more_is_given_up_with_its_own_words(
    watch: Callable[[], Watched], data_dir: Path
) -> None:
    watched = watch()
    (watched.server.cluster.places.data / "global" / "pg_control").unlink()
    kill_postmaster(data_dir)
    assert watched.ended.wait(240)
    assert "died 3 times within a minute" in watched.reason
    assert "pg_control" in watched.reason


def test_a_frozen_server_is_ended_all_the_same(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    server.acquire()
    postmaster(data_dir).suspend()
    server.release()
    assert processes_of(data_dir) == []


def test_the_service_survives_its_database_and_ends_when_that_keeps_dying(
    start_service: StartService, tiny_weights: Path, tmp_path: Path
) -> None:
    service = start_service(LOG_LEVEL="INFO")
    service.import_model(tiny_weights, TINY_MODEL)
    service.import_model(write_tiny_weights(tmp_path / "slow.safetensors", features=64, convolutions=32), "slow-x2")
    with httpx.Client(base_url=service.base_url, timeout=240) as client:
        eventually(lambda: is_ready(client), seconds=120)
        accepted = [submit(client, 300, 200, model="slow-x2", tile_size="64").raise_for_status().json()["job_id"]]
        accepted += [submit(client).raise_for_status().json()["job_id"] for _ in range(3)]
        eventually(lambda: client.get(f"/api/v1/jobs/{accepted[0]}").json()["status"] == "processing")
        kill_postmaster(service.data_dir)
        eventually(lambda: "the embedded Postgres runs again" in service.output())
        eventually(lambda: is_ready(client), say="readiness without a human")
        for job in accepted:
            eventually(
                lambda job=job: client.get(f"/api/v1/jobs/{job}").json()["status"] == "completed",  # type: ignore[misc]
                seconds=240,
            )
    completed = [line for line in service.output().splitlines() if " job completed job=" in line]
    assert len(completed) == len(accepted)
    assert ended_by_dying_databases(service) == 1
    assert "Error: the embedded Postgres died 3 times within a minute" in service.output()
    assert service.processes() == []


def ended_by_dying_databases(service: Service) -> int:
    """Kill the database whenever it runs, until the service ends; its exit code."""
    assert service.process is not None

    def kill_or_end() -> bool:
        assert service.process is not None
        with contextlib.suppress(psutil.NoSuchProcess, FileNotFoundError):
            postmaster(service.data_dir).send_signal(signal.SIGKILL)
        try:
            service.process.wait(0.5)
        except subprocess.TimeoutExpired:
            return False
        return True

    eventually(kill_or_end, seconds=120, say="the service's end")
    code: int = service.process.wait()
    return code
