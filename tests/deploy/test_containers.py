"""compose.yaml's services as it confines them: a root that nobody can write, uid 10001, no capability, their own /tmp.

Real processes in a sandbox (sandbox.py) and a real Postgres; no container engine. They share /data, as the volume.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx
import psutil
import pytest

from tests.api.conftest import picture
from tests.deploy import sandbox
from tests.deploy.compose import image_environment, ours, service
from tests.deploy.packages import without_others
from tests.eventually import eventually
from tests.ports import free_port

pytestmark = [pytest.mark.processes, pytest.mark.slow]

PASSWORD = "a secret of the operator"


class Stack:
    """The containers of one `docker compose --profile cpu up`, less their Postgres."""

    def __init__(self, place: Path, database: str) -> None:
        self.place = place
        self.app = sandbox.program(place / "app")
        self.port = free_port()
        self.database = database
        self.volumes = {name: place / name for name in ("data", "secrets")}
        for volume in self.volumes.values():
            volume.mkdir()
        os.chown(self.volumes["data"], sandbox.UID, sandbox.UID)  # an engine gives a new volume the image's owner
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def command(self, name: str, words: list[str] | None = None) -> list[str]:
        """The sandboxed command of a service, or another one in its container."""
        said = service(name)
        target = said["build"]["target"]
        environment = image_environment(target) | {
            key: str(value) for key, value in said.get("environment", {}).items()
        }
        environment |= {"PORT": str(self.port), "LISTEN_ADDRESS": "127.0.0.1", "DATABASE_URL": self.database}
        environment |= {"MIN_FREE_DISK_MB": "0", "OMP_NUM_THREADS": "2", "GLIBC_TUNABLES": ""}
        environment.pop("PATH")
        writable: dict[str, Path] = {}
        readable: dict[str, Path] = {}
        if target == "web":
            site = self.place / "site"
            environment |= {**without_others("web", site), "PYTHONPATH": "/site"}
            readable["/site"] = site
        for volume in said["volumes"]:
            source, inside, *mode = volume.split(":")
            (readable if mode == ["ro"] else writable)[inside] = self.volumes[source]
        if said.get("secrets"):
            readable["/run/secrets"] = self.place / "host-secrets"
        return sandbox.command(
            words or said["command"], environment, app=self.app, writable=writable, readable=readable,
            tmpfs=[mount.partition(":")[0] for mount in said.get("tmpfs", [])],
            uid=int(said["user"].partition(":")[0]), capabilities=said.get("cap_add", []),
        )  # fmt: skip

    def run(self, name: str, words: list[str] | None = None, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a service that ends, or another command in its container."""
        done = subprocess.run(
            self.command(name, words), capture_output=True, text=True, check=False, timeout=240, umask=0o077
        )
        assert not check or done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
        return done

    def start(self, name: str) -> None:
        """Start a service that stays."""
        with (self.place / f"{name}.log").open("wb") as log:
            self.running[name] = subprocess.Popen(self.command(name), stdout=log, stderr=subprocess.STDOUT)

    def healthy(self, name: str) -> bool:
        """Whether a service's own health check is content."""
        assert self.running[name].poll() is None, self.log(name)
        return self.run(name, service(name)["healthcheck"]["test"][1:], check=False).returncode == 0

    def log(self, name: str) -> str:
        return (self.place / f"{name}.log").read_text(errors="replace")

    def stop(self, name: str) -> int:
        """Do as `docker stop`: SIGTERM to the service's first process; its exit code."""
        inside = [
            process for process in psutil.Process(self.running[name].pid).children(recursive=True)
            if process.uids().real == sandbox.UID
        ]  # fmt: skip
        inside[0].terminate()
        return self.running.pop(name).wait(240)


@pytest.fixture
def stack(new_database: Callable[[], str], tmp_path: Path) -> Iterator[Stack]:
    sandbox.require()
    made = Stack(tmp_path, new_database())
    try:
        yield made
    finally:
        for process in made.running.values():
            process.kill()
            process.wait(240)


def hidden_secret(place: Path, name: str, text: str) -> None:
    """A secret as an operator under a strict umask makes it: for one user, who is neither root nor the container's."""
    folder = place / "host-secrets"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    (folder / name).chmod(0o600)
    os.chown(folder / name, 1000, 1000)


