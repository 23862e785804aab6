"""A web process that is told to stop sends everybody on to its successor, and versions understand each other."""

import json
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx
import psutil

from tests.api.conftest import picture
from tests.eventually import eventually
from tests.processes import has_ended
from tests.upscaler_site.web.conftest import Line, StartWeb, WebServer

#: A living worker of another version that never takes a job: who waits, waits.
BUSY_WORKER = """
from datetime import timedelta
from django.utils import timezone
from jobs.models import Worker
later = timezone.now() + timedelta(hours=1)
Worker.objects.create(id="gpu@elsewhere:1-abc", cluster="gpu", host="elsewhere", pid=1, device="cpu", version="99.1",
                      started_at=timezone.now(), seen_at=later)
"""


class Callers:
    """Calls of POST /upscale in threads, and what they were answered."""

    def __init__(self, server: WebServer, count: int) -> None:
        self.answers: list[httpx.Response] = []
        self.errors: list[Exception] = []
        self._server = server
        self._threads = [threading.Thread(target=self._call, args=(number,)) for number in range(count)]
        for thread in self._threads:
            thread.start()

    def _call(self, number: int) -> None:
        files, form = {"image": picture(12 + number)}, {"model": "bundled-compact-x4"}
        try:
            with self._server.client() as client:
                self.answers.append(client.post("/api/v1/upscale", files=files, data=form))
        except httpx.HTTPError as error:
            self.errors.append(error)

    def join(self) -> None:
        for thread in self._threads:
            thread.join(240)


def stop_web_process(server: WebServer) -> psutil.Process:
    """Tell the web server's first process to stop, as its supervisor does; return it."""
    (main,) = [
        process
        for process in server.processes()
        if process.cmdline()[-1:] == ["upscaler_site.web.server"]
        and "upscaler_site.process.launcher" not in process.cmdline()
    ]
    main.send_signal(signal.SIGTERM)
    return main


def jobs(server: WebServer) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = httpx.get(f"{server.base_url}/api/v1/jobs", timeout=240).json()["jobs"]
    return listed


def test_who_waits_is_told_where_its_picture_will_be(start_web: StartWeb) -> None:
    server = start_web(SYNC_WAIT_SECONDS="600", STOP_GRACE_SECONDS="60")
    server.manage("shell", "-c", BUSY_WORKER)
    callers = Callers(server, 20)
    eventually(lambda: len(jobs(server)) == 20, say="all 20 jobs")
    with Line(server) as events:
        head = f"GET /api/v1/jobs/{jobs(server)[0]['job_id']}/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
        events.socket.sendall(head.encode())
        eventually(received(events, b"event: queued"), say="the stream's first event")
        old = stop_web_process(server)
        callers.join()
        eventually(received(events, b"retry: 2000\n\n", times=2), say="the stream's hint to come back")
        eventually(received(events, b"0\r\n\r\n"), say="the stream's end")
    assert callers.errors == []
    assert [answer.status_code for answer in callers.answers] == [202] * 20
    eventually(lambda: has_ended(old), say="the old process's end")
    eventually(server.answers, say="its successor")
    with server.client() as client:
        for answer in callers.answers:
            assert client.get(answer.headers["Location"]).json()["status"] == "queued"
            assert answer.headers["Connection"] == "close"


def test_who_waits_for_a_worker_is_told_too(start_web: StartWeb) -> None:
    server = start_web(SYNC_WAIT_SECONDS="600", STOP_GRACE_SECONDS="60")
    callers = Callers(server, 3)
    eventually(lambda: held_requests(server) == 3, say="three requests that wait")
    stop_web_process(server)
    callers.join()
    assert callers.errors == []
    assert [answer.status_code for answer in callers.answers] == [202] * 3


def held_requests(server: WebServer) -> int:
    """How many connections of callers the web process has open."""
    connections = [each for process in server.serving_processes() for each in process.net_connections("inet4")]
    return sum(each.status == "ESTABLISHED" and each.laddr.port == server.port for each in connections)


def received(line: Line, text: bytes, *, times: int = 1) -> Callable[[], bool]:
    """A look at whether ``text`` has come on the connection, so many times in all."""

    def look() -> bool:
        line.socket.settimeout(0.05)
        with suppress(TimeoutError):
            line._read += line.socket.recv(65_536)
        return line._read.count(text) >= times

    return look


#: What a later version may leave in the database of this one: columns, an option, a worker.
LATER = """
from django.db import connection
from jobs.models import Job
with connection.cursor() as cursor:
    for table in ("jobs_job", "jobs_worker", "jobs_batch"):
        cursor.execute(f"ALTER TABLE {table} ADD COLUMN later_needed text NOT NULL DEFAULT 'new'")
        cursor.execute(f"ALTER TABLE {table} ADD COLUMN later_free jsonb")
    cursor.execute("UPDATE jobs_job SET options = options || '{\\"later_option\\": [1, {\\"deep\\": true}]}'")
"""


def test_what_a_later_version_wrote_harms_nobody(start_web: StartWeb) -> None:
    server = start_web()
    with server.client() as client:

        def submit() -> str:
            form = {"model": "bundled-compact-x4", "format": "webp"}
            answer = client.post("/api/v1/jobs", files={"image": picture()}, data=form)
            assert answer.status_code == 202, answer.text
            return str(answer.headers["Location"])

        before = submit()
        server.manage("shell", "-c", LATER)
        server.manage("shell", "-c", BUSY_WORKER)
        assert client.get(before).json()["options"]["format"] == "webp"
        after = submit()
        batch = client.post("/api/v1/upscale-batch", files={"images": picture()}, data={"model": "bundled-compact-x4"})
        assert batch.status_code == 202, batch.text
        assert client.get("/api/v1/health/ready").status_code in (200, 503)
        assert client.post(f"{before}/cancel").json()["status"] == "cancelled"
        assert client.post(f"{before}/retry").status_code < 300
        assert client.delete(after).status_code == 200
        assert json.dumps(client.get("/api/v1/jobs").json()).count("job_id") >= 2
