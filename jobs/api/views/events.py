"""Progress as server-sent events (WHATWG HTML, 9.2): GET /jobs/{id}/events."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils import translation
from rest_framework.request import Request

from jobs.api.docs import jobs as docs
from jobs.api.views import responses
from jobs.api.views.base import ApiViewSet, find_job
from jobs.errors import WaitersExceeded
from jobs.progress.events import JobEvent, Position, news
from jobs.progress.hub import Subscription, hub
from jobs.states import TERMINAL, Status

HEARTBEAT_SECONDS = 15.0
#: Seconds between two events at least: a tile can take a millisecond.
STEP_SECONDS = 0.2
#: Seconds between two looks at a waiting job's place.
QUEUE_SECONDS = 2.0
RECONNECT_MILLISECONDS = 2000
_RETRY = f"retry: {RECONNECT_MILLISECONDS}\n\n".encode()

_lock = threading.Lock()
_open_streams = 0


class EventViewSet(ApiViewSet):
    """The event stream of a job."""

    @docs.EVENTS
    def stream(self, request: Request, job_id: str) -> HttpResponseBase:
        """Tell what happens to the job until it ends; ``Last-Event-ID`` continues where a broken stream stopped."""
        job = find_job(request, job_id)
        seen = Position.parse(request.headers.get("Last-Event-ID", ""))
        fresh = news(job, seen)
        if job.status in TERMINAL and not fresh:
            return HttpResponse(status=204)  # stops an EventSource, which otherwise reconnects after every end
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        if request.method == "HEAD":
            return HttpResponse(content_type="text/event-stream", headers=headers)
        return StreamingHttpResponse(EventStream(job.id, seen), content_type="text/event-stream", headers=headers)


class EventStream:
    """An iterator of the stream's pieces. It holds a place in the waiting room from its birth to its ``close()``.

    Streams may take half of the room, so that they never keep those out who wait for a picture. Raises WaitersExceeded.
    """

    def __init__(self, job_id: UUID, seen: Position | None) -> None:
        global _open_streams  # noqa: PLW0603 - one counter for all threads of the process
        self.job_id = job_id
        self.seen = seen
        self._place: int | None = None  # in the queue, as the reader knows it
        self._held = ExitStack()
        with _lock:
            limit = max(1, settings.MAX_WAITING_REQUESTS // 2)
            if _open_streams >= limit:
                raise WaitersExceeded(f"{limit} event streams are open already; ask GET /jobs/{job_id} instead")
            _open_streams += 1
        self._held.callback(_leave)
        try:
            self._waiter: Subscription = self._held.enter_context(hub.subscribe(job_id))
        except BaseException:
            self._held.close()
            raise
        self._language = translation.get_language() or settings.LANGUAGE_CODE  # each step may run in another thread
        self._pieces = self._run()

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def close(self) -> None:
        """Leave the waiting room. Django calls this when the response ends, also when its reader went away."""
        self._held.close()

    def _run(self) -> Iterator[bytes]:
        yield _RETRY
        spoken = time.monotonic()
        while True:
            job = self._waiter.read()
            if job is None:
                yield b"event: deleted\ndata: {}\n\n"
                return
            events = news(job, self.seen)
            with translation.override(self._language):
                shape = responses.detail(job) if events or job.status == Status.QUEUED else {}
            pieces = [_written(shape, event) for event in events]
            moved = None if pieces else self._moved(shape)
            self._place = shape.get("queue_position")  # the reader knows it now
            if not connection.in_atomic_block:
                # A hundred readers must not hold a hundred connections while nothing happens; and before the pieces go
                # out, because the next step of this iterator may run in another thread.
                connection.close()
            for event, piece in zip(events, pieces, strict=True):
                self.seen = event.place
                spoken = time.monotonic()
                yield piece
                if event.last:
                    return
            if moved:
                spoken = time.monotonic()
                yield moved
            if hub.draining:
                yield _RETRY  # an EventSource reconnects with its Last-Event-ID, to the process that replaces this one
                return
            left = HEARTBEAT_SECONDS - (time.monotonic() - spoken)
            told = self._waiter.wait(min(left, QUEUE_SECONDS) if job.status == Status.QUEUED else left)
            if not told and time.monotonic() - spoken >= HEARTBEAT_SECONDS:
                spoken = time.monotonic()
                yield b": still here\n\n"  # keeps proxies from closing the connection, and detects readers that left
            elif told:
                time.sleep(max(0.0, STEP_SECONDS - (time.monotonic() - spoken)))

    def _moved(self, shape: dict[str, Any]) -> bytes | None:
        """Return the event that tells a waiting job's new place; it is no point in the job's life, and has no id."""
        if shape.get("queue_position") in (None, self._place):
            return None
        return f"event: queue\ndata: {json.dumps(shape, separators=(',', ':'), default=str)}\n\n".encode()


def _leave() -> None:
    global _open_streams  # noqa: PLW0603 - as above
    with _lock:
        _open_streams -= 1


def _written(shape: dict[str, Any], event: JobEvent) -> bytes:
    data = json.dumps({**shape, **event.then}, separators=(",", ":"), default=str)
    return f"id: {event.place}\nevent: {event.name}\ndata: {data}\n\n".encode()
