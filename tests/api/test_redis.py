"""The whole service with its messages over Redis: callers who wait, event streams, and Redis killed under them."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.api.conftest import picture
from tests.api.test_events import stream
from tests.eventually import eventually
from tests.redis_server import RedisServer
from tests.service import Service, StartService
from tests.tiny_models import TINY_MODEL, write_tiny_weights

EVENTS = "upscaler:job_events"


@pytest.fixture
def over_redis(start_service: StartService, redis_server: RedisServer, tmp_path: Path) -> Service:
    """A service with the tiny model and a slow one."""
    service = start_service(BROKER_URL=redis_server.url)
    service.import_model(write_tiny_weights(tmp_path / "tiny.safetensors"), TINY_MODEL)
    service.import_model(write_tiny_weights(tmp_path / "slow.safetensors", features=64, convolutions=32), "slow-x2")
    return service


@pytest.fixture
def api(over_redis: Service) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{over_redis.base_url}/api/v1", timeout=240) as client:
        yield client


def upscaled(api: httpx.Client, color: int) -> int:
    sent = {"image": picture(color=(color, color, color))}
    return api.post("/upscale", files=sent, data={"model": TINY_MODEL}).status_code


def test_waiting_callers_and_streams_are_told_over_redis_and_miss_nothing_without_it(
    over_redis: Service, api: httpx.Client, redis_server: RedisServer
) -> None:
    assert upscaled(api, 10) == 200
    assert redis_server.listeners(EVENTS) == 1, "the waiting room listens"
    slow = {"model": "slow-x2", "tile_size": "64"}
    job_id = api.post("/jobs", files={"image": ("big.png", picture(900, 900))}, data=slow).json()["job_id"]
    seen = []
    for event in stream(api, job_id):
        if event["event"] == "progress":
            seen.append(event["data"]["progress"]["tiles_done"])
        if len(seen) == 2:
            redis_server.kill()
        if len(seen) == 4:
            api.post(f"/jobs/{job_id}/cancel")
    assert event["event"] == "cancelled"
    assert seen == sorted(set(seen)), "each step once, forwards"
    for color in (20, 30, 40):
        assert upscaled(api, color) == 200
    checks = api.get("/health/ready").json()
    assert checks["ready"]
    assert "Redis does not answer" in str(checks)
    redis_server.start()
    eventually(lambda: "Redis answers" in api.get("/health/ready").text, say="the web process is back")
    assert upscaled(api, 50) == 200
    redis_server.freeze()
    assert upscaled(api, 60) == 200
    redis_server.thaw()
    assert upscaled(api, 70) == 200
    assert "Redis answers again" in over_redis.output()