def test_a_secret_that_only_its_owner_can_read_reaches_the_containers_and_nobody_else(stack: Stack) -> None:
    hidden_secret(stack.place, "postgres_password", PASSWORD)
    show = ["cat", service("api")["environment"]["DATABASE_PASSWORD_FILE"]]
    assert stack.run("api", show, check=False).returncode != 0
    for _ in range(2):  # at each `up`, over what is there
        stack.run("secrets")
        assert stack.run("api", show).stdout == PASSWORD
    (made,) = stack.volumes["secrets"].iterdir()
    assert (made.stat().st_uid, made.stat().st_mode & 0o777) == (sandbox.UID, 0o400)


def test_the_containers_of_a_cpu_make_a_picture_larger_and_stop_in_time(stack: Stack) -> None:
    hidden_secret(stack.place, "postgres_password", PASSWORD)
    stack.run("secrets")
    stack.run("migrate")
    names = ["api", "worker-cpu", "worker-io"]
    for name in names:
        stack.start(name)
    for name in names:
        eventually(lambda name=name: stack.healthy(name), seconds=240, every=1, say=f"{name}'s health")  # type: ignore[misc]
    with httpx.Client(base_url=f"http://127.0.0.1:{stack.port}", timeout=240) as client:
        sent = client.post(
            "/api/v1/upscale", files={"image": ("a.png", picture())}, data={"model": "bundled-compact-x4"}
        )
        assert sent.status_code == 200, f"{sent.text}\n{stack.log('worker-cpu')}"
        assert client.get("/admin/login/").status_code == 200
        assert client.get("/api/v1/health/ready").status_code == 200
    for command in (["cleanup_jobs"], ["create_api_key", "archive"], ["queue", "pause"], ["queue", "resume"]):
        stack.run("api", ["python", "manage.py", *command])
    assert stack.run("api", ["touch", "/app/there"], check=False).returncode != 0
    for name in names:
        assert stack.stop(name) in (0, 143), stack.log(name)  # a signal's own code, where it ends the process itself
    owners = {path.stat().st_uid for path in stack.volumes["data"].rglob("*")}
    assert owners == {sandbox.UID}


def test_the_whole_service_in_one_container_needs_no_other(tmp_path: Path) -> None:
    """The default target, as `docker run --read-only --tmpfs /tmp` has it."""
    sandbox.require()
    data = tmp_path / "data"
    data.mkdir()
    os.chown(data, sandbox.UID, sandbox.UID)
    environment = image_environment("service") | {"PORT": str(free_port()), "LISTEN_ADDRESS": "127.0.0.1"}
    environment |= {"MIN_FREE_DISK_MB": "0", "OMP_NUM_THREADS": "2"}
    environment.pop("PATH")
    app = sandbox.program(tmp_path / "app")
    words = ["python", "-m", "upscaler_site.serve"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            sandbox.command(words, environment, app=app, writable={"/data": data}),
            stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{environment['PORT']}", timeout=240) as client:

            def ready() -> bool:
                assert process.poll() is None, (tmp_path / "log").read_text()
                try:
                    return client.get("/api/v1/health/ready").status_code == 200
                except httpx.TransportError:
                    return False

            eventually(ready, seconds=240, every=0.5, say="a service that is ready")
            sent = client.post(
                "/api/v1/upscale", files={"image": ("a.png", picture())}, data={"model": "bundled-compact-x4"}
            )
            assert sent.status_code == 200, sent.text
        inside = [
            each for each in psutil.Process(process.pid).children(recursive=True) if each.uids().real == sandbox.UID
        ]
        inside[0].terminate()
        assert process.wait(240) == 0, (tmp_path / "log").read_text()
    finally:
        process.kill()
        process.wait(240)


def confinement(said: Mapping[str, object]) -> dict[str, object]:
    """What keeps a container from more than its work."""
    return {name: said.get(name) for name in ("read_only", "cap_drop", "security_opt")}


def test_every_container_is_confined() -> None:
    from tests.deploy.compose import compose

    for name, said in compose()["services"].items():
        assert confinement(said) == {
            "read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"]
        }, name  # fmt: skip
    lasting = [name for name in ours() if service(name).get("restart") == "unless-stopped"]
    assert {"api", "worker-cpu", "worker-gpu", "worker-vulkan", "worker-io", "worker-io-gpu"} == set(lasting)
    for name in lasting:
        assert service(name)["user"] == "10001:10001"
        assert service(name)["deploy"]["resources"]["limits"].keys() >= {"memory", "pids"}
        assert service(name)["healthcheck"]["test"][0] == "CMD"


@pytest.fixture(autouse=True)
def _room(tmp_path: Path) -> Iterator[None]:
    yield
    shutil.rmtree(tmp_path / "app", ignore_errors=True)
