"""The list of jobs: what it shows, finds and costs."""

import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from jobs.admin.paginator import BoundedPaginator
from jobs.models import ApiKey, Job
from jobs.states import Status
from jobs.templatetags.job_dates import hierarchy
from tests.jobs import made
from tests.staff import Staff

pytestmark = pytest.mark.django_db

LIST = "/admin/jobs/job/"


def shown(client: Client, query: str = "") -> set[str]:
    """The ids of the jobs on the page, eight digits each."""
    answer = client.get(f"{LIST}{query}")
    assert answer.status_code == 200
    return set(
        re.findall(
            r'<th class="field-short_id"><a [^>]*>[^<]*<span class=more>([0-9a-f]{8})</span>', answer.content.decode()
        )
    )


def short(*jobs: Job) -> set[str]:
    return {str(job.pk)[:8] for job in jobs}


def test_every_state_is_shown_in_words_with_its_numbers(staff: Staff) -> None:
    made.completed()
    made.failed("out_of_memory")
    made.cancelled()
    running = made.processing()
    Job.objects.heartbeat(running, tiles_done=3, tiles_total=12)
    made.queued()
    page = staff("Viewers").get(LIST).content.decode()
    for label in ("Completed", "Failed", "Cancelled", "Processing", "Queued"):
        assert f">{label}</span>" in page
    assert "it failed: out_of_memory" in page
    assert "cat.png" in page
    assert 'max="12" value="3"' in page
    assert "25 %" in page
    assert "→ 96×64" in page


def test_it_asks_the_same_number_of_questions_for_one_job_and_for_fifty(
    staff: Staff, django_assert_max_num_queries: Any
) -> None:
    client = staff("Managers")
    key = ApiKey.objects.create(name="k", prefix="p", digest="d", scopes=["upscale"])
    for _ in range(50):
        made.queued(api_key=key)
    with django_assert_max_num_queries(13) as found:
        assert len(shown(client)) == 50
    Job.objects.exclude(pk=Job.objects.order_by("pk").values_list("pk", flat=True)[:1].get()).delete()
    many = len(found)
    with django_assert_max_num_queries(13) as found:
        shown(client)
    assert len(found) == many
    counting = [q["sql"] for q in found.captured_queries if "COUNT(" in q["sql"]]
    assert all("LIMIT" in sql for sql in counting)


def test_callers_are_named(staff: Staff) -> None:
    key = ApiKey.objects.create(name="Photo robot", prefix="p1", digest="d", scopes=["upscale"])
    made.completed(api_key=key)
    made.completed()
    page = staff("Viewers").get(LIST).content.decode()
    assert '<td class="field-shown_caller">Photo robot</td>' in page
    assert '<td class="field-shown_caller">–</td>' in page


def test_a_script_is_told_what_the_cells_of_running_jobs_show_now(staff: Staff) -> None:
    client = staff("Viewers")
    running = made.processing()
    page = client.get(LIST).content.decode()
    assert page.count(f'data-live-job="{running.pk}"') == 3
    assert 'data-live-jobs="/admin/jobs/job/live"' in page
    Job.objects.heartbeat(running, tiles_done=6, tiles_total=12)
    address = f"{LIST}live?id={running.pk}&id=nonsense&id={uuid.uuid4()}"
    now = client.get(address).json()
    assert list(now) == [str(running.pk)]
    assert "50 %" in now[str(running.pk)]["cells"]["state"]
    assert not now[str(running.pk)]["ended"]
    assert Job.objects.fail(running, "The <disk> is full", "disk_full")
    ended = client.get(address).json()[str(running.pk)]
    assert ended["ended"]
    assert "The &lt;disk&gt; is full" in ended["cells"]["state"]
    assert "data-live-job=" not in client.get(LIST).content.decode()


def test_the_state_of_jobs_is_for_those_who_may_see_jobs(staff: Staff, client: Client) -> None:
    job = made.queued()
    assert client.get(f"{LIST}live?id={job.pk}").status_code == 302
    assert staff().get(f"{LIST}live?id={job.pk}").status_code == 403


def test_long_columns_stay_in_the_database(staff: Staff, django_assert_max_num_queries: Any) -> None:
    made.completed()
    client = staff("Viewers")
    with django_assert_max_num_queries(13) as found:
        shown(client)
    assert not any('"jobs_job"."report"' in query["sql"] for query in found.captured_queries)


def test_searching(staff: Staff) -> None:
    from jobs.models import Batch

    client = staff("Viewers")
    batch = Batch.objects.create()
    cat = made.queued(input_name="Holiday Cat.png", request_id="req-17")
    dog = made.queued(input_name="dog.png", batch=batch)
    assert shown(client, f"?q={cat.pk}") == short(cat)
    assert shown(client, f"?q={str(cat.pk)[:8]}") == short(cat)
    assert shown(client, f"?q={batch.pk}") == short(dog)
    assert shown(client, "?q=holiday+cat") == short(cat)
    assert shown(client, "?q=req-17") == short(cat)
    assert shown(client, "?q=png") == short(cat, dog)
    assert shown(client, f"?q={uuid.uuid4()}") == set()
    assert shown(client, "?q=%27%3B--") == set()


