"""``python -m upscaler_site.web.server``: the web server, WEB_WORKERS processes behind one socket.

uvicorn reads requests in one thread per process (http_protocol.py, request_body.py); a request that is complete gets a
thread of its own (asgi.py). The process that is started here only watches over the others: it replaces one that died
or no longer answers, and passes SIGTERM on.
"""

import logging.config
import os
import resource
import socket
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "upscaler_site.settings")

import uvicorn
from django.conf import settings
from uvicorn.supervisors import Multiprocess

from upscaler_site.web.http_protocol import MAX_HEADER_BYTES

KEEP_ALIVE_SECONDS = 15

#: This guards a process, not a request: a stopped or frozen one is replaced.
SILENT_SECONDS = 15

#: Enough for every connection, upload, thread's file and database connection.
_DESCRIPTORS = 65_536


def configuration() -> uvicorn.Config:
    """Return uvicorn's configuration. What it names is loaded in the processes that serve."""
    return uvicorn.Config(
        "upscaler_site.asgi:application",
        workers=settings.WEB_WORKERS,
        http="upscaler_site.web.http_protocol:DeadlineProtocol",
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,  # Django's
        access_log=False,  # access_log.py writes the lines
        proxy_headers=False,  # client_ip.py and wsgi_bridge.py decide which headers to trust
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.STOP_GRACE_SECONDS,
        timeout_worker_healthcheck=SILENT_SECONDS,
    )


def listening_socket(address: str, port: int) -> socket.socket:
    """Return the socket that all processes share, bound.

    Not uvicorn's own: it names no protocol, and only where that is TCP does asyncio set TCP_NODELAY. Without it the
    kernel holds the answer's body back until the caller has acknowledged the header: 40 ms for every request.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    shared = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    shared.bind((address, port))
    shared.set_inheritable(True)
    return shared


def raise_open_file_limit() -> None:
    """Raise the soft limit on open files: 1024, as many systems set it, is less than our connections may need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def main() -> None:
    """Serve until told to stop."""
    logging.config.dictConfig(settings.LOGGING)
    raise_open_file_limit()
    try:
        shared = listening_socket(settings.LISTEN_ADDRESS, settings.PORT)
    except OSError as error:
        sys.exit(f"cannot listen address={settings.LISTEN_ADDRESS} port={settings.PORT} error={error}")
    Multiprocess(configuration(), sockets=[shared]).run()


if __name__ == "__main__":
    main()
