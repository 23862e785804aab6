"""deploy/nginx/nginx.conf in a real nginx, confined as in compose.yaml: TLS, uploads, events, an answer while away."""

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.api.conftest import picture
from tests.deploy import sandbox
from tests.eventually import eventually
from tests.ports import free_port
from tests.service import REPOSITORY, Service

pytestmark = pytest.mark.processes


class Proxy:
    """A running nginx in front of a service."""

    def __init__(self, plain: int, secure: int, certificate: Path) -> None:
        self.plain = f"http://127.0.0.1:{plain}"
        self.secure = f"https://127.0.0.1:{secure}"
        self.certificate = certificate

    def client(self) -> httpx.Client:
        trusted = ssl.create_default_context(cafile=str(self.certificate))
        return httpx.Client(base_url=self.secure, verify=trusted, timeout=240)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A directory with a certificate for 127.0.0.1 and its key."""
    place = tmp_path / "tls"
    place.mkdir()
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this machine")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-keyout", str(place / "key.pem"), "-out", str(place / "certificate.pem"), "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    subprocess.run(["chmod", "-R", "a+rX", str(place)], check=True)
    return place


def configured(plain: int, secure: int, service: int) -> str:
    """The configuration with ports of this test in place of the containers'."""
    text = (REPOSITORY / "deploy" / "nginx" / "nginx.conf").read_text()
    for ours, here in (
        ("listen 8080;", f"listen 127.0.0.1:{plain};"), ("listen 8443 ", f"listen 127.0.0.1:{secure} "),
        ("server api:8000;", f"server 127.0.0.1:{service};"), ("/dev/stderr", "stderr"),
        ("/dev/stdout", "/tmp/access.log"),
    ):  # fmt: skip
        assert text.count(ours) == 1, ours
        text = text.replace(ours, here)
    return text


def running(configuration: str, place: Path, certificate: Path, plain: int, secure: int) -> subprocess.Popen[bytes]:
    """Start nginx with a configuration, as uid 101 on a root that nobody can write."""
    (place / "nginx.conf").write_text(configuration)
    (place / "nginx.conf").chmod(0o644)
    words = ["nginx", "-c", "/run/nginx.conf", "-g", "daemon off;"]
    readable = {"/run/nginx.conf": place / "nginx.conf", "/run/tls": certificate}
    with (place / "nginx.log").open("wb") as log:
        return subprocess.Popen(
            sandbox.command(words, {"PATH": "/usr/sbin:/usr/bin"}, app=REPOSITORY, readable=readable, uid=101),
            stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip


@pytest.fixture
def proxy(service: Service, certificate: Path, tmp_path: Path) -> Iterator[Proxy]:
    if not shutil.which("nginx") and not Path("/usr/sbin/nginx").exists():
        pytest.skip("no nginx on this machine: apt-get install nginx")
    sandbox.require()
    plain, secure = free_port(), free_port()
    text = configured(plain, secure, service.port)
    nginx = running(text, tmp_path, certificate, plain, secure)
    made = Proxy(plain, secure, certificate / "certificate.pem")

    def answers() -> bool:
        assert nginx.poll() is None, (tmp_path / "nginx.log").read_text()
        try:
            with made.client() as client:
                return client.get("/api/v1/health/live").status_code == 200
        except httpx.TransportError:
            return False

    try:
        eventually(answers, seconds=60, say="nginx's first answer")
        yield made
    finally:
        nginx.kill()
        nginx.wait(240)


def test_pictures_and_events_pass_and_plain_http_leads_to_tls(proxy: Proxy) -> None:
    moved = httpx.get(f"{proxy.plain}/api/docs", timeout=60)
    assert (moved.status_code, moved.headers["Location"]) == (301, "https://127.0.0.1/api/docs")
    with proxy.client() as client:
        sent = client.post("/api/v1/jobs", files={"image": ("a.png", picture())}, data={"model": "bundled-compact-x4"})
        assert sent.status_code == 202, sent.text
        with client.stream("GET", f"/api/v1/jobs/{sent.json()['job_id']}/events") as events:
            assert events.headers["Content-Type"].startswith("text/event-stream")
            said = "".join(events.iter_text())
        assert "completed" in said
        result = client.get(f"/api/v1/jobs/{sent.json()['job_id']}/result")
        assert result.headers["Content-Type"] == "image/png"


def test_a_body_beyond_the_limit_gets_the_services_own_refusal(proxy: Proxy, service: Service) -> None:
    with proxy.client() as client:
        refused = client.post("/api/v1/cleanup", content=b" " * 4_000_000, headers={"Content-Type": "application/json"})
    assert refused.status_code == 413
    assert refused.json()["code"] == "body_too_large"


def test_while_the_service_is_away_callers_are_told_when_to_come_back(certificate: Path, tmp_path: Path) -> None:
    sandbox.require()
    plain, secure = free_port(), free_port()
    text = configured(plain, secure, free_port())
    nginx = running(text, tmp_path, certificate, plain, secure)
    try:

        def told() -> httpx.Response | None:
            try:
                with Proxy(plain, secure, certificate / "certificate.pem").client() as client:
                    return client.get("/api/v1/models")
            except httpx.TransportError:
                return None

        answer = eventually(told, seconds=60, say="an answer")
        assert answer is not None
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
        assert answer.json()["code"] == "unavailable"
    finally:
        nginx.kill()
        nginx.wait(240)
