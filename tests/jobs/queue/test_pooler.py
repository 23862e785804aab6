"""A pooler in transaction mode swallows notifications: every process says so once, and names the variable."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.models import Job
from jobs.states import Status
from tests.eventually import eventually
from tests.jobs.clusters import REPOSITORY
from tests.jobs.conftest import StartCluster
from tests.jobs.worker.test_cluster import ended

WARNING = "notifications do not arrive: DATABASE_URL leads through a pooler in transaction mode"

pytestmark = pytest.mark.processes


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
