"""The whole road with real processes: a job by key, its end, the message in the outbox, its delivery, all verified."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image
from standardwebhooks import Webhook

from tests.eventually import eventually
from tests.jobs.webhooks.receiver import Receiver, start_receiver, stop_receiver
from tests.service import Service, StartService
from tests.tiny_models import TINY_MODEL

pytestmark = pytest.mark.processes


@pytest.fixture
def hooks() -> Iterator[Receiver]:
    """A receiver without any settings of this process: the service has its own."""
    running = start_receiver()
    yield running
    stop_receiver(running)


def picture(color: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), color).save(buffer, "PNG")
    return buffer.getvalue()


def make_key(service: Service, *scopes: str) -> str:
    arguments = [argument for scope in scopes for argument in ("--scope", scope)]
    return service.manage("create_api_key", "test", "--quiet", *arguments).stdout.strip().splitlines()[-1]


@pytest.mark.slow
def test_keys_jobs_webhooks_and_limits_together(
    start_service: StartService, hooks: Receiver, tiny_weights: Path
) -> None:
    service = start_service(
        REQUIRE_API_KEY="1",
        WEBHOOK_ALLOW_PRIVATE="1",
        WEB_WORKERS="2",
        RATE_LIMIT_UPSCALE="6/day",
        DEFAULT_MODEL=TINY_MODEL,
    )
    service.import_model(tiny_weights, TINY_MODEL)
    ann, bob = make_key(service, "upscale", "manage"), make_key(service, "upscale")
    secret = service.manage("webhook_secret", "--key", ann[4:12]).stdout.strip().splitlines()[-1]
    as_ann, as_bob = {"Authorization": f"Bearer {ann}"}, {"X-API-Key": bob}
    with httpx.Client(base_url=f"{service.base_url}/api/v1", timeout=240) as client:
        assert client.get("/jobs").status_code == 401
        assert client.get("/health").status_code == 200

        # One job, and a receiver that fails at first: the second try comes by the sweep, five seconds later.
        answer = client.post(
            "/jobs",
            headers=as_ann,
            files={"image": ("red.png", picture("red"), "image/png")},
            data={"webhook_url": hooks.url("/flaky/1"), "webhook_events": "job.started,job.completed"},
        )
        assert answer.status_code in (200, 201, 202), answer.text
        job_id = answer.json()["job_id"]
        eventually(lambda: len(hooks.to("/flaky/1")) == 3, seconds=120)
        told = hooks.to("/flaky/1")
        events = {}
        for request in told:
            event = Webhook(secret).verify(request.body, request.headers)
            events[event["type"]] = event["data"]
        assert set(events) == {"job.started", "job.completed"}
        assert events["job.completed"]["job_id"] == job_id
        assert events["job.completed"]["status"] == "completed"
        assert len({request.headers["webhook-id"] for request in told}) == 2

        # A batch: each job's end, and the batch's end once, after the last.
        answer = client.post(
            "/upscale-batch",
            headers=as_ann,
            files=[("images", (f"{c}.png", picture(c), "image/png")) for c in ("green", "blue", "black")]
            + [("images", ("notes.txt", b"no picture", "text/plain"))],
            data={"webhook_url": hooks.url("/ok")},
        )
        assert answer.status_code in (200, 202), answer.text
        eventually(lambda: any(json.loads(r.body)["type"] == "batch.completed" for r in hooks.to("/ok")), seconds=120)
        eventually(lambda: len(hooks.to("/ok")) == 4, seconds=120)
        types = sorted(json.loads(request.body)["type"] for request in hooks.to("/ok"))
        assert types == ["batch.completed", "job.completed", "job.completed", "job.completed"]
        batch = next(json.loads(r.body)["data"] for r in hooks.to("/ok") if b"batch.completed" in r.body)
        assert (batch["total"], batch["rejected"], batch["counts"]) == (3, 1, {"completed": 3})

        # Everybody sees their own.
        assert client.get("/jobs", headers=as_ann).json()["total"] == 4
        assert client.get("/jobs", headers=as_bob).json()["total"] == 0
        assert client.get(f"/jobs/{job_id}/result", headers=as_bob).status_code == 404
        link = client.post(f"/jobs/{job_id}/links", headers=as_ann).json()["result_url"]
        assert httpx.get(service.base_url + link, timeout=240).content[:8] == b"\x89PNG\r\n\x1a\n"
        assert client.post("/cleanup?dry_run=true", headers=as_bob).status_code == 403
        assert client.post("/cleanup?dry_run=true", headers=as_ann).status_code == 200

        # Two submissions are spent; the limit holds over both web processes.
        codes = [client.post("/jobs", headers=as_ann).status_code for _ in range(12)]
        assert sorted(codes) == [422] * 4 + [429] * 8
        assert client.post("/jobs", headers=as_bob).status_code == 422
