"""A real nginx before a real web server, with the servers that a test writes."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.eventually import eventually

NGINX = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")

_CONFIGURATION = """
daemon off;
user root;
pid {place}/nginx.pid;
error_log {place}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {place}/body;
  proxy_temp_path {place}/proxy;
  fastcgi_temp_path {place}/fastcgi;
  uwsgi_temp_path {place}/uwsgi;
  scgi_temp_path {place}/scgi;
  {http}
}}
"""


@contextmanager
def nginx(place: Path, http: str, *addresses: str) -> Iterator[None]:
    """Run an nginx whose block ``http`` holds these lines, once each of the addresses is answered with 200."""
    if NGINX is None:
        pytest.skip("no nginx on this machine: apt-get install nginx")
    place.mkdir(parents=True, exist_ok=True)
    (place / "nginx.conf").write_text(_CONFIGURATION.format(place=place, http=http))
    process = subprocess.Popen([NGINX, "-p", str(place), "-c", str(place / "nginx.conf")])
    try:
        for address in addresses:
            eventually(lambda address=address: _answers(address), say=f"nginx's first answer at {address}")  # type: ignore[misc]
        yield
    finally:
        process.terminate()
        process.wait(240)


def _answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=240).status_code == 200
    except httpx.TransportError:
        return False
