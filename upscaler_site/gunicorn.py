"""gunicorn's configuration: ``gunicorn --config python:upscaler_site.gunicorn upscaler_site.wsgi:application``."""

import os
import resource
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "upscaler_site.settings")

from django.conf import settings

#: Threads beyond the waiting requests: health checks, status, the page, uploads in progress.
SPARE_THREADS = 16

bind = (
    f"[{settings.LISTEN_ADDRESS}]:{settings.PORT}"
    if ":" in settings.LISTEN_ADDRESS
    else f"{settings.LISTEN_ADDRESS}:{settings.PORT}"
)
workers = settings.WEB_WORKERS
# A synchronous request holds its thread while a worker upscales. Threads are made on demand, so a high limit costs
# nothing while idle; beyond it new connections wait in the backlog.
worker_class = "gthread"
threads = settings.MAX_WAITING_REQUESTS + SPARE_THREADS
worker_connections = threads + 200
keepalive = 15
# The most that gunicorn offers: an address that names a hundred jobs, or a cursor and filters, has room.
limit_request_line = 8190
# This guards the process, not a request: a thread may take an upload of any length while the main thread reports.
timeout = 60
graceful_timeout = settings.STOP_GRACE_SECONDS
# A process says that it lives by touching a file: in memory, because a busy disk can stall it beyond `timeout`.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: PTH112, S108 - gunicorn's own default style
control_socket_disable = True
forwarded_allow_ips = "*" if settings.TRUSTED_PROXIES else "127.0.0.1,::1"
accesslog = "-" if settings.ACCESS_LOG else None
access_log_format = '%({x-forwarded-for}i)s %(h)s "%(m)s %(U)s" %(s)s %(B)s %(M)sms request=%({x-request-id}o)s'
logconfig_dict = settings.LOGGING | {
    "loggers": settings.LOGGING["loggers"]
    | {
        "gunicorn.error": {"handlers": ["stderr"], "level": settings.LOG_LEVEL, "propagate": False},
        # Given a dictionary, gunicorn logs requests whatever `accesslog` says.
        "gunicorn.access": {"handlers": ["stderr"] if settings.ACCESS_LOG else [], "level": "INFO", "propagate": False},
    }
}


#: Enough for every thread's connection, upload, file and database connection.
_DESCRIPTORS = 65_536


def on_starting(_server: Any) -> None:
    """Raise the soft limit on open files: 1024, as many systems set it, is less than our threads may need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
