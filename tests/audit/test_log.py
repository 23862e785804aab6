"""Entries of the audit log: who did what, written with the deed, and never changed."""

import csv
import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.test import Client
from pytest_django.fixtures import Settings

from audit import log
from audit.models import Action, Actor, Entry, Kind
from jobs.admin import audit as page
from jobs.auth import api_keys
from jobs.models import ApiKey, Job
from jobs.storage.retention import cleanup
from tests.jobs.submission.helpers import complete
from tests.staff import Staff
from tests.together import together

MakeKey = Callable[..., tuple[ApiKey, dict[str, str]]]
Submit = Callable[..., Job]

pytestmark = pytest.mark.django_db


def seen(action: Action) -> list[tuple[str, str, str]]:
    """Kind of actor, name and object of each entry of that action, the oldest first."""
    rows = Entry.objects.filter(action=action).order_by("pk").select_related("actor")
    return [(entry.actor.kind, entry.actor.name, entry.object_id) for entry in rows]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entry SET action = 'deleted'",
        "UPDATE audit_entry SET at = at - interval '2 years'",
        "DELETE FROM audit_entry",
        "SELECT set_config('audit.purge_before', 'infinity', true); DELETE FROM audit_entry",
    ],
)
def test_an_entry_is_never_changed_nor_deleted(statement: str) -> None:
    log.record(Action.CANCELLED, "job", ["a"])
    with pytest.raises(DatabaseError, match="never changed"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    with pytest.raises(DatabaseError), transaction.atomic():
        Entry.objects.update(object_id="b")
    assert Entry.objects.get().object_id == "a"


def test_only_the_purge_removes_entries_and_none_of_the_last_month(settings: Settings) -> None:
    log.record(Action.CANCELLED, "job", ["young"])
    at = Entry.objects.get().at - timedelta(days=400)
    Entry.objects.create(actor=Actor.objects.get(), action=Action.CANCELLED, object_kind="job", object_id="old", at=at)
    cleanup()
    assert [entry.object_id for entry in Entry.objects.all()] == ["young"]
    settings.AUDIT_DAYS = 1
    with pytest.raises(DatabaseError, match="30 days at least"), transaction.atomic():
        log.purge()


def test_an_entry_is_rolled_back_with_its_deed(make_key: MakeKey) -> None:
    key, _ = make_key()
    with transaction.atomic():
        api_keys.revoke([key])
        transaction.set_rollback(True)
    assert seen(Action.KEY_REVOKED) == []
    api_keys.revoke([key])
    assert seen(Action.KEY_REVOKED) == [("system", "the service", key.prefix)]
    api_keys.revoke([key])
    assert len(seen(Action.KEY_REVOKED)) == 1  # nothing was revoked


@pytest.mark.django_db(transaction=True)
def test_an_actor_is_made_once_by_many_at_the_same_moment() -> None:
    by = log.Acting(Kind.KEY, "k", "new")
    together(8, lambda n: log.record(Action.DOWNLOADED, "job", [n], by=by))
    assert Actor.objects.get().entries.count() == 8


def test_a_call_is_recorded_with_its_key_request_and_address(
    client: Client, make_key: MakeKey, make_job: Callable[..., Job]
) -> None:
    key, headers = make_key()
    job = make_job(api_key=key)
    client.post(f"/api/v1/jobs/{job.pk}/cancel", headers={**headers, "X-Request-ID": "req-7"})
    entry = Entry.objects.get(action=Action.CANCELLED)
    assert (entry.actor.kind, entry.actor.name, entry.object_id) == ("key", str(key), str(job.pk))
    assert entry.request_id == "req-7"
    assert entry.address_hash == log.hash_of("127.0.0.1")
    assert "127.0.0.1" not in entry.address_hash
    client.delete(f"/api/v1/jobs/{job.pk}")
    assert seen(Action.DELETED) == [("caller", "a caller without a key", str(job.pk))]


def test_a_refused_call_is_no_deed(client: Client, make_job: Callable[..., Job]) -> None:
    job = make_job()
    client.post(f"/api/v1/jobs/{job.pk}/cancel")
    assert client.post(f"/api/v1/jobs/{job.pk}/cancel").status_code == 409
    assert len(seen(Action.CANCELLED)) == 1


def test_the_clean_up_names_each_job_and_who_ran_it(submit: Submit) -> None:
    first, second = complete(submit(seed=1)), complete(submit(seed=2))
    Job.objects.filter(pk=first.pk).update(finished_at=first.created_at - timedelta(days=9))
    cleanup()
    call_command("cleanup_jobs", "--hours", "0")
    (scheduled, ordered) = seen(Action.CLEANED_UP)
    assert scheduled == ("system", "the service", str(first.pk))
    assert ordered[1].startswith("cleanup_jobs, by ")
    assert ordered[2] == str(second.pk)
    assert log.acting() == log.SERVICE


def test_downloads_are_recorded_where_bytes_are_sent(client: Client, submit: Submit, settings: Settings) -> None:
    job = complete(submit())
    result = f"/api/v1/jobs/{job.pk}/result"
    client.head(result).close()
    client.get(result, headers={"If-None-Match": f'"{job.result_sha256}"'})
    client.get(f"/api/v1/jobs/{job.pk}/preview").close()
    assert seen(Action.DOWNLOADED) == []
    client.get(result).close()
    client.get(result, headers={"Range": "bytes=1-2"}).close()
    client.get(f"/api/v1/jobs/{job.pk}/input").close()
    client.get(f"/api/v1/jobs/archive?ids={job.pk}").close()
    details = [entry.detail for entry in Entry.objects.order_by("pk")]
    assert details == [
        {"what": "result"},
        {"what": "result", "range": "bytes 1-2/5"},
        {"what": "input"},
        {"what": "archive"},
    ]
    settings.AUDIT_DOWNLOADS = False
    client.get(result).close()
    assert Entry.objects.count() == 4


def test_log_ins_are_recorded_and_those_that_failed(client: Client, plain_static_files: None) -> None:
    from django.contrib.auth.models import User

    User.objects.create_superuser("ada", password="right-horse")
    for password in ("wrong", "right-horse"):
        client.post("/admin/login/", {"username": "ada", "password": password})
    assert seen(Action.LOGIN_FAILED) == [("caller", "a caller without a key", "ada")]
    assert seen(Action.LOGGED_IN) == [("staff", "ada", "ada")]
    assert Entry.objects.get(action=Action.LOGGED_IN).address_hash == log.hash_of("127.0.0.1")


def test_what_staff_do_in_the_admin_is_theirs(staff: Staff, submit: Submit) -> None:
    client = staff("Managers")
    job = submit()
    client.post(f"/admin/jobs/job/{job.pk}/do/cancel")
    (entry,) = seen(Action.CANCELLED)
    assert entry[0] == "staff"
    client.get(f"/admin/jobs/job/{job.pk}/input/file").close()
    assert seen(Action.DOWNLOADED)[0][0] == "staff"


def test_the_list_is_searched_filtered_and_read_only(staff: Staff, submit: Submit) -> None:
    client = staff("Managers")
    log.record(Action.CANCELLED, "job", ["abc"], by=log.Acting(Kind.KEY, "k", "photo archive"))
    log.record(Action.DELETED, "job", ["xyz"])
    listed = "/admin/audit/entry/"
    assert "photo archive" in client.get(listed).content.decode()
    for question in ("?q=abc", "?q=archive", "?action=cancelled", "?who=key", "?within=24&who=key"):
        text = client.get(listed + question).content.decode()
        assert "abc" in text, question
        assert "xyz" not in text, question
    assert client.get(listed + "add/").status_code == 403
    pk = Entry.objects.order_by("pk").values_list("pk", flat=True)[0]
    assert client.post(f"{listed}{pk}/delete/", {"post": "yes"}).status_code == 403
    assert staff("Operators").get(listed).status_code == 403


def test_the_csv_streams_all_pages_of_what_is_listed(staff: Staff, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "CHUNK", 2)
    log.record(Action.CANCELLED, "job", ["1", "2", "3", "4"])
    log.record(Action.LOGIN_FAILED, "account", ["=cmd()"])
    client = staff("Managers")
    answer: Any = client.get("/admin/audit/entry/csv?action=cancelled")
    rows = list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode())))
    assert rows[0] == list(page.COLUMNS)
    assert [row[5] for row in rows[1:]] == ["4", "3", "2", "1"]
    everything: Any = client.get("/admin/audit/entry/csv")
    rows = list(csv.reader(io.StringIO(b"".join(everything.streaming_content).decode())))
    assert "'=cmd()" in [row[5] for row in rows]  # no formula for a spreadsheet
    assert staff("Viewers").get("/admin/audit/entry/csv").status_code == 403
    unknown = client.get("/admin/audit/entry/csv?bogus=1")
    assert (unknown.status_code, unknown.headers["Location"]) == (302, "/admin/audit/entry/?e=1")


def test_models_that_come_and_go_are_recorded(restorer: Any) -> None:
    from modelstore.storage.deletion import delete

    delete(restorer.name)
    assert seen(Action.MODEL_DELETED) == [("system", "the service", restorer.name)]
