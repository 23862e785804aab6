"""Two cells behind one nginx, as deploy/cells/nginx.conf has it: each key reaches the cell that it was made in."""

import re
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.api.conftest import picture
from tests.eventually import eventually
from tests.nginx import NGINX
from tests.ports import free_port
from tests.service import REPOSITORY
from tests.upscaler_site.web.conftest import StartWeb, start_web

__all__ = ["start_web"]

pytestmark = pytest.mark.processes


def test_a_key_reaches_its_own_cell(start_web: StartWeb, tmp_path: Path) -> None:
    if NGINX is None:
        pytest.skip("no nginx on this machine: apt-get install nginx")
    front = free_port()
    address = f"http://127.0.0.1:{front}"
    cells = [start_web(REQUIRE_API_KEY="1", TRUSTED_PROXIES="1", PUBLIC_URL=address) for _ in range(2)]
    keys = [cell.manage("create_api_key", "somebody", "--quiet").stdout.strip() for cell in cells]
    (tmp_path / "keys.map").write_text(
        "".join(f"{key[4:12]} cell_{name};\n" for key, name in zip(keys, "ab", strict=True))
    )
    text = (REPOSITORY / "deploy" / "cells" / "nginx.conf").read_text()
    for written, ours in (("8000", front), ("8001", cells[0].port), ("8002", cells[1].port)):
        text, count = re.subn(rf"127\.0\.0\.1:{written}\b", f"127.0.0.1:{ours}", text)
        assert count == 1
    text = text.replace("/tmp/upscaler-cells.pid", f"{tmp_path}/pid")
    (tmp_path / "nginx.conf").write_text(f"daemon off;\nuser root;\n{text}")
    nginx = subprocess.Popen([NGINX, "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")])
    try:
        eventually(lambda: _answers(address), say="nginx's first answer")
        jobs = []
        for key, headers in zip(keys, ({"Authorization": f"Bearer {keys[0]}"}, {"X-API-Key": keys[1]}), strict=True):
            with httpx.Client(base_url=address, headers=headers, timeout=240) as client:
                sent = client.post("/api/v1/jobs", files={"image": picture()}, data={"model": "bundled-compact-x4"})
                assert sent.status_code == 202, (key[:12], sent.text)
                jobs.append(sent.json()["job_id"])
                assert [job["job_id"] for job in client.get("/api/v1/jobs").json()["jobs"]] == jobs[-1:]
        for cell, key, job in zip(cells, keys, jobs, strict=True):
            with httpx.Client(base_url=cell.base_url, headers={"X-API-Key": key}, timeout=240) as client:
                assert client.get(f"/api/v1/jobs/{job}").json()["status"] == "queued"
                assert [client.get(f"/api/v1/jobs/{other}").status_code for other in jobs if other != job] == [404]
        assert httpx.get(f"{address}/api/v1/jobs", timeout=240).status_code == 401
    finally:
        nginx.terminate()
        nginx.wait(240)


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/api/v1/health/live", timeout=240).status_code == 200
    except httpx.TransportError:
        return False
