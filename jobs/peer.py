"""Whether the caller of a request is still there. WSGI does not tell; the web server's own socket does."""

import socket
from collections.abc import Mapping
from typing import Any

from jobs.readable import readable


def has_left(environ: Mapping[str, Any]) -> bool:
    """True when the other side has closed the connection; False when it has not, or when that cannot be known."""
    peer = environ.get("gunicorn.socket")
    if not isinstance(peer, socket.socket):
        return False
    try:
        # A byte that waits is the next request on the same connection; no byte is its end.
        return readable([peer.fileno()], 0) and peer.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except (OSError, ValueError):
        return True
