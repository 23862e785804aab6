"""The web server's listen address, whether it is free, and the address under which users reach it."""

import errno
import re
import socket
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from upscaler_site.conf import env

_REGISTERED = 1024
_PLAIN_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")
#: Where the service's own addresses begin (urls.py).
_OWN = ("api", "admin", "static", "metrics", "jsi18n", "manifest.webmanifest", "favicon.ico")


class CannotListen(Exception):
    """The web server's address cannot be had; the message says why and what to set."""


def listen_address() -> str:
    """Return the operator's listen address, known before the settings."""
    return env.text(
        "LISTEN_ADDRESS",
        "127.0.0.1",
        help="Address that the web server listens on; 0.0.0.0: every network of this host",
    )


def port() -> int:
    """Return the operator's port, known before the settings."""
    return env.integer("PORT", 8000, minimum=1, maximum=65_535, help="Port that the web server listens on")


def public_url() -> str:
    """Return the operator's public URL without a slash at its end; "" where unset.

    :raises ImproperlyConfigured: when its path cannot be told from the service's own addresses, or needs quoting.
    """
    url = env.text(
        "PUBLIC_URL",
        help="Address under which users reach the service, such as https://example.org/upscaler",
    ).rstrip("/")
    scheme, host, path = urlsplit(url)[:3]
    if url and not (scheme in ("http", "https") and host):
        raise ImproperlyConfigured(f"PUBLIC_URL is {url!r}; it must be like https://up.example.org")
    if not _PLAIN_PATH.fullmatch(path):
        raise ImproperlyConfigured(f"PUBLIC_URL is {url!r}; its path may have letters, digits, - . _ and ~")
    if path.strip("/").partition("/")[0] in _OWN:
        raise ImproperlyConfigured(f"PUBLIC_URL is {url!r}; its path must not begin with /{' or /'.join(_OWN)}")
    return url


def check(address: str, number: int) -> None:
    """Bind once, as the web server will.

    :raises CannotListen: naming the address and the variable to change.
    """
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the web server does
        try:
            probe.bind((address, number))
        except OSError as error:
            shown = f"[{address}]:{number}" if ":" in address else f"{address}:{number}"
            raise CannotListen(
                f"cannot listen on {shown}: {error.strerror or error}. {_advice(error, number)}"
            ) from error


def _advice(error: OSError, number: int) -> str:
    if error.errno in (errno.EADDRINUSE, errno.EACCES):
        other = 8000 if number < _REGISTERED else number + 1 if number < 65_535 else number - 1
        return f"Choose another port: PORT={other} make run"
    return "LISTEN_ADDRESS must be an address of this host, such as 127.0.0.1 or 0.0.0.0"
