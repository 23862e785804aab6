"""priority=high|normal|low: who may go before all others, and where everybody else goes."""

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from pytest_django.fixtures import Settings

from jobs.auth import api_keys
from jobs.models import ApiKey, Job
from jobs.states import Priority
from modelstore.models import Model
from tests.jobs.conftest import picture
from tests.staff import member

MakeKey = Callable[..., tuple[ApiKey, dict[str, str]]]


def send(client: Client, model: Model, priority: str, path: str = "jobs", **more: Any) -> Any:
    field = "images" if path == "upscale-batch" else "image"
    form = {field: picture(), "model": model.name, "priority": priority}
    return client.post(f"/api/v1/{path}", form, **more)


@pytest.mark.parametrize(
    ("path", "priority", "becomes"),
    [
        ("jobs", "normal", Priority.ASYNC),
        ("jobs", "low", Priority.BATCH),
        ("jobs", "high", Priority.HIGH),
        ("upscale-batch", "normal", Priority.BATCH),
        ("upscale-batch", "high", Priority.HIGH),
    ],
)
def test_where_keys_are_off_everybody_chooses(
    client: Client, model: Model, path: str, priority: str, becomes: Priority
) -> None:
    assert send(client, model, priority, path).status_code == 202
    assert Job.objects.get().priority == becomes


def test_the_queue_is_served_in_that_order(client: Client, model: Model) -> None:
    names = [send(client, model, priority).json()["job_id"] for priority in ("low", "normal", "high")]
    assert [str(job.pk) for job in Job.objects.waiting()] == names[::-1]
    positions = [client.get(f"/api/v1/jobs/{name}").json()["queue_position"] for name in names]
    assert positions == [3, 2, 1]


def test_high_needs_a_key_that_may(
    client: Client, model: Model, make_key: MakeKey, settings: Settings, data_dir: Any
) -> None:
    settings.REQUIRE_API_KEY = True
    key, headers = make_key()
    refused = send(client, model, "high", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "priority_refused")
    assert not Job.objects.exists()
    assert not [path for path in (data_dir / "files").rglob("*") if path.is_file()]
    assert send(client, model, "low", headers=headers).status_code == 202
    call_command("create_api_key", "urgent", "--high-priority", "yes", "--quiet", stdout=(out := StringIO()))
    other = {"Authorization": f"Bearer {out.getvalue().strip()}"}
    assert send(client, model, "high", headers=other).status_code == 202
    api_keys.change(key, high_priority=True)
    assert send(client, model, "high", headers=headers).status_code == 202


def test_an_estimate_counts_what_lies_before_a_picture_of_that_priority(
    client: Client, model: Model, make_key: MakeKey, settings: Settings
) -> None:
    for priority in ("low", "low", "normal"):
        send(client, model, priority)
    asked: dict[str, str | int] = {"model": model.name, "input_width": 10, "input_height": 10}

    def ahead(priority: str) -> int:
        told = client.get("/api/v1/estimate", {**asked, "priority": priority}).json()
        return int(told["jobs_ahead"])

    assert [ahead(priority) for priority in ("high", "normal", "low")] == [0, 1, 3]
    settings.REQUIRE_API_KEY = True
    _, headers = make_key()
    refused = client.get("/api/v1/estimate", {**asked, "priority": "high"}, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "priority_refused")


def test_staff_may(client: Client, model: Model, settings: Settings) -> None:
    settings.REQUIRE_API_KEY = True
    client.force_login(member("Viewers"))
    assert send(client, model, "high").status_code == 202


def test_another_word_is_refused_with_those_that_there_are(client: Client, model: Model) -> None:
    refused = send(client, model, "hihg")
    assert refused.status_code == 422
    assert "high" in str(refused.json()["errors"])
