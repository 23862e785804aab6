"""BROKER_URL, checked at the start. What is wrong with it is said without repeating it: it may hold a password."""

from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

_FORMS = "redis://user:password@host:6379/0, rediss:// (TLS) or unix:///path/to/redis.sock?db=0"
#: What the address may say after a question mark: nothing that would take our deadlines away.
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_CHOICES = {"ssl_cert_reqs": ("required", "optional", "none"), "ssl_check_hostname": ("true", "false")}
_OPTIONS = ("db", *_FILES, *_CHOICES)


@dataclass(frozen=True)
class Broker:
    """A Redis, and the beginning of this installation's channels there."""

    url: str = field(repr=False)
    shown: str  # the address without user, password and options
    prefix: str


def broker_from(url: str, prefix: str) -> Broker | None:
    """Return the broker; None without an address.

    :raises ImproperlyConfigured: naming what is wrong, or the package that is missing.
    """
    if not url:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # its text repeats a part of the address
        raise ImproperlyConfigured(
            f"BROKER_URL has no readable host and port; it must be like {_FORMS}, "
            "and in a password / : @ ? # [ ] are written as % codes"
        ) from None
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise ImproperlyConfigured(f"BROKER_URL begins with {parts.scheme!r}; it must be {_FORMS}")
    unix = parts.scheme == "unix"
    database = _check_place(parts, unix=unix)
    database = _check_options(parts.query, tls=parts.scheme == "rediss") or database
    if find_spec("redis") is None:
        raise ImproperlyConfigured(
            "BROKER_URL needs a package: pip install -r requirements-redis.txt, or upscaler[redis]"
        )
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    place = unquote(parts.path) if unix else f"{host}:{port or 6379}"
    return Broker(url, f"{parts.scheme}://{place}" + ("?db=" if unix else "/") + (database or "0"), prefix)


def _check_place(parts: SplitResult, *, unix: bool) -> str:
    """Check host or socket; return the number of the database that the path names."""
    if unix:
        if not parts.path.startswith("/") or parts.hostname:
            raise ImproperlyConfigured("BROKER_URL names no socket; it must be like unix:///path/to/redis.sock")
        return ""
    try:
        (parts.hostname or "").encode("idna")
    except UnicodeError:
        raise ImproperlyConfigured("BROKER_URL names a host that cannot be one") from None
    if not parts.hostname:
        raise ImproperlyConfigured(f"BROKER_URL names no host; it must be like {_FORMS}")
    return _number(parts.path.removeprefix("/"))


def _check_options(query: str, *, tls: bool) -> str:
    """Check what stands after the question mark; return the number of the database that it names."""
    options = dict(parse_qsl(query, keep_blank_values=True))
    unknown = sorted(options.keys() - set(_OPTIONS))
    if unknown:
        raise ImproperlyConfigured(f"BROKER_URL has an option that it cannot have; possible are {', '.join(_OPTIONS)}")
    if options.keys() - {"db"} and not tls:
        raise ImproperlyConfigured("BROKER_URL has options of TLS, and is not rediss://")
    for name in _FILES:
        if name in options and not Path(options[name]).is_file():
            raise ImproperlyConfigured(f"BROKER_URL: {name} is no file")
    for name, choices in _CHOICES.items():
        if options.get(name, choices[0]).lower() not in choices:
            raise ImproperlyConfigured(f"BROKER_URL: {name} must be one of {', '.join(choices)}")
    return _number(options.get("db", ""))


def _number(text: str) -> str:
    if text and not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise ImproperlyConfigured("BROKER_URL names a database that is no number; it must be like redis://host:6379/0")
    return text
