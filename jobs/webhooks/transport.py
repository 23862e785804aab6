"""One HTTP exchange with a receiver. No database here: it runs in a thread of its own."""

import logging
import ssl
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpcore
from django.conf import settings

from jobs.webhooks.signing import headers_for
from modelstore import safe_http
from modelstore.errors import TargetRefused

if TYPE_CHECKING:
    from jobs.models.webhook import WebhookMessage

log = logging.getLogger(__name__)

ANSWER_BYTES = 1000  # bytes of a response that are read, for the log


@dataclass(frozen=True)
class DeliveryResult:
    """The end of one try. ``status`` None: no answer came, and ``error`` says why."""

    seconds: float
    status: int | None = None
    answer: str = ""
    retry_after: str | None = None
    error: str = ""

    @property
    def delivered(self) -> bool:
        """Only 2xx is success: a redirect is not followed, for its target was never checked or agreed to."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        """410: the receiver wants no more."""
        return self.status == 410


def send(message: "WebhookMessage") -> DeliveryResult:
    """Post the signed message; every outcome is a value. Takes WEBHOOK_TIMEOUT_SECONDS at most."""
    started = time.monotonic()
    try:
        return _exchange(message, started)
    except TargetRefused as refusal:
        error = str(refusal)
    except httpcore.TimeoutException:
        error = f"no complete answer within {settings.WEBHOOK_TIMEOUT_SECONDS:g} s"
    except (httpcore.NetworkError, httpcore.ProtocolError, ssl.SSLError, OSError) as failure:
        error = f"{type(failure).__name__}: {failure}"
    except Exception as failure:  # a thread's edge: the run must record how every try ended
        log.exception("webhook cannot be sent message=%s", message.id)
        error = f"{type(failure).__name__}: {failure}"
    return DeliveryResult(time.monotonic() - started, error=error[:300])


def _exchange(message: "WebhookMessage", started: float) -> DeliveryResult:
    headers = {
        "content-type": "application/json",
        "user-agent": f"upscaler/{settings.UPSCALER_VERSION}",
        "accept-encoding": "identity",
        "connection": "close",
        **headers_for(message, datetime.now(UTC)),
    }
    with safe_http.request(
        "POST",
        safe_http.target_of(message.url),
        headers=headers,
        body=message.body.encode(),
        seconds=settings.WEBHOOK_TIMEOUT_SECONDS,
        allow_private=settings.WEBHOOK_ALLOW_PRIVATE,
    ) as answer:
        retry_after = next(
            (value.decode("latin-1") for name, value in answer.headers if name.lower() == b"retry-after"), None
        )
        text = _beginning(answer)
        return DeliveryResult(time.monotonic() - started, answer.status, text, retry_after)


def _beginning(answer: httpcore.Response) -> str:
    """Return the response's beginning as text. The status is known: a body that breaks off or stalls is no error."""
    read = b""
    try:
        for piece in answer.iter_stream():
            read += piece
            if len(read) >= ANSWER_BYTES:
                break
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
        pass
    # Postgres stores no NUL; a control character has no place in a log either.
    text = read[:ANSWER_BYTES].decode("utf-8", "replace")
    return "".join(character if character.isprintable() or character == "\n" else "\ufffd" for character in text)
