"""The banner that `make run` prints once the service answers."""

import http
import http.client
import os
import shlex
import sys
import time
from collections.abc import Callable

from django.conf import settings

from upscaler_site.conf import places

TEXT = """
  Upscaler {version} is ready:  {url}

  The page               {url}
  First picture          curl -F image=@{picture} -F model={bundled} {url}api/v1/upscale -o upscaled.png
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


def announce(wanted: Callable[[], bool]) -> None:
    """Wait until the web server answers, then print where it is and what to do next; give up when not ``wanted``."""
    while wanted():
        if _answers():
            _print()
            return
        time.sleep(0.2)


def _local_host() -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.LISTEN_ADDRESS, settings.LISTEN_ADDRESS)  # noqa: S104 - not listened on


def _answers() -> bool:
    connection = http.client.HTTPConnection(_local_host(), settings.PORT, timeout=30)
    try:
        connection.request("GET", "/api/v1/health/live")
        # 400 where ALLOWED_HOSTS lacks this host's own name: the service is up all the same.
        return connection.getresponse().status < http.HTTPStatus.INTERNAL_SERVER_ERROR
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _print() -> None:
    host = "localhost" if _local_host() in ("127.0.0.1", "::1") else settings.LISTEN_ADDRESS
    url = f"{settings.PUBLIC_URL}/" if settings.PUBLIC_URL else f"http://{host}:{settings.PORT}/"
    data = (
        os.path.relpath(settings.DATA_DIR) if settings.DATA_DIR.is_relative_to(settings.BASE_DIR) else settings.DATA_DIR
    )
    # A command pasted into another terminal must find the same data.
    place = os.environ.get("UPSCALER_DATA_DIR")
    before = f"UPSCALER_DATA_DIR={shlex.quote(place)} " if place else ""
    commands = _INSTALLED if places.INSTALLED else _CHECKOUT
    words = {name: before + command for name, command in commands.items()}
    picture = "photo.jpg" if places.INSTALLED else "samples/sample.png"
    text = TEXT.format(version=settings.UPSCALER_VERSION, url=url, bundled=BUNDLED, data=data, picture=picture, **words)
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - for the person at the terminal
