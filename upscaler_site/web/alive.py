"""``python -m upscaler_site.web.alive``: 0 while the web server answers, else 1; for a container's health check.

Asks for liveness alone, which needs no database; a refusal by ALLOWED_HOSTS (400) is an answer, too.
Imports nothing of the service: a check every few seconds must cost little.
"""

import http.client
import os
import sys

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not listened on
_SECONDS = 9


def answers(address: str, port: int) -> bool:
    """Return True where the web server there answers, and not with an error of its own."""
    connection = http.client.HTTPConnection(_EVERYWHERE.get(address, address), port, timeout=_SECONDS)
    try:
        connection.request("GET", "/api/v1/health/live")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(not answers(os.environ.get("LISTEN_ADDRESS", "127.0.0.1"), int(os.environ.get("PORT", "8000"))))
