"""Server-sent events: the job's life, replay, heartbeats, the end."""

import json
from collections.abc import Iterator
from typing import Any

import httpx

from tests.api.conftest import is_error, picture
from tests.tiny_models import TINY_MODEL


def stream(api: httpx.Client, job_id: str, last: str = "") -> Iterator[dict[str, Any]]:
    """The events of a job until the stream ends; comments are dropped."""
    headers = {"Last-Event-ID": last} if last else {}
    with api.stream("GET", f"/jobs/{job_id}/events", headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["Content-Type"].startswith("text/event-stream")
        event: dict[str, Any] = {}
        for line in response.iter_lines():
            if not line and "event" in event:
                yield event
            if not line:
                event = {}
            elif not line.startswith(":"):
                name, _, value = line.partition(": ")
                event[name] = json.loads(value) if name == "data" else value


def test_a_life_from_queue_to_end(api: httpx.Client) -> None:
    job_id = api.post("/jobs", files={"image": picture()}, data={"model": TINY_MODEL}).json()["job_id"]
    events = list(stream(api, job_id))
    names = [event["event"] for event in events]
    assert names[0] == "queued"
    assert names[-1] == "completed"
    assert events[-1]["data"]["result_width"] == 24
    assert all(event["data"]["job_id"] == job_id for event in events)
    assert [event["data"]["status"] for event in events if event["event"] != "progress"] == [
        n for n in names if n != "progress"
    ]


def test_progress_is_told_while_it_happens(api: httpx.Client, slow_job: dict[str, Any]) -> None:
    seen = []
    for event in stream(api, slow_job["job_id"]):
        if event["event"] == "progress":
            seen.append(event["data"]["progress"]["tiles_done"])
        if len(seen) == 3:
            api.post(f"/jobs/{slow_job['job_id']}/cancel")
    assert seen == sorted(set(seen)), "each step once, forwards"
    assert len(seen) >= 3
    assert event["event"] == "cancelled"


def test_a_reader_that_comes_back_gets_what_it_missed(api: httpx.Client) -> None:
    job_id = api.post("/jobs", files={"image": picture()}, data={"model": TINY_MODEL}).json()["job_id"]
    events = list(stream(api, job_id))
    later = list(stream(api, job_id, last=events[0]["id"]))
    assert [event["event"] for event in later if event["event"] != "progress"] == ["processing", "completed"]
    over = api.get(f"/jobs/{job_id}/events", headers={"Last-Event-ID": events[-1]["id"]})
    assert over.status_code == 204, "an EventSource stops reconnecting"
    assert [event["event"] for event in stream(api, job_id, last="nonsense")][-1] == "completed"


def test_there_is_no_stream_of_an_unknown_job(api: httpx.Client) -> None:
    assert is_error(api.get("/jobs/nope/events"), 404, "job_not_found")


def test_a_waiting_job_is_told_its_place_when_it_changes(api: httpx.Client, slow_job: dict[str, Any]) -> None:
    def post(**more: str) -> str:
        sent = api.post("/jobs", files={"image": picture()}, data={"model": TINY_MODEL, "reuse": "false", **more})
        return str(sent.json()["job_id"])

    first, second = post(), post()
    places = []
    for event in stream(api, second):
        places.append((event["event"], event["data"]["queue_position"]))
        if places[-1] == ("queued", 2):
            api.post(f"/jobs/{first}/cancel")
        elif event["event"] == "queue":
            assert "id" not in event, "it is no point in the job's life to come back to"
            api.post(f"/jobs/{second}/cancel")
    assert places == [("queued", 2), ("queue", 1), ("cancelled", None)]
    assert slow_job["job_id"]
