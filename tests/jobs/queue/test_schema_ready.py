"""An empty database: hosts that migrate at once do not harm each other, and workers wait for the tables."""

import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.eventually import eventually
from tests.jobs.clusters import REPOSITORY, RunningCluster
from tests.jobs.conftest import database_url

pytestmark = pytest.mark.processes


@pytest.fixture
def empty(environment: dict[str, str], transactional_db: None) -> Iterator[dict[str, str]]:
    """A child's environment with a new database."""
    name = f"empty_{uuid.uuid4().hex[:8]}"
    server = database_url()
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        yield environment | {"DATABASE_URL": server.replace(f"/{connection.info.dbname}?", f"/{name}?")}
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def migrate(given: dict[str, str]) -> "subprocess.Popen[str]":
    import os

    return subprocess.Popen(
        [sys.executable, "manage.py", "migrate", "--no-input", "--verbosity=0"],
        cwd=REPOSITORY,
        env=os.environ | given | {"DJANGO_SETTINGS_MODULE": "upscaler_site.settings"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_workers_wait_for_ten_hosts_that_migrate_at_once(empty: dict[str, str], tmp_path: Path) -> None:
    clusters = [RunningCluster(tmp_path, empty | {"Q_CLUSTER_NAME": queue}) for queue in ("gpu", "io")]
    try:
        for cluster in clusters:
            eventually(lambda cluster=cluster: "waiting for the database" in cluster.output(), seconds=120)  # type: ignore[misc]
        migrations = [migrate(empty) for _ in range(10)]
        for process in migrations:
            output, _ = process.communicate(timeout=240)
            assert process.returncode == 0, output
            assert output in ("", "Waiting for another migration of this database to end\n")
        eventually(lambda: "worker computes" in clusters[0].output(), seconds=240)
        eventually(lambda: clusters[1].pids("worker"), seconds=120)
        for cluster in clusters:
            before = cluster.output().partition("[Queue]")[0] or cluster.output()
            assert before.count("waiting for the database") == 1
            assert "does not exist" not in cluster.output()
            assert "Traceback" not in cluster.output()
    finally:
        for cluster in clusters:
            cluster.destroy()


def test_a_worker_without_its_database_says_one_line_and_ends_when_told(
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    nobody = {"DATABASE_URL": f"postgresql://postgres@/nothing?host={tmp_path}"}
    cluster = RunningCluster(tmp_path, environment | nobody)
    try:
        eventually(lambda: "waiting for the database" in cluster.output(), seconds=120)
        cluster.terminate()
        cluster.wait()
        assert len(cluster.output().splitlines()) == 1, cluster.output()
    finally:
        cluster.destroy()
