"""The embedded Postgres outlives no user, and no user's violent end breaks it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.eventually import eventually
from tests.upscaler_site.postgres.embedded import HOLD, holder, processes_of, select_one
from upscaler_site.postgres.embedded import EmbeddedPostgres
from upscaler_site.postgres.server import EmbeddedPostgresError, ServerPaths

pytestmark = pytest.mark.processes


def test_the_only_user_starts_it_and_leaves_nothing_running(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as url:
        assert select_one(url)
    assert processes_of(data_dir) == []


def test_data_is_kept_from_one_start_to_the_next(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as url, psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept (number int)")
        connection.execute("INSERT INTO kept VALUES (42)")
    with EmbeddedPostgres(data_dir) as url, psycopg.connect(url) as connection:
        assert connection.execute("SELECT number FROM kept").fetchone() == (42,)


def test_it_runs_until_its_last_user_leaves(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    url = server.acquire()
    other, other_url = holder(data_dir)
    assert other_url == url
    server.release()
    assert select_one(url)
    other.communicate("")
    assert other.returncode == 0
    assert processes_of(data_dir) == []


def test_a_killed_user_stops_counting(data_dir: Path) -> None:
    other, url = holder(data_dir)
    assert select_one(url)
    other.send_signal(signal.SIGKILL)
    other.communicate()
    eventually(lambda: not processes_of(data_dir), say="the end of the embedded Postgres")
    with EmbeddedPostgres(data_dir) as again:
        assert select_one(again)


def test_a_killed_server_recovers_on_the_next_start(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir) as url:
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE survivor AS SELECT 1 AS number")
        for process in processes_of(data_dir):
            process.kill()
        eventually(lambda: not processes_of(data_dir))
    assert (ServerPaths(data_dir / "postgres").data / "postmaster.pid").exists()
    with EmbeddedPostgres(data_dir) as url, psycopg.connect(url) as connection:
        assert connection.execute("SELECT number FROM survivor").fetchone() == (1,)


def test_a_forked_child_does_not_end_its_parents_server(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir)
    url = server.acquire()
    child = os.fork()
    if child == 0:
        server.release()
        os._exit(0)
    os.waitpid(child, 0)
    assert select_one(url)
    server.release()


def test_many_first_users_at_once_share_one_server(data_dir: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", HOLD, str(data_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    urls = set()
    for process in processes:
        assert process.stdout is not None
        urls.add(process.stdout.readline().strip())
    assert len(urls) == 1
    assert select_one(urls.pop())
    for process in processes:
        process.communicate("")
        assert process.returncode == 0


def test_nobody_else_can_reach_its_socket(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir):
        socket = ServerPaths(data_dir / "postgres").data / ".s.PGSQL.5432"
        if socket.exists():
            assert socket.stat().st_mode & 0o077 == 0
            assert socket.parent.stat().st_mode & 0o077 == 0


def test_a_long_path_works_too(tmp_path: Path) -> None:
    data_dir = tmp_path / ("long-" * 20)
    with EmbeddedPostgres(data_dir) as url:
        assert select_one(url)
    assert processes_of(data_dir) == []


def test_data_of_another_version_is_refused_with_its_name(data_dir: Path) -> None:
    places = ServerPaths(data_dir / "postgres")
    places.data.mkdir(parents=True)
    (places.data / "PG_VERSION").write_text("12\n")
    with pytest.raises(EmbeddedPostgresError, match="made by Postgres 12"):
        EmbeddedPostgres(data_dir).acquire()
