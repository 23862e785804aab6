"""The doctor asks a real web server through a real nginx: a good one, and ones that are wrong in every way."""

import json
from pathlib import Path

import pytest

from tests.nginx import nginx
from tests.ports import free_port
from tests.upscaler_site.web.conftest import StartWeb

pytestmark = pytest.mark.processes

GOOD = """
  client_max_body_size 600m;
  proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  proxy_set_header X-Forwarded-Proto $scheme;
"""
BAD = """
  client_max_body_size 1m;
  proxy_buffering on;
  proxy_ignore_headers X-Accel-Buffering;
  proxy_set_header Host 127.0.0.1;
"""


def test_the_way_from_outside(start_web: StartWeb, tmp_path: Path) -> None:
    web = start_web(TRUSTED_PROXIES="1")
    good, bad, strange, closed = (free_port() for _ in range(4))
    servers = f"""
      server {{ listen 127.0.0.1:{good}; {GOOD} location / {{ proxy_pass http://127.0.0.1:{web.port}; }} }}
      server {{ listen 127.0.0.1:{bad}; {BAD} location / {{ proxy_pass http://127.0.0.1:{web.port}; }} }}
      server {{ listen 127.0.0.1:{strange}; location / {{ return 200 "hello"; }} }}
    """

    def proxy(port: int) -> list[tuple[str, str]]:
        web.environment["PUBLIC_URL"] = f"http://127.0.0.1:{port}"
        done = web.manage("doctor", "--no-devices", "--json", check=False)
        found = json.loads(done.stdout)["findings"]
        return [(one["level"], one["told"]) for one in found if one["area"] == "proxy"]

    with nginx(tmp_path / "nginx", servers, f"http://127.0.0.1:{good}/api/v1/health/live"):
        assert [level for level, _ in proxy(good)] == ["fine"] * 4, proxy(good)
        wrong = {told: level for level, told in proxy(bad)}
        assert wrong.pop(f"The service takes its host for 127.0.0.1, not 127.0.0.1:{bad}") == "fault"
        assert wrong.pop("The proxy refuses uploads of 500 MB (MAX_UPLOAD_MB)") == "fault"
        assert wrong.pop("The proxy keeps streams back until they are whole") == "warning"
        told = "X-Forwarded-For has 0 entries, and TRUSTED_PROXIES is 1: callers can name any address as theirs"
        assert wrong.pop(told) == "fault"
        assert [level for level, _ in proxy(strange)] == ["fault"]
        assert "cannot be reached" in proxy(closed)[0][1]
