"""A PgBouncer before the test's database."""

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connection

from tests.eventually import eventually
from tests.ports import free_port
from upscaler_site.postgres.guard import as_user

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

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

    if PGBOUNCER is None:
        pytest.skip("pgbouncer is not installed")
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
