"""DATABASE_URL into Django's dictionary. Postgres only."""

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

#: libpq's parameters of every connection; those in DATABASE_URL win. A lost host is noticed after 25 s on an idle
#: connection and after 15 s with data under way; waiting statements have a deadline of their own
#: (DATABASE_TIMEOUT_SECONDS, upscaler_site/postgres/backend).
DEADLINES = {
    "connect_timeout": "5",
    "keepalives": "1",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
}


def database_from(url: str, password: str = "") -> dict[str, Any]:
    """Translate ``postgresql://user:password@host:port/name?option=value``; ``password`` counts where ``url`` has none.

    A socket directory is given as ``?host=/path``, as libpq does. An empty ``url`` gives settings without a server: the
    commands that need none (``--help``, ``collectstatic``) still work, and the others are started by manage.py, which
    sets DATABASE_URL to the embedded Postgres before.
    """
    base: dict[str, Any] = {
        "ENGINE": "upscaler_site.postgres.backend",
        # Not a pool: django-q2 forks, and two processes that share a pool's sockets read each other's responses.
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }
    if not url:
        # The name appears in the error of a connection that is tried all the same; an empty name would connect to any
        # Postgres that happens to run on this machine.
        return base | {"NAME": "upscaler", "HOST": "/DATABASE_URL-is-unset", "OPTIONS": {}}
    parts = urlsplit(url)
    if parts.scheme not in ("postgres", "postgresql"):
        raise ImproperlyConfigured(f"DATABASE_URL begins with {parts.scheme}://; it must be postgresql://…")
    options = dict(parse_qsl(parts.query))
    try:
        port = parts.port
    except ValueError as error:
        raise ImproperlyConfigured(f"DATABASE_URL: {error}") from error
    name = unquote(parts.path.lstrip("/"))
    if not name:
        raise ImproperlyConfigured("DATABASE_URL names no database: postgresql://user:password@host:5432/NAME")
    return base | {
        "NAME": name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or "") or password,
        "HOST": options.pop("host", unquote(parts.hostname or "")),
        "PORT": str(port or options.pop("port", "")),
        "OPTIONS": DEADLINES | options,
    }
