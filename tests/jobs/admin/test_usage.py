"""The usage ledger in the admin: filtered, added up, saved as CSV; looked at and never changed."""

import csv
import io
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client

from jobs.models import ApiKey, UsageEntry, UsageNote
from tests.jobs import made
from tests.staff import staff_with

pytestmark = pytest.mark.django_db

MakeKey = Callable[..., tuple[ApiKey, dict[str, str]]]
LIST = "/admin/jobs/usageentry/"


def saved(client: Client, query: str = "") -> list[dict[str, str]]:
    answer = client.get(f"{LIST}export/{query}")
    assert answer.status_code == 200
    assert answer.streaming
    assert answer["Content-Type"].startswith("text/csv")
    assert "attachment" in answer["Content-Disposition"]
    content = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]  # a streaming answer has it
    return list(csv.DictReader(io.StringIO(content)))


def test_the_list_shows_what_ended_a_moment_ago_and_its_sum(admin_client: Client, make_key: MakeKey) -> None:
    key, _ = make_key()
    made.completed(api_key=key)
    made.completed(api_key=key)
    made.failed()
    page = admin_client.get(LIST).content.decode()
    assert f"test ({key.prefix}…)" in page
    assert "without a key" in page
    assert "<dt>Completed</dt><dd>2</dd>" in page
    assert "<dt>Failed</dt><dd>1</dd>" in page
    assert "3.00 s" in page


def test_filters_narrow_the_list_its_sum_and_the_file(admin_client: Client, make_key: MakeKey) -> None:
    key, _ = make_key()
    made.completed(api_key=key, model="a+b")
    made.completed()
    UsageNote.objects.filter(key_prefix="").update(day=UsageEntry.objects.today() - timedelta(days=1))
    for query, count in [
        ("", 2), ("?days=today", 1), ("?days=yesterday", 1), ("?days=1999-12-31", 0), ("?days=nonsense", 0),
        (f"?key={key.prefix}", 1), ("?key=none", 1), ("?model=%2B", 1), ("?device=cpu", 2), ("?device=none", 0),
        ("?q=tiny", 1), (f"?q={key.prefix}&days=yesterday", 0),
    ]:  # fmt: skip
        lines = saved(admin_client, query)
        assert len(lines) == count, query
        page = admin_client.get(LIST + query).content.decode()
        assert (f"<dt>Completed</dt><dd>{count}</dd>" in page) == bool(count), query
    ApiKey.objects.all().delete()
    assert len(saved(admin_client, f"?key={key.prefix}")) == 1, "the ledger outlives the key"


def test_the_file_has_the_numbers_of_the_api_and_no_formulas(admin_client: Client, make_key: MakeKey) -> None:
    key, _ = make_key()
    ApiKey.objects.update(name='=HYPERLINK("https://example.org")')
    made.completed(api_key=key)
    (line,) = saved(admin_client)
    (row,) = admin_client.get("/api/v1/usage?group_by=day,key,model,device").json()["rows"]
    assert line.pop("key_name") == "'" + row.pop("key_name")
    assert line == {name: str(value) for name, value in row.items()}


def test_nobody_changes_the_ledger_and_only_some_see_it(admin_client: Client, client: Client) -> None:
    made.completed()
    UsageEntry.objects.fold()
    entry = UsageEntry.objects.get()
    assert admin_client.get(f"{LIST}add/").status_code == 403
    assert admin_client.post(f"{LIST}{entry.pk}/delete/", {"post": "yes"}).status_code == 403
    assert admin_client.post(f"{LIST}{entry.pk}/change/", {"completed": 7}).status_code == 403
    looking = staff_with(client, "view_job")
    assert looking.get(LIST).status_code == looking.get(f"{LIST}export/").status_code == 403
    assert UsageEntry.objects.get().completed == 1


def test_a_key_leads_to_its_usage(admin_client: Client, make_key: MakeKey) -> None:
    key, _ = make_key()
    address = f'href="{LIST}?key={key.prefix}"'
    assert address in admin_client.get("/admin/jobs/apikey/").content.decode()
    assert address in admin_client.get(f"/admin/jobs/apikey/{key.pk}/change/").content.decode()
    assert f"{LIST}?days=month" in admin_client.get("/admin/operations/").content.decode()


def test_an_empty_ledger_says_what_will_be_there(admin_client: Client) -> None:
    assert "Nothing was computed yet." in admin_client.get(LIST).content.decode()


def test_a_filter_that_nobody_knows_leads_back_to_the_list(admin_client: Client) -> None:
    answer = admin_client.get(f"{LIST}export/?bogus=big")
    assert (answer.status_code, answer.headers["Location"]) == (302, f"{LIST}?e=1")
