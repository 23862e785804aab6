"""What every test may use: a database, the shared pictures and weights, the running service.

The suite runs in several processes (pytest-xdist, `make test`). Each has a data directory, a Postgres and ports of its
own, so that no test can meet another one's rows, files or services.
"""

import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest
from django.conf import UserSettingsHolder
from django.conf import settings as django_settings
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from upscaler_site.postgres.embedded import EmbeddedPostgres, is_wanted

pytest_plugins = [
    "tests.tiny_models",
    "tests.service",
    "tests.redis_server",
    "tests.chromium",
    "tests.staff",
]  # in the order in which they import each other

# An example that took 200 ms says that the machine is busy, and nothing about what it tests.
hypothesis_settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("any machine")

REPOSITORY = Path(__file__).resolve().parent.parent

_scratch: Path | None = None
_postgres: EmbeddedPostgres | None = None


def pytest_configure(config: pytest.Config) -> None:
    """Give the tests a data directory and, where DATABASE_URL is unset, the address of a Postgres of their own.

    This runs before pytest-django looks for the settings, which read both from the environment. The first test that
    asks for the database starts the server: see ``django_db_modify_db_settings``. It does not wait for the disk: a test
    run has nothing to lose in a power cut.
    """
    global _postgres  # noqa: PLW0603 - one process, one server; hooks have no other place to keep it
    if config.option.basetemp is None:
        # Not pytest's own /tmp/pytest-of-…: every pytest of this user that starts closes that one to other users, and
        # the embedded Postgres, which under root is another user, loses the way to its files.
        config.option.basetemp = str(_scratch_directory() / "tmp")
    if _only_distributes(config):
        return
    if hasattr(config, "workerinput"):
        # Several processes share the cores: threads of one computation beside them only wait for each other.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    scratch = _scratch_directory()
    os.environ["UPSCALER_DATA_DIR"] = str(scratch / "data")
    (scratch / "data" / "static").mkdir(parents=True)  # whitenoise warns where there is none
    if is_wanted():
        settings = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_wal_size": "64MB"}
        _postgres = EmbeddedPostgres(scratch / "database", settings)
        _postgres.cluster.places.root.mkdir(parents=True)  # a long path's socket is named after this directory
        os.environ["DATABASE_URL"] = _postgres.cluster.url()
    os.environ["DJANGO_SETTINGS_MODULE"] = "upscaler_site.settings"
    _ = django_settings.DATABASES  # loads them: pytest-django sets Django up when it finds them loaded


def _scratch_directory() -> Path:
    """Return the directory of this process, which goes with it."""
    global _scratch  # noqa: PLW0603 - as above
    if _scratch is None:
        _scratch = Path(tempfile.mkdtemp(prefix="upscaler-tests-"))
        _scratch.chmod(0o755)
    return _scratch


#: Whoever asks for one of these starts other processes. Tests that start some by themselves carry the marker.
STARTS_PROCESSES = {"service", "start_service", "start_web", "start_cluster", "browser"}
#: Networks are run and trained here, in test after test.
SLOW = {REPOSITORY / "tests" / "gpu", REPOSITORY / "tests" / "training"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that start other processes, and the slow folders: `make quick` leaves them out."""
    for item in items:
        if SLOW & set(item.path.parents):
            item.add_marker("slow")
        if STARTS_PROCESSES & set(getattr(item, "fixturenames", ())):
            item.add_marker("processes")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return how many processes `-n auto` means: most tests wait for other processes, so two for each core."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(2, min(2 * cores, 12))


def _only_distributes(config: pytest.Config) -> bool:
    """Whether this process runs no test itself: its children do."""
    return not hasattr(config, "workerinput") and bool(getattr(config.option, "numprocesses", None))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the server if a test has started it, and remove everything."""
    if _postgres is not None:
        _postgres.release()
    if _scratch is not None:
        shutil.rmtree(_scratch, ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """Fail the test that leaves a setting changed, not the innocent ones after it.

    `monkeypatch.setattr(settings, …)` does: it is undone after the `settings` fixture, by deleting the setting.
    """
    yield
    changed = False
    wrapped = vars(django_settings)["_wrapped"]
    while isinstance(wrapped, UserSettingsHolder):  # a layer over the settings of the start
        wrapped = django_settings._wrapped = wrapped.default_settings
        changed = True
    assert not changed, f"{item.nodeid} left a setting changed: set it through the `settings` fixture"


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """Start the embedded Postgres: pytest-django asks for this before it makes the test database."""
    if _postgres is not None:
        _postgres.acquire()


def database_runs() -> bool:
    """Whether a test of this process has started the embedded Postgres."""
    return _postgres is not None and (_postgres.cluster.places.data / "postmaster.pid").exists()


@pytest.fixture(scope="module")
def one_thread() -> Generator[None, None, None]:
    """Let torch compute on one thread: networks of many small layers wait for their threads on a busy machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """Pictures and genuine weights that lie beside the checkout and are never committed."""
    directory = REPOSITORY.parent / "shared"
    if not (directory / "images").is_dir():
        pytest.skip("no shared/ directory beside the checkout: real pictures and genuine weights are not here")
    return directory


@pytest.fixture(scope="session")
def real_weights(shared_dir: Path) -> Path:
    """The genuine realesr-animevideov3.pth."""
    path = shared_dir / "weights" / "realesr-animevideov3.pth"
    if not path.is_file():
        pytest.skip("shared/weights/realesr-animevideov3.pth is not here")
    return path