def test_a_rare_name_is_looked_for_once(staff: Staff, monkeypatch: pytest.MonkeyPatch) -> None:
    from jobs.admin import search

    client = staff("Viewers")
    cats = [made.queued(input_name=f"cat-{number}.png") for number in range(3)]
    with CaptureQueriesContext(connection) as found:
        assert shown(client, "?q=cat-") == short(*cats)
    assert sum("LIKE" in query["sql"] for query in found.captured_queries) == 1
    monkeypatch.setattr(search, "FEW", 2)
    assert shown(client, "?q=cat-") == short(*cats), "many matches are no fewer"


def test_a_name_of_hexadecimal_letters_is_found_too(staff: Staff) -> None:
    facade = made.queued(input_name="facade.png")
    assert shown(staff("Viewers"), "?q=facade") == short(facade)


def test_filters(staff: Staff) -> None:
    client = staff("Viewers")
    key = ApiKey.objects.create(name="k", prefix="p1", digest="d", scopes=["upscale"])
    old = made.cancelled(created_at=timezone.now() - timedelta(days=3))
    other = made.failed("time_limit")
    assert shown(client, "?error_code=time_limit") == short(other)
    assert shown(client, "?error_code=out_of_memory") == set()
    other.delete()
    failed = made.failed()
    new = made.queued(model="another-x4", priority=20, api_key=key)
    assert shown(client, f"?status__exact={Status.FAILED}") == short(failed)
    assert shown(client, "?within=1") == short(failed, new)
    assert shown(client, "?within=168") == short(old, failed, new)
    assert shown(client, "?within=nonsense") == short(old, failed, new)
    assert shown(client, "?priority__exact=20") == short(new)
    assert shown(client, "?model=another-x4") == short(new)
    chain = made.queued(model="another-x4+tiny-x2", created_at=timezone.now() - timedelta(days=9))
    assert shown(client, "?model=another-x4") == short(new)
    assert shown(client, "?model=%2B") == short(chain)
    chain.delete()
    assert shown(client, "?key=p1") == short(new)
    assert shown(client, "?key=none") == short(old, failed)
    assert shown(client, f"?created_at__year={old.created_at.year}&created_at__month={old.created_at.month}") >= short(
        old
    )


def test_the_jobs_with_chains_are_found_by_their_index() -> None:
    with CaptureQueriesContext(connection) as found:
        list(Job.objects.filter(model__contains="+").order_by("-created_at", "-id")[:50])
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("EXPLAIN " + found.captured_queries[0]["sql"])
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "job_chain_newest" in plan, plan


def test_the_failures_of_one_reason_are_found_by_their_index() -> None:
    with CaptureQueriesContext(connection) as found:
        list(Job.objects.filter(status="failed", error_code="x").order_by("-created_at", "-id")[:50])
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("EXPLAIN " + found.captured_queries[0]["sql"])
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "job_error_newest" in plan, plan


def test_the_count_stops_at_its_bound(monkeypatch: pytest.MonkeyPatch, staff: Staff) -> None:
    monkeypatch.setattr(BoundedPaginator, "BOUND", 3)
    for _ in range(3):
        made.queued()
    client = staff("Viewers")
    assert "3 jobs" in client.get(LIST).content.decode()
    made.queued()
    assert "more than 3 jobs" in client.get(LIST).content.decode()


def test_the_date_hierarchy_needs_the_ends_only() -> None:
    def link(**parts: int) -> str:
        return "-".join(str(n) for n in parts.values())

    first, last = datetime(2024, 11, 30, tzinfo=UTC), datetime(2026, 2, 3, tzinfo=UTC)
    years = hierarchy(first, last, None, None, None, link)
    assert [choice.link for choice in years.choices] == ["2026", "2025", "2024"]
    assert years.back is None
    months = hierarchy(first, last, 2024, None, None, link)
    assert [choice.link for choice in months.choices] == ["2024-11", "2024-12"]
    assert months.back is not None
    days = hierarchy(first, last, 2026, 2, None, link)
    assert [choice.link for choice in days.choices] == ["2026-2-1", "2026-2-2", "2026-2-3"]
    day = hierarchy(first, last, 2026, 2, 3, link)
    assert day.choices == []
    assert day.back is not None
    assert day.back.link == "2026-2"
    same_month = hierarchy(last, last, None, None, None, link)
    assert [choice.link for choice in same_month.choices] == ["2026-2-3"]


@pytest.mark.parametrize("query", ["?created_at__year=abc", "?created_at__month=13", "?p=999999", "?o=99", "?e=1"])
def test_odd_addresses_are_no_server_errors(staff: Staff, query: str) -> None:
    made.queued()
    assert staff("Viewers").get(f"{LIST}{query}").status_code < 500
