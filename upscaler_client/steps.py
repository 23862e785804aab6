"""Steps of a call, for whoever performs it: one HTTP exchange, or a pause; and who takes in an answer's bytes."""

import hashlib
import json
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any, Protocol, TypeVar

import httpx

from upscaler_client.errors import BadAnswer

#: No JSON answer of the service comes near; another server's page must not fill the memory.
MOST_BYTES = 32_000_000


@dataclass(frozen=True)
class Answer:
    """An answer whose bytes somebody has taken."""

    status: int = 200
    headers: httpx.Headers = field(default_factory=httpx.Headers)
    body: bytes = b""

    def json(self) -> Any:
        """Return the body as JSON. Raises BadAnswer."""
        try:
            return json.loads(self.body)
        except ValueError:
            kind = self.headers.get("Content-Type", "no type")
            raise BadAnswer(f"The answer is no JSON but {kind}; is this the service?", status=self.status) from None


class Taker(Protocol):
    """Takes in the body of an answer that is what was asked for."""

    def begin(self, answer: Answer) -> bool:
        """Return whether this answer is for it; all others are read as errors."""

    def take(self, chunk: bytes) -> bool:
        """Take some bytes; return whether there is need of more."""


@dataclass(frozen=True)
class Pause:
    """Wait that many seconds."""

    seconds: float


@dataclass(frozen=True)
class Ask:
    """One HTTP exchange."""

    method: str
    path: str  # below the service's address
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, Any] | None = None
    file: tuple[str, IO[bytes] | bytes] | None = None  # name and content of the form's field "image"
    json: Any = None
    taker: Taker | None = None
    silence: float | None = None  # seconds without a byte; None: the client's
    seconds: float = 300.0  # from the answer's head to its end

    def request(self, http: httpx.Client | httpx.AsyncClient) -> httpx.Request:
        """Build the request. A file is read from its start again, whoever sent it before."""
        more: dict[str, Any] = {}
        if self.silence is not None:
            usual = http.timeout
            more["timeout"] = httpx.Timeout(
                connect=usual.connect, read=self.silence, write=usual.write, pool=usual.pool
            )
        if self.file is not None:
            more["files"] = {"image": self.file}
        return http.build_request(
            self.method, self.path, params=self.params, headers=self.headers, data=self.data, json=self.json, **more
        )


class Reading:
    """The reading of one answer, to its end or to the end of its time."""

    def __init__(self, ask: Ask, response: httpx.Response) -> None:
        self._until = time.monotonic() + ask.seconds
        self._head = Answer(response.status_code, response.headers)
        self._taker = ask.taker if ask.taker is not None and ask.taker.begin(self._head) else None
        self._body = bytearray()

    def take(self, chunk: bytes) -> bool:
        """Take some bytes; return whether there is need of more. Raises httpx.ReadTimeout, BadAnswer."""
        if time.monotonic() > self._until:
            raise httpx.ReadTimeout("the answer took too long from its head to its end")
        if self._taker is not None:
            return self._taker.take(chunk)
        self._body += chunk
        if len(self._body) > MOST_BYTES:
            raise BadAnswer("The answer does not end; is this the service?", status=self._head.status)
        return True

    def answer(self) -> Answer:
        """Return what was read."""
        return Answer(self._head.status, self._head.headers, bytes(self._body))


class Sink:
    """Writes a file's bytes and knows their digest; after a break it asks for the rest only."""

    def __init__(self, file: IO[bytes], etag: str) -> None:
        self.file, self.etag, self.size = file, f'"{etag}"', 0
        self.digest = hashlib.sha256()

    def headers(self) -> dict[str, str]:
        """Return what asks for the bytes that are missing."""
        rest = {"Range": f"bytes={self.size}-", "If-Range": self.etag} if self.size else {}
        return {"Accept-Encoding": "identity", **rest}

    def begin(self, answer: Answer) -> bool:
        """Start anew where the whole file comes, go on where the rest comes."""
        if answer.status == 200:
            self.file.seek(0)
            self.file.truncate()
            self.size, self.digest = 0, hashlib.sha256()
            return True
        return answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {self.size}-")

    def take(self, chunk: bytes) -> bool:
        """Write; more is always welcome."""
        self.file.write(chunk)
        self.digest.update(chunk)
        self.size += len(chunk)
        return True


class Events:
    """Reads server-sent events (WHATWG HTML, 9.2.6), each handed to ``hear``, which returns whether it wants more."""

    def __init__(self, hear: Callable[[str, str], bool]) -> None:
        self.last_id = ""
        self._hear = hear
        self._line, self._name, self._data = bytearray(), "", ""

    def begin(self, answer: Answer) -> bool:
        """Hear a stream of events and nothing else."""
        self._line, self._name, self._data = bytearray(), "", ""
        return answer.status == 200 and answer.headers.get("Content-Type", "").startswith("text/event-stream")

    def take(self, chunk: bytes) -> bool:
        """Take some bytes; tell every event that is whole with them."""
        self._line += chunk
        if len(self._line) > MOST_BYTES:
            raise BadAnswer("A line of the event stream does not end")
        *lines, rest = self._line.split(b"\n")
        self._line = bytearray(rest)
        return all(self._take_line(line.decode("utf-8", "replace").rstrip("\r")) for line in lines)

    def _take_line(self, line: str) -> bool:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            self.last_id = value
        elif name == "event":
            self._name = value
        elif name == "data":
            self._data += value
        elif not line and self._data:
            heard, self._name, self._data = (self._name, self._data), "", ""
            return self._hear(*heard)
        return True


T = TypeVar("T")
#: A call: yields steps, gets the answer of each, returns what it is for. Errors of httpx are thrown into it.
Call = Generator[Ask | Pause, Answer, T]
