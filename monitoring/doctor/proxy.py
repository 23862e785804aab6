"""Examines the way from outside: whether PUBLIC_URL leads here, and scheme, addresses, streams and large files pass.

It asks as a stranger would, by HTTP. So it also tells of firewalls, certificates and names; from this host, which may
see the public address otherwise than the world does.
"""

import http.client
import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import SplitResult, urlsplit

import httpx
from django.conf import settings

from monitoring.doctor import echo
from monitoring.doctor.finding import Finding, fault, fine, note, warning

AREA = "proxy"

#: Seconds for any one answer.
_SECONDS = 15.0
#: Seconds in which a proxy that refuses a large body by its header has done so; ours waits for the body.
_REFUSAL_SECONDS = 6.0
#: Between the first and the last piece of a stream that is told slowly; a proxy that buffers hands over both at once.
_APART_SECONDS = 0.5


def examine() -> Iterator[Finding]:
    """Ask PUBLIC_URL, where it is set."""
    if not settings.PUBLIC_URL:
        yield note(AREA, "Not examined: PUBLIC_URL is not set", "Set it where others reach the service by another name")
        return
    try:
        with httpx.Client(base_url=f"{settings.PUBLIC_URL}/", timeout=_SECONDS, trust_env=False) as client:
            yield from _reached(client)
    except httpx.ConnectError as error:
        advice = "See that the name leads to the proxy, that it runs, and that its certificate is valid"
        yield fault(AREA, f"{settings.PUBLIC_URL} cannot be reached: {error}", advice)
    except httpx.HTTPError as error:
        yield fault(AREA, f"{settings.PUBLIC_URL} does not answer: {error or type(error).__name__}", "See its log")


def _reached(client: httpx.Client) -> Iterator[Finding]:
    answer = client.get("api/v1/health/live")
    if answer.status_code != httpx.codes.OK or not _is_ours(answer):
        told = (
            f"{settings.PUBLIC_URL} answers {answer.status_code} to /api/v1/health/live, and not as this service does"
        )
        advice = "Let the proxy pass all paths on, and name its host in ALLOWED_HOSTS"
        if answer.is_server_error:
            advice = "See that the service runs where the proxy looks for it; the proxy's log says more"
        yield fault(AREA, told, advice)
        return
    yield fine(AREA, f"{settings.PUBLIC_URL} leads to a service, in {answer.elapsed.total_seconds() * 1000:.0f} ms")
    yield from _echoed(client)
    yield _size(urlsplit(settings.PUBLIC_URL))


def _is_ours(answer: httpx.Response) -> bool:
    try:
        return bool(answer.json() == {"alive": True})
    except ValueError:
        return False


def _echoed(client: httpx.Client) -> Iterator[Finding]:
    """Ask how the service sees this call, told in two pieces two seconds apart."""
    with client.stream("GET", f"{echo.PATH}?by={echo.token()}") as answer:
        if answer.status_code != httpx.codes.OK:
            told = f"{settings.PUBLIC_URL}/{echo.PATH} answers {answer.status_code}: it may be another service"
            yield fault(AREA, told, "Let the proxy lead to this service: SECRET_KEY is another one there")
            return
        pieces = [(time.monotonic(), piece) for piece in answer.iter_raw()]
    yield from _seen(json.loads(b"".join(piece for _, piece in pieces)))
    if pieces[-1][0] - pieces[0][0] < _APART_SECONDS:
        advice = "Let the proxy pass answers on at once (nginx: proxy_buffering off), or progress comes in the end"
        yield warning(AREA, "The proxy keeps streams back until they are whole", advice)
    else:
        yield fine(AREA, "Streams pass piece by piece")


def _seen(seen: dict[str, Any]) -> Iterator[Finding]:
    wanted = urlsplit(settings.PUBLIC_URL)
    right = True
    if seen["scheme"] != wanted.scheme:
        advice = f"Let the proxy set X-Forwarded-Proto to {wanted.scheme}, and count it in TRUSTED_PROXIES"
        yield fault(AREA, f"The service takes this call for {seen['scheme']}, and it is {wanted.scheme}", advice)
        right = False
    if seen["host"] != wanted.netloc:
        yield fault(AREA, f"The service takes its host for {seen['host']}, not {wanted.netloc}",
                    "Let the proxy pass the header Host on")  # fmt: skip
        right = False
    hops, trusted = seen["hops"], settings.TRUSTED_PROXIES
    if hops != trusted:
        told = f"X-Forwarded-For has {hops} entries, and TRUSTED_PROXIES is {trusted}: "
        told += "callers can name any address as theirs" if hops < trusted else "all callers count as one address"
        advice = "Set TRUSTED_PROXIES to the number of proxies that add an address"
        yield (fault if hops < trusted else warning)(AREA, told, advice)
        right = False
    if right:
        yield fine(AREA, "Scheme, host and the caller's address arrive")


def _size(public: SplitResult) -> Finding:
    """Announce a body of the largest size, and send none of it: a proxy that takes less refuses it at once."""
    told = f"of {settings.MAX_UPLOAD_MB:,} MB (MAX_UPLOAD_MB)"
    kind = http.client.HTTPSConnection if public.scheme == "https" else http.client.HTTPConnection
    connection = kind(public.netloc, timeout=_REFUSAL_SECONDS)
    try:
        connection.putrequest("POST", f"{public.path}/{echo.PATH}")
        connection.putheader("Content-Type", "image/png")
        connection.putheader("Content-Length", str(settings.MAX_UPLOAD_BYTES))
        connection.endheaders()
        status = connection.getresponse().status
    except TimeoutError:  # it waits for the body
        status = 0
    except (OSError, http.client.HTTPException) as error:
        return note(AREA, f"Whether uploads {told} pass could not be tried: {error or type(error).__name__}")
    finally:
        connection.close()
    if status == http.client.REQUEST_ENTITY_TOO_LARGE:
        advice = f"Raise the proxy's limit (nginx: client_max_body_size {settings.MAX_UPLOAD_MB}m)"
        return fault(AREA, f"The proxy refuses uploads {told}", advice)
    return fine(AREA, f"Uploads {told} are not refused")
