"""One HTTP answer into a ``.part`` file: what its status, headers and bytes mean. Nothing it says is believed."""

import re
from collections.abc import Callable

import httpx

from modelstore.backoff import parse_retry_after
from modelstore.errors import TargetRefused, TargetUnresolved
from modelstore.storage.partial_file import Part


class AnswerTransient(Exception):
    """Another try at the same source may succeed. ``retry_after`` is in seconds, where the server named a time."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class AnswerUnreachable(AnswerTransient):
    """There was no answer: nobody could be connected to."""


class AnswerRefused(Exception):
    """This source does not have the file: trying it again is of no use."""


_MAY_HEAL = frozenset({408, 425, 429, 500, 502, 503, 504})
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


def read_into(part: Part, client: httpx.Client, url: str, size_bytes: int, on_block: Callable[[int], None]) -> bool:
    """Append the answer's body to ``part`` until it has ``size_bytes``.

    :return: True when the whole file came with this answer: the server ignored the range, or none was asked for.
    :raises AnswerTransient, AnswerRefused: ``part`` then holds what was received.
    """
    headers = {"Range": f"bytes={part.length}-"} if part.length else {}
    try:
        with client.stream("GET", url, headers=headers) as response:
            whole = _check(response, part, size_bytes)
            for block in response.iter_raw():  # unbuffered: also a slow trickle must reach the caller's deadline check
                if part.length + len(block) > size_bytes:
                    raise AnswerRefused(f"wrong bytes: more than the {size_bytes} bytes of the model")
                part.write(block)
                on_block(len(block))
    except TargetUnresolved as error:
        raise AnswerUnreachable(f"Network error: {error}") from None
    except TargetRefused as error:
        raise AnswerRefused(f"Not allowed: {error}") from None
    except httpx.ConnectTimeout:
        raise AnswerUnreachable("Network error: Connection timeout") from None
    except httpx.TimeoutException:
        raise AnswerTransient(
            f"Network error: the server fell silent after {part.length} of {size_bytes} bytes"
        ) from None
    except httpx.ConnectError as error:
        raise AnswerUnreachable(f"Network error: cannot connect to {error.request.url.host} ({error})") from None
    except (httpx.TooManyRedirects, httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        raise AnswerRefused(f"Network error: {error}") from None
    except httpx.HTTPError as error:
        raise AnswerTransient(
            f"Network error: broken off after {part.length} of {size_bytes} bytes ({error})"
        ) from None
    if part.length < size_bytes:
        raise AnswerTransient(f"Network error: ended after {part.length} of {size_bytes} bytes")
    return whole


def _check(response: httpx.Response, part: Part, size_bytes: int) -> bool:
    """Judge status and headers before any byte is taken. Empty ``part`` when the response starts at byte 0."""
    status = response.status_code
    if status in _MAY_HEAL:
        raise AnswerTransient(f"HTTP {status}", parse_retry_after(response.headers.get("Retry-After")))
    if status == 416:  # our part is longer than the server's file, or the server cannot resume
        part.reset()
        raise AnswerTransient("HTTP 416: cannot resume, starting over")
    if status not in (200, 206):
        raise AnswerRefused(f"HTTP {status}")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise AnswerRefused("the server encoded the file although it was asked not to")
    if status == 206:
        return _check_range(response.headers.get("Content-Range", ""), part, size_bytes)
    if part.length:
        part.reset()
    announced = response.headers.get("Content-Length", "")
    if announced.isdigit() and int(announced) != size_bytes:
        # A login page sent with 200, or another file: refused before a byte of it is read.
        raise AnswerRefused(f"wrong bytes: the server announces {announced} bytes, the model has {size_bytes}")
    return True


def _check_range(text: str, part: Part, size_bytes: int) -> bool:
    match = _CONTENT_RANGE.fullmatch(text)
    if match is None or int(match[1]) != part.length:
        part.reset()
        raise AnswerTransient("the server answered with another range than asked for, starting over")
    if match[2] not in ("*", str(size_bytes)):
        raise AnswerRefused(f"wrong bytes: the server has {match[2]} bytes, the model has {size_bytes}")
    return part.length == 0
