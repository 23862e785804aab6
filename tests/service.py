"""The whole real service, started as `make run` starts it: web server, clusters, embedded Postgres, supervisor."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from tests.eventually import LEAST_SECONDS, eventually
from tests.ports import free_port
from tests.tiny_models import TINY_MODEL, write_tiny_weights

REPOSITORY = Path(__file__).resolve().parent.parent


#: Pixels on each side of a picture that keeps `slow_model`, in tiles of 64 px, busy for 40 s on the fastest processor
#: measured (two cores with AMX): longer than a test looks at the job, which it cancels then.
SLOW_SIDE = 3600


class Service:
    """A running service with a data directory of its own."""

    def __init__(self, data_dir: Path, environment: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.log = data_dir.parent / f"{data_dir.name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.command = [sys.executable, "-m", "upscaler_site.serve"]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("DATABASE_URL")}
        self.environment = inherited | {
            "UPSCALER_DATA_DIR": str(data_dir),
            "PORT": str(self.port),
            "DEVICE": "cpu",
            "OMP_NUM_THREADS": "2",
            "PYTHONUNBUFFERED": "1",
            **(environment or {}),
        }

    def start(self, *, wait: bool = True) -> None:
        """Start it, and wait until the web server answers."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=REPOSITORY,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if wait:
            eventually(self.answers, seconds=240, every=0.2, say="the service's first answer")

    def answers(self) -> bool:
        """Whether the web server answers; fails at once where the service has ended instead."""
        if self.process is not None and self.process.poll() is not None:
            pytest.fail(f"the service ended with {self.process.returncode}:\n{self.output()}")
        try:
            return httpx.get(f"{self.base_url}/api/v1/health/live", timeout=30).status_code == 200
        except httpx.TransportError:
            return False

    def output(self) -> str:
        """Everything that it printed so far."""
        return self.log.read_text(errors="replace")

    def manage(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a manage.py command beside it."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=REPOSITORY,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )
        if check and done.returncode:
            pytest.fail(f"manage.py {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def import_model(self, path: Path, name: str = "") -> None:
        """Make a weights file available."""
        self.manage("import_model", str(path), *(["--name", name] if name else []))

    def client(self) -> httpx.Client:
        """An HTTP client with a generous time-out."""
        return httpx.Client(base_url=self.base_url, timeout=240)

    def processes(self) -> list[psutil.Process]:
        """Everything that belongs to it, the database included."""
        found = []
        for process in psutil.process_iter():
            try:
                # Postgres overwrites its environment's memory with its title, so its command line tells.
                ours = any(str(self.data_dir) in word for word in process.cmdline())
                ours = ours or process.environ().get("UPSCALER_DATA_DIR") == str(self.data_dir)
                if ours and process.status() != psutil.STATUS_ZOMBIE and process.pid != os.getpid():
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def cluster_mains(self, queue: str) -> list[psutil.Process]:
        """The main processes of the clusters that serve ``queue``."""
        found = []
        for process in self.processes():
            with suppress(psutil.Error):  # it ended meanwhile
                words, parent = process.cmdline(), process.parent()
                launched = parent is not None and "upscaler_site.process.launcher" in parent.cmdline()
                is_main = words[-1:] == ["qcluster"] and "upscaler_site.process.launcher" not in words and launched
                if is_main and process.environ().get("Q_CLUSTER_NAME") == queue:
                    found.append(process)
        return found

    def stop(self, number: int = signal.SIGTERM, *, seconds: float = LEAST_SECONDS) -> int:
        """Ask it to stop, wait, and assert that no process of it is left; return its exit code."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            pytest.fail(f"the service did not stop within {seconds} s:\n{self.output()[-5000:]}")
        left = [
            str(process.as_dict(["pid", "ppid", "status", "create_time", "cmdline"])) for process in self.processes()
        ]
        self.kill()
        assert left == [], f"left running: {left}\n{self.output()[-3000:]}\n{self._database_log()}"
        return code

    def _database_log(self) -> str:
        log = self.data_dir / "postgres" / "server.log"
        return log.read_text(errors="replace")[-2000:] if log.exists() else ""

    def kill(self) -> None:
        """End whatever is left, without ado."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        left = self.processes()
        for process in left:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(left, timeout=240)


StartService = Callable[..., Service]


@pytest.fixture
def start_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartService]:
    """A function that starts a service with variables of your choice: ``start_service(MAX_UPLOAD_MB="1")``."""
    started: list[Service] = []

    def start(*, wait: bool = True, data_dir: Path | None = None, **environment: str) -> Service:
        directory = data_dir or tmp_path_factory.mktemp("service") / "data"
        service = Service(directory, environment)
        started.append(service)
        service.start(wait=wait)
        return service

    yield start
    try:
        for service in started:
            service.stop()
    finally:
        for service in started:
            service.kill()


@pytest.fixture
def own_service(start_service: StartService, tiny_weights: Path) -> Service:
    """A service for one test alone, which may kill parts of it; it has the tiny ×2 model."""
    service = start_service()
    service.import_model(tiny_weights, TINY_MODEL)
    return service


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory, tiny_weights: Path) -> Iterator[Service]:
    """One service for all tests that only use it; it has the tiny ×2 model. Kill no part of it: see own_service."""
    running = Service(tmp_path_factory.mktemp("shared-service") / "data")
    try:
        running.start()
        running.import_model(tiny_weights, TINY_MODEL)
        yield running
        running.stop()
    finally:
        running.kill()


@pytest.fixture(scope="session")
def slow_model(service: Service, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model that takes a while, with many tiles: for what can be seen only while a job runs."""
    path = tmp_path_factory.mktemp("slow") / "slow-x2.safetensors"
    service.import_model(write_tiny_weights(path, features=64, convolutions=32), "slow-x2")
    return "slow-x2"
