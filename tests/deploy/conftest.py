"""A Postgres that containers can reach, by TCP: those of the other tests let nobody in but their own user."""

import itertools
import subprocess
from collections.abc import Callable, Iterator

import psycopg
import pytest

from tests.ports import free_port
from upscaler_site.postgres import guard
from upscaler_site.postgres.server import Cluster, ServerPaths

_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a running server, less the database's name."""
    place, port = tmp_path_factory.mktemp("postgres") / "database", free_port()
    place.mkdir()
    cluster = Cluster(ServerPaths(place), {})
    cluster.prepare_system_user()
    cluster.initialise()
    options = {
        "listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": "''", "fsync": "off",
        "max_connections": 300,
    }  # fmt: skip
    control = [str(cluster.programs / "pg_ctl"), "-D", str(cluster.places.data), "-w"]
    words = " ".join(f"-c {name}={value}" for name, value in options.items())

    def run(*command: str) -> None:
        subprocess.run(
            [*control, *command], check=True, cwd=cluster.places.data, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **guard.as_user(cluster.system_user),
        )  # fmt: skip

    run("-o", words, "start")
    yield f"postgresql://postgres@127.0.0.1:{port}"
    run("-m", "immediate", "stop")


@pytest.fixture(scope="session")
def new_database(postgres: str) -> Callable[[], str]:
    """A function that makes an empty database and returns its address."""

    def make() -> str:
        name = f"deployed_{next(_numbers)}"
        with psycopg.connect(f"{postgres}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"{postgres}/{name}"

    return make
