"""Everything of a key goes: at once what has ended, then what still runs; nothing that came after or is another's."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from audit import log
from audit.models import Action, Actor, Entry, Kind
from jobs import erasure
from jobs.erasure import Erased
from jobs.models import ApiKey, Batch, IdempotencyKey, Job, UsageEntry, WebhookAttempt, WebhookMessage
from jobs.queue import work
from jobs.states import Status
from jobs.storage import file_names, files
from jobs.submission import submit as intake
from tests.eventually import eventually
from tests.jobs.conftest import StartCluster, picture, stored_files
from tests.jobs.rig.apps import SLOW
from tests.jobs.submission.helpers import Make, complete
from tests.staff import Staff

MakeKey = Callable[..., tuple[ApiKey, dict[str, str]]]
Submit = Callable[..., Job]


@pytest.fixture
def key(make_key: MakeKey) -> ApiKey:
    """A key of somebody with a name."""
    made, _ = make_key()
    ApiKey.objects.filter(pk=made.pk).update(name="Ada Lovelace")
    made.refresh_from_db()
    return made


@pytest.fixture
def full(key: ApiKey, submit: Submit, make_submission: Make) -> ApiKey:
    """The key with a completed job, one that waits, a batch, tiles, webhooks and an Idempotency-Key."""
    done = complete(submit(seed=1, api_key=key, webhook_url="https://example.org/hook"))
    files.write(file_names.pyramid_name(done.pk, done.result_sha256), b"tiles")
    message = WebhookMessage.objects.get()
    WebhookAttempt.objects.create(message=message, number=1, seconds=0.1, answer="hello")
    submit(seed=2, api_key=key, idempotency_key="k")
    intake.submit_batch([picture(seed=3)], make_submission(api_key=key))
    return key


def test_everything_of_the_key_goes_and_nothing_of_others(
    full: ApiKey, submit: Submit, data_dir: Path, make_key: MakeKey
) -> None:
    other, _ = make_key()
    theirs = submit(seed=9, api_key=other, idempotency_key="k")
    nobodys = submit(seed=8)
    found = erasure.would_erase(full)
    assert (found.jobs, found.batches, found.webhooks, found.idempotency_keys, found.pending_jobs) == (3, 1, 1, 1, 2)
    assert Job.objects.count() == 5
    erased = erasure.erase(full)
    assert (erased.jobs, erased.batches, erased.idempotency_keys, erased.done) == (3, 1, 1, True)
    assert erased.webhooks == 1
    assert {job.pk for job in Job.objects.all()} == {theirs.pk, nobodys.pk}
    assert stored_files(data_dir) == sorted([theirs.input_file, nobodys.input_file])
    assert not Batch.objects.exists()
    assert not WebhookMessage.objects.exists()
    assert not WebhookAttempt.objects.exists()
    assert IdempotencyKey.objects.get().owner == str(other.pk)
    again = erasure.erase(full)
    assert (again.jobs, again.webhooks, again.done) == (0, 0, True)


def test_what_a_worker_erased_meanwhile_is_counted_too(full: ApiKey, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers of the `io` cluster go on with every erasure that has begun, also while its call is at it."""
    ours = erasure._go_on

    def second(key: ApiKey) -> Erased:
        ours(ApiKey.objects.get(pk=key.pk))  # a worker, faster than the call
        return ours(key)

    monkeypatch.setattr(erasure, "_go_on", second)
    found = erasure.would_erase(full)
    erased = erasure.erase(full)
    assert (erased.jobs, erased.batches, erased.webhooks, erased.idempotency_keys) == (3, 1, 1, 1)
    assert (erased.bytes >= found.bytes > 0, erased.done) == (True, True)


