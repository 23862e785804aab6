"""GET /usage: whose usage is told to whom, by what, and for which days."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from pytest_django.fixtures import Settings

from jobs.api.serializers import usage
from jobs.models import ApiKey, UsageEntry, UsageNote
from tests.jobs import made
from tests.staff import staff_with

pytestmark = pytest.mark.django_db

MakeKey = Callable[..., tuple[ApiKey, dict[str, str]]]


def told(client: Client, query: str = "", **headers: str) -> dict[str, Any]:
    answer = client.get(f"/api/v1/usage{query}", headers=headers)
    assert answer.status_code == 200, answer.content
    assert answer.headers["Cache-Control"] == "no-store"
    shape: dict[str, Any] = answer.json()
    return shape


def test_days_have_rows_and_the_totals_stand_beside_them(client: Client) -> None:
    made.completed()
    made.failed()
    UsageEntry.objects.fold()
    made.completed()
    shape = told(client)
    today = UsageEntry.objects.today()
    assert (shape["from"], shape["to"]) == ((today - timedelta(days=29)).isoformat(), today.isoformat())
    (row,) = shape["rows"]
    assert row == {"day": today.isoformat(), **shape["totals"]}
    assert (shape["totals"]["jobs_completed"], shape["totals"]["jobs_failed"]) == (2, 1)
    assert shape["totals"]["input_megapixels"] == pytest.approx(2 * 48 * 32 / 1e6)
    assert shape["totals"]["device_seconds"] >= 3.0
    assert shape["totals"]["result_bytes"] == 2 * 4321


def test_rows_are_grouped_by_what_was_asked_for(client: Client, make_key: MakeKey) -> None:
    key, _ = make_key()
    made.completed(api_key=key)
    made.completed(model="a+b")
    made.failed(model="a+b")
    shape = told(client, "?group_by=model,device,key")
    assert shape["group_by"] == ["model", "device", "key"]
    found = [(r["model"], r["device"], r["key"], r["key_name"], r["jobs_completed"]) for r in shape["rows"]]
    assert found == [
        ("a+b", None, None, None, 0),
        ("a+b", "cpu", None, None, 1),
        ("tiny-x2", "cpu", key.prefix, "test", 1),
    ]
    assert told(client, "?group_by=model,model")["group_by"] == ["model"]
    assert told(client, "?group_by=%20key,%20device")["group_by"] == ["key", "device"]
    alone = told(client, "?group_by=")["rows"]
    assert [row["jobs_completed"] for row in alone] == [2]
    assert "day" not in alone[0]


def test_a_key_has_the_name_that_it_has_now_or_had_last(client: Client, make_key: MakeKey) -> None:
    key, _ = make_key()
    made.completed(api_key=key)
    ApiKey.objects.update(name="renamed")
    assert [row["key_name"] for row in told(client, "?group_by=key")["rows"]] == ["renamed"]
    ApiKey.objects.all().delete()
    assert [row["key_name"] for row in told(client, "?group_by=key")["rows"]] == ["test"]


def test_only_the_days_that_were_asked_for_are_told(client: Client) -> None:
    today = UsageEntry.objects.today()
    for ago in (0, 1, 40):
        made.completed()
        UsageNote.objects.filter(pk=UsageNote.objects.latest("id").pk).update(day=today - timedelta(days=ago))
    assert told(client)["totals"]["jobs_completed"] == 2
    yesterday = today - timedelta(days=1)
    assert [row["day"] for row in told(client, f"?from={yesterday}&to={yesterday}")["rows"]] == [str(yesterday)]
    assert told(client, f"?to={yesterday}")["totals"]["jobs_completed"] == 1
    assert told(client, f"?from={today - timedelta(days=365)}")["totals"]["jobs_completed"] == 3
    empty = told(client, "?from=2001-01-01&to=2001-01-31")
    assert (empty["rows"], empty["totals"]["jobs_completed"]) == ([], 0)
    assert told(client, "?to=0001-01-05")["from"] == "0001-01-01"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("from=yesterday", "from"), ("to=2025-02-30", "to"), ("from=2025-02-02&to=2025-02-01", "from"),
        ("from=2024-01-01&to=2025-01-01", "from"), ("from=9999-01-01", "from"), ("group_by=hour", "group_by"),
        ("group_by=day,", "group_by"), ("group_by=%20", "group_by"), ("days=3", "days"),
        ("from=2025-01-01&from=2025-01-02", "from"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_by_name(query: str, field: str, client: Client) -> None:
    answer = client.get(f"/api/v1/usage?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_an_answer_has_a_bound(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.api.views.usage.MOST_ROWS", 2)
    for number in range(3):
        made.completed(model=f"m{number}")
    answer = client.get("/api/v1/usage?group_by=model")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "group_by")
    assert "more than 2 rows" in answer.json()["detail"]
    assert told(client, "?group_by=device")["totals"]["jobs_completed"] == 3


def test_a_key_sees_its_own_usage_and_one_that_manages_everybodys(
    client: Client, make_key: MakeKey, settings: Settings
) -> None:
    settings.REQUIRE_API_KEY = True
    mine, header = make_key()
    other, _ = make_key()
    _, managing = make_key("upscale", "manage")
    for key in (mine, other, other, None):
        made.completed(api_key=key)
    own = told(client, "?group_by=key", **header)
    assert [(row["key"], row["jobs_completed"]) for row in own["rows"]] == [(mine.prefix, 1)]
    assert own["totals"]["jobs_completed"] == 1
    assert told(client, **managing)["totals"]["jobs_completed"] == 4
    assert client.get("/api/v1/usage").status_code == 401


def test_staff_need_the_right_to_see_usage(client: Client, settings: Settings, data_dir: object) -> None:
    settings.REQUIRE_API_KEY = True
    made.completed()
    assert staff_with(client, "view_usageentry").get("/api/v1/usage").json()["totals"]["jobs_completed"] == 1
    from django.contrib.auth.models import User

    User.objects.all().delete()
    assert staff_with(Client(), "view_job").get("/api/v1/usage").status_code == 403


def test_without_required_keys_everybody_sees_all(client: Client, make_key: MakeKey) -> None:
    key, header = make_key()
    made.completed(api_key=key)
    made.completed()
    assert told(client)["totals"]["jobs_completed"] == told(client, **header)["totals"]["jobs_completed"] == 2


def test_the_number_of_questions_does_not_grow_with_the_rows(
    client: Client, django_assert_max_num_queries: Any, make_key: MakeKey
) -> None:
    for _ in range(3):
        made.completed(api_key=make_key()[0])
    connection.ensure_connection()
    with django_assert_max_num_queries(3):
        told(client, "?group_by=day,model,device,key")
    assert usage.MOST_ROWS == 10_000
