"""One file from the first source that has it: streamed, resumed, bounded in time and size, verified, renamed.

A source is believed in nothing: the size and the SHA-256 digest of the file are known beforehand. No Django in here.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from modelstore import safe_http
from modelstore.backoff import Backoff
from modelstore.downloads.http_response import AnswerRefused, AnswerTransient, AnswerUnreachable, read_into
from modelstore.errors import DownloadFailed, DownloadStopped
from modelstore.storage.partial_file import Part

logger = logging.getLogger(__name__)

#: The longest pause between two tries, whatever the server's Retry-After asks for.
MAX_PAUSE_SECONDS = 60.0


@dataclass(frozen=True)
class Source:
    """An address of the file. ``label`` names it in messages."""

    label: str
    url: str
    public_only: bool = False  # https to public addresses, and no proxy: for addresses of others than the operator

    @property
    def server(self) -> str:
        """Scheme, host and port."""
        return "/".join(self.url.split("/", 3)[:3])


@dataclass(frozen=True)
class Bounds:
    """The limits of a download. Tries count per source, and a try that brought new bytes does not count."""

    total_seconds: float
    stall_seconds: float
    retries: int
    connect_seconds: float = 15.0
    first_pause_seconds: float = 1.0


@dataclass(frozen=True)
class Fetched:
    """The result of a download. ``notes`` say which sources failed before ``source`` succeeded, and why."""

    source: Source
    received_bytes: int
    notes: tuple[str, ...]


def fetch(
    sources: Sequence[Source],
    destination: Path,
    *,
    size_bytes: int,
    sha256: str,
    bounds: Bounds,
    token: str,
    on_progress: Callable[[int], None],
    stopped: threading.Event,
) -> Fetched:
    """Bring the file of exactly ``size_bytes`` and ``sha256`` to ``destination``, or raise and leave that place alone.

    Proxy variables (HTTPS_PROXY, NO_PROXY …) and SSL_CERT_FILE are honoured.

    :param token: names this writer's ``.part`` file. What an earlier writer left is taken over.
    :param on_progress: called with the bytes that are here so far, after every block; must be quick.
    :param stopped: set by another thread to break off; noticed at the next block, or at once during a pause.
    :raises DownloadFailed: no source had the right bytes in time. What was received is kept when it may be right.
    :raises DownloadStopped: ``stopped`` was set.
    """
    deadline = time.monotonic() + bounds.total_seconds
    notes: list[str] = []
    unreachable: set[str] = set()
    received = 0
    with (
        Part(destination, token) as part,
        _client(bounds, public_only=False) as plain,
        _client(bounds, public_only=True) as careful,
    ):
        part.adopt(at_most=size_bytes)

        def note_progress(new_bytes: int) -> None:
            nonlocal received
            received += new_bytes
            on_progress(part.length)
            if stopped.is_set():
                raise DownloadStopped("the download was stopped")
            if time.monotonic() > deadline:
                raise AnswerTransient(f"not finished within {bounds.total_seconds:g} s")

        on_progress(part.length)
        for source in sources:
            if source.server in unreachable:
                continue  # without a network, further tries only take time
            client = careful if source.public_only else plain
            try:
                _fetch_from(client, source, part, size_bytes, sha256, bounds, deadline, note_progress, stopped)
            except AnswerRefused as refusal:
                part.reset()  # refused bytes must not be resumed by the next source
                notes.append(f"{source.label}: {refusal}")
            except AnswerTransient as failure:
                notes.append(f"{source.label}: {failure}")
                if isinstance(failure, AnswerUnreachable):
                    unreachable.add(source.server)
            else:
                part.accept()
                return Fetched(source, received, tuple(notes))
            logger.warning("download source failed file=%s %s", destination.name, notes[-1])
            if time.monotonic() > deadline:
                break
        if part.length == 0:
            part.discard()
    raise DownloadFailed(
        notes or ["there is no source for this model"],
        unreachable=bool(sources) and all(source.server in unreachable for source in sources),
    )


def _client(bounds: Bounds, *, public_only: bool) -> httpx.Client:
    timeout = httpx.Timeout(bounds.stall_seconds, connect=min(bounds.connect_seconds, bounds.stall_seconds))
    headers = {"User-Agent": "upscaler-model-store", "Accept-Encoding": "identity"}
    careful: dict[str, Any] = {
        "transport": safe_http.transport(bounds.total_seconds),
        "event_hooks": {"request": [_require_https]},
    }
    return httpx.Client(
        timeout=timeout,
        follow_redirects=True,
        max_redirects=5,
        headers=headers,
        **(careful if public_only else {}),
    )


def _require_https(request: httpx.Request) -> None:
    """Refuse what is not https: the address itself, and every redirect."""
    if request.url.scheme != "https":
        raise httpx.UnsupportedProtocol(f"{request.url.host} is to be reached by https", request=request)


def _fetch_from(
    client: httpx.Client,
    source: Source,
    part: Part,
    size_bytes: int,
    sha256: str,
    bounds: Bounds,
    deadline: float,
    on_block: Callable[[int], None],
    stopped: threading.Event,
) -> None:
    """Fill ``part`` from one source and check it, trying again after failures that may heal."""
    fruitless = 0
    backoff = Backoff(bounds.first_pause_seconds, MAX_PAUSE_SECONDS, jitter=0.25)
    own = part.length == 0  # True: every byte of the file will be this source's
    while True:
        before = part.length
        try:
            if part.length < size_bytes:
                own = read_into(part, client, source.url, size_bytes, on_block) or own
            if part.sha256 == sha256:
                return
            if own:
                raise AnswerRefused(f"wrong bytes: the SHA-256 is {part.sha256[:12]}…, not {sha256[:12]}…")
            # The wrong bytes may be an earlier source's: let this one send the whole file.
            part.reset()
            own = True
            logger.warning(
                "resumed file was wrong, starting over file=%s source=%s", part.destination.name, source.label
            )
            continue
        except AnswerTransient as failure:
            fruitless = 0 if part.length > before else fruitless + 1
            if not fruitless:
                backoff.reset()
            remaining = deadline - time.monotonic()
            if remaining <= 0 or fruitless > bounds.retries:
                raise
            pause = backoff.next() if failure.retry_after is None else failure.retry_after
            if stopped.wait(min(pause, MAX_PAUSE_SECONDS, remaining)):
                raise DownloadStopped("the download was stopped") from failure
