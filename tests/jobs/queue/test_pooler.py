"""A pooler in transaction mode swallows notifications: every process says so once, and names the variable."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connection

from jobs.models import Job
from jobs.states import Status
from tests.eventually import eventually
from tests.jobs.clusters import REPOSITORY
from tests.jobs.conftest import StartCluster
from tests.jobs.worker.test_cluster import ended
from tests.service import free_port
from upscaler_site.postgres.guard import as_user

WARNING = "notifications do not arrive: DATABASE_URL leads through a pooler in transaction mode"
PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

pytestmark = [pytest.mark.skipif(PGBOUNCER is None, reason="pgbouncer is not installed"), pytest.mark.processes]

CONFIGURATION = """
[databases]
* = host={host} port={server_port} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
"""


@pytest.fixture
def pooled(tmp_path: Path, transactional_db: None) -> Iterator[Callable[[str], str]]:
    """Start a PgBouncer in a mode before the test's database; returns the address that leads through it."""
    from tests import conftest

    if conftest._postgres is None:
        pytest.skip("DATABASE_URL names a Postgres of which this test has no socket")
    values, started = connection.settings_dict, []

    def start(mode: str) -> str:
        assert PGBOUNCER is not None
        assert conftest._postgres is not None
        port = free_port()
        configuration = tmp_path / "pgbouncer.ini"
        configuration.write_text(
            CONFIGURATION.format(
                host=values["HOST"], server_port=values["PORT"] or 5432, user=values["USER"], port=port, mode=mode
            )
        )
        user = as_user(conftest._postgres.cluster.system_user)  # root may not run it
        with configuration.open() as given:
            started.append(
                subprocess.Popen(
                    [PGBOUNCER, "--quiet", f"/dev/fd/{given.fileno()}"],
                    pass_fds=[given.fileno()],
                    cwd="/",
                    stderr=subprocess.DEVNULL,
                    **user,
                )
            )
        eventually(lambda: takes_connections(port), say="PgBouncer's start")
        return f"postgresql://{values['USER']}@127.0.0.1:{port}/{values['NAME']}"

    yield start
    for process in started:
        process.kill()
        process.wait()


def takes_connections(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


def web_process(given: dict[str, str], log: Path) -> "subprocess.Popen[bytes]":
    """A process that has loaded the door of the web server and waits."""
    door = "import sys, upscaler_site.wsgi as door; print(door.application, file=sys.stderr); sys.stdin.read()"
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-c", door],
            cwd=REPOSITORY,
            env=os.environ | given | {"DJANGO_SETTINGS_MODULE": "upscaler_site.settings"},
            stdin=subprocess.PIPE,
            stderr=output,
        )


def test_each_process_warns_once_and_everything_works_all_the_same(
    pooled: Callable[[str], str],
    start_cluster: StartCluster,
    submit: Callable[..., Job],
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    url = pooled("transaction")
    log = tmp_path / "web.log"
    web = web_process(environment | {"DATABASE_URL": url}, log)
    try:
        cluster = start_cluster(DATABASE_URL=url)
        assert ended(submit()).status == Status.COMPLETED
        eventually(lambda: WARNING in log.read_text(), say="the web process's warning")
    finally:
        web.kill()
        web.communicate()
    assert log.read_text().count(WARNING) == cluster.output().count(WARNING) == 1


@pytest.mark.parametrize("mode", ["session", ""])
def test_nobody_warns_where_notifications_arrive(
    mode: str,
    pooled: Callable[[str], str],
    start_cluster: StartCluster,
) -> None:
    cluster = start_cluster(**({"DATABASE_URL": pooled(mode)} if mode else {}))
    assert WARNING not in cluster.output()