def test_a_running_job_is_told_to_stop_and_goes_when_it_has(key: ApiKey, submit: Submit, data_dir: Path) -> None:
    submit(api_key=key)
    running = Job.objects.claim("w")
    assert running is not None
    first = erasure.erase(key)
    assert (first.done, first.pending_jobs, first.jobs) == (False, 1, 0)
    assert Job.objects.get().cancel_requested
    later = submit(seed=2, api_key=key)
    assert "jobs.erasure.go_on" in work.waiting_in("io", 9)
    erasure.go_on()
    assert Job.objects.count() == 2
    Job.objects.give_up(running)
    erasure.go_on()
    assert list(Job.objects.all()) == [later]  # it was made after the wish
    assert stored_files(data_dir) == [later.input_file]
    assert "jobs.erasure.go_on" not in work.waiting_in("io", 9)


def test_what_a_kill_broke_off_goes_on(full: ApiKey, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = ("delete_ended", "_delete", "_finish")
    for step in steps:
        with monkeypatch.context() as patched:

            def killed(*_: object, **__: object) -> None:
                raise KeyboardInterrupt

            patched.setattr(erasure, step, killed)
            with pytest.raises(KeyboardInterrupt):
                erasure.erase(full) if step == steps[0] else erasure.go_on()
        full.refresh_from_db()
        assert full.erase_until is not None
    erasure.go_on()
    full.refresh_from_db()
    assert full.erase_until is None
    assert stored_files(data_dir) == []
    assert not Job.objects.exists()


def test_one_erasure_that_fails_keeps_no_other_from_its_end(
    make_key: MakeKey, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [make_key()[0] for _ in range(2)]
    for key in keys:
        submit(api_key=key)
        monkeypatch.setattr(erasure, "_go_on", lambda key: Erased())
        erasure.erase(key)
    monkeypatch.undo()
    real = erasure._go_on

    def broken(key: ApiKey) -> Any:
        if key.pk == max(keys, key=lambda each: each.created_at).pk:
            raise OSError("disk")
        return real(key)

    monkeypatch.setattr(erasure, "_go_on", broken)
    erasure.go_on()
    assert Job.objects.count() == 1


def test_names_become_a_pseudonym_where_they_are_kept(key: ApiKey, submit: Submit) -> None:
    log.record(Action.DOWNLOADED, "job", ["1"], by=log.Acting(Kind.KEY, str(key.pk), str(key)))
    other = log.Acting(Kind.KEY, "other", "Charles")
    log.record(Action.DOWNLOADED, "job", ["2"], by=other)
    submit(api_key=key)  # its end becomes a line of the ledger
    UsageEntry.objects.create(day=UsageEntry.objects.today(), key_prefix=key.prefix, key_name=key.name, model="m")
    erased = erasure.erase(key)
    pseudonym = log.pseudonym_of(str(key.pk))
    UsageEntry.objects.fold()
    ledger = UsageEntry.objects.filter(key_prefix=key.prefix).values_list("key_name", flat=True)
    assert list(ledger) == [pseudonym] * 2
    assert erased.names == 3  # the actor of the audit log, a line of the ledger, and a note of the next one
    names = [entry.actor.name for entry in Entry.objects.filter(action=Action.DOWNLOADED).order_by("pk")]
    assert names == [pseudonym, "Charles"]
    assert not Actor.objects.filter(name__contains="Ada").exists()
    assert not Actor.objects.filter(reference=str(key.pk)).exists()
    log.record(Action.DOWNLOADED, "job", ["3"], by=log.Acting(Kind.KEY, str(key.pk), str(key)))
    assert erasure.erase(key).names == 1
    assert Actor.objects.filter(name=pseudonym).count() == 2
    key.refresh_from_db()
    assert key.name == "Ada Lovelace"  # it goes on


def test_a_key_that_is_revoked_with_it_loses_its_name(key: ApiKey) -> None:
    erasure.erase(key, revoke=True)
    key.refresh_from_db()
    assert key.revoked_at is not None
    assert key.name == log.pseudonym_of(str(key.pk))


# --- By the API


def test_a_caller_erases_its_own(full: ApiKey, client: Client, make_key: MakeKey, submit: Submit) -> None:
    mine, headers = make_key()
    submit(seed=7, api_key=mine)
    counted = client.post("/api/v1/erasure?dry_run=true", headers=headers).json()
    assert (counted["jobs"], counted["dry_run"], counted["done"]) == (1, True, False)
    assert Job.objects.filter(api_key=mine).exists()
    answer = client.post("/api/v1/erasure", headers=headers)
    assert (answer.status_code, answer.json()["jobs"], answer.json()["done"]) == (200, 1, True)
    assert Job.objects.filter(api_key=full).count() == 3
    assert not Actor.objects.filter(reference=str(mine.pk)).exists()


def test_while_a_job_runs_the_answer_is_202(client: Client, make_key: MakeKey, submit: Submit) -> None:
    mine, headers = make_key()
    submit(api_key=mine)
    running = Job.objects.claim("w")
    assert running is not None
    answer = client.post("/api/v1/erasure", headers=headers)
    assert (answer.status_code, answer.json()["pending_jobs"], answer.headers["Retry-After"]) == (202, 1, "2")
    Job.objects.give_up(running)
    assert client.post("/api/v1/erasure", headers=headers).status_code == 200


def test_another_keys_data_needs_the_right_to_manage(full: ApiKey, client: Client, make_key: MakeKey) -> None:
    address = f"/api/v1/erasure?key={full.prefix}"
    assert client.post(address).status_code == 403  # also where no key is needed for anything else
    assert client.get(f"/api/v1/export?key={full.prefix}").status_code == 403
    assert client.post(address, headers=make_key()[1]).status_code == 403
    manager = make_key("manage")[1]
    unknown = client.post("/api/v1/erasure?key=abcdefgh", headers=manager)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "key_not_found")
    assert client.post("/api/v1/erasure?key=short", headers=manager).status_code == 422
    assert Job.objects.count() == 3
    assert client.post(f"{address}&revoke=true", headers=manager).json()["jobs"] == 3
    full.refresh_from_db()
    assert full.revoked_at is not None


def test_a_call_without_a_key_owns_nothing(submit: Submit, client: Client) -> None:
    submit()
    answer = client.post("/api/v1/erasure")
    assert (answer.status_code, answer.json()["jobs"]) == (200, 0)
    assert Job.objects.count() == 1


# --- In the admin


def test_the_admin_asks_with_the_counts_and_erases(full: ApiKey, staff: Staff) -> None:
    client = staff("Managers")
    listed = "/admin/jobs/apikey/"
    asked = client.post(listed, {"action": "erase_everything", "_selected_action": [str(full.pk)]})
    text = asked.content.decode()
    assert "Ada Lovelace" in text
    assert "<td>3</td><td>2</td>" in text
    assert Job.objects.count() == 3
    yes = {"action": "erase_everything", "_selected_action": [str(full.pk)], "post": "yes", "revoke": "1"}
    done = client.post(listed, yes, follow=True)
    assert "3 jobs with their files" in done.content.decode()
    assert not Job.objects.exists()
    full.refresh_from_db()
    assert full.revoked_at is not None
    assert "erase_everything" not in staff("Operators").get(listed).content.decode()


# --- With real clusters


def test_a_real_worker_stops_and_a_real_cluster_ends_the_erasure(
    start_cluster: StartCluster, key: ApiKey, submit: Submit, data_dir: Path
) -> None:
    start_cluster()
    start_cluster(Q_CLUSTER_NAME="io", ready=False)
    for seed in range(3):
        submit(SLOW, 16, seed=seed, api_key=key)
    eventually(lambda: Job.objects.filter(status=Status.PROCESSING).exists(), seconds=120)
    assert not erasure.erase(key).done
    eventually(lambda: not Job.objects.exists(), seconds=120)
    eventually(lambda: ApiKey.objects.get(pk=key.pk).erase_until is None, seconds=60)
    eventually(lambda: stored_files(data_dir) == [], seconds=60)
