"""Where the web server listens, and whether it can."""

import errno
import socket

from upscaler_site import env

_REGISTERED = 1024


class CannotListen(Exception):
    """The web server's address cannot be had; the message says why and what to set."""


def listen_address() -> str:
    """The operator's choice, known before the settings."""
    return env.text(
        "LISTEN_ADDRESS",
        "127.0.0.1",
        help="Address that the web server listens on; 0.0.0.0: every network of this host",
    )


def port() -> int:
    """The operator's choice, known before the settings."""
    return env.integer("PORT", 8000, minimum=1, maximum=65_535, help="Port that the web server listens on")


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
