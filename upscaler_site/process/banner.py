"""The banner that `make run` prints once a picture can be upscaled: where the service is, and what to do next."""

import http
import http.client
import json
import os
import shlex
import socket
import sys
import time
from collections.abc import Callable

import psutil
from django.conf import settings

from upscaler_site.conf import places

TEXT = """
  Upscaler {version} is {state}:  {url}

  The page               {url}
{others}{key}\
  First picture          curl {header}-F image=@{picture} -F model={bundled} {url}api/v1/upscale -o upscaled.png
  Official models        {download} RealESRGAN_x4plus
                         or, from a file:  {bring} RealESRGAN_x4plus.pth
  API documentation      {url}api/docs
  Admin                  {url}admin/  after  {manage} createsuperuser
  Data                   {data}
  Stop                   Ctrl-C
"""

#: The commands as they can be pasted, where the program is a checkout, and where pip or pipx installed it.
_CHECKOUT = {
    "manage": ".venv/bin/python manage.py",
    "download": ".venv/bin/python manage.py download_models",
    "bring": ".venv/bin/python manage.py import_model",
}
_INSTALLED = {"manage": "upscaler manage", "download": "upscaler models download", "bring": "upscaler models import"}

#: The model that ships with the service.
BUNDLED = "bundled-compact-x4"
#: Seconds that a worker has for its start, on a slow disk, before the banner comes without it.
PATIENCE_SECONDS = 120.0


def announce(wanted: Callable[[], bool]) -> None:
    """Wait until the service is ready, then print where it is and what to do next; give up when not ``wanted``."""
    began, told = time.monotonic(), False
    while wanted():
        state = _state()
        if state == "ready" or (state and time.monotonic() - began > PATIENCE_SECONDS):
            _say(_text(state))
            return
        if state and not told:
            _say(f"Upscaler {settings.UPSCALER_VERSION} answers at {_url()}; a worker is still starting …")
            told = True
        time.sleep(0.3)


def _local_host() -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.LISTEN_ADDRESS, settings.LISTEN_ADDRESS)  # noqa: S104 - not listened on


def _state() -> str:
    """Return "ready", or what is missing for it; "" where nobody answers yet."""
    connection = http.client.HTTPConnection(_local_host(), settings.PORT, timeout=30)
    try:
        connection.request("GET", "/api/v1/health/ready")
        response = connection.getresponse()
        if response.status == http.HTTPStatus.SERVICE_UNAVAILABLE:
            return _one_line(json.loads(response.read())["detail"])
        # 400 where ALLOWED_HOSTS lacks this host's own name, 301 with HTTPS_ONLY: the service is up all the same.
        return "ready" if response.status < http.HTTPStatus.INTERNAL_SERVER_ERROR else ""
    except (OSError, http.client.HTTPException, ValueError, KeyError):  # not the service yet, or not ours
        return ""
    finally:
        connection.close()


def _one_line(detail: str) -> str:
    return f"running, but n{detail[1:]}" if detail.startswith("Not ready") else f"running, but: {detail}"


def _url() -> str:
    host = "localhost" if _local_host() in ("127.0.0.1", "::1") else settings.LISTEN_ADDRESS
    return f"{settings.PUBLIC_URL}/" if settings.PUBLIC_URL else f"http://{host}:{settings.PORT}/"


def _other_devices() -> str:
    """Return a line on how phones and other computers reach the page."""
    if settings.PUBLIC_URL:
        return ""
    if settings.LISTEN_ADDRESS not in ("0.0.0.0", "::"):  # noqa: S104 - compared, not listened on
        local = settings.LISTEN_ADDRESS in ("127.0.0.1", "::1", "localhost")
        return "  Phones, other devices  after a start with LISTEN_ADDRESS=0.0.0.0\n" if local else ""
    addresses = [
        entry.address
        for entries in psutil.net_if_addrs().values()
        for entry in entries
        if entry.family == socket.AF_INET and not entry.address.startswith("127.")
    ]
    shown = "  ".join(f"http://{address}:{settings.PORT}/" for address in addresses)
    return f"  Phones, other devices  {shown}\n" if shown else ""


def _text(state: str) -> str:
    url = _url()
    data = (
        os.path.relpath(settings.DATA_DIR) if settings.DATA_DIR.is_relative_to(settings.BASE_DIR) else settings.DATA_DIR
    )
    # A command pasted into another terminal must find the same data.
    place = os.environ.get("UPSCALER_DATA_DIR")
    before = f"UPSCALER_DATA_DIR={shlex.quote(place)} " if place else ""
    commands = _INSTALLED if places.INSTALLED else _CHECKOUT
    words = {name: before + command for name, command in commands.items()}
    picture = "photo.jpg" if places.INSTALLED else "samples/sample.png"
    asks = settings.REQUIRE_API_KEY
    return TEXT.format(
        version=settings.UPSCALER_VERSION,
        state=state,
        url=url,
        others=_other_devices(),
        key=f"  A key, asked for       {words['manage']} create_api_key NAME\n" if asks else "",
        header='-H "Authorization: Bearer KEY" ' if asks else "",
        bundled=BUNDLED,
        data=data,
        picture=picture,
        **words,
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - for the person at the terminal
