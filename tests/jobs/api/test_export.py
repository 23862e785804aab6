"""A caller's data as a ZIP file: all of it, nothing of others, no secrets, however much it is."""

import io
import json
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from audit.models import Action, Entry
from jobs.api import export
from jobs.models import ApiKey, Job, WebhookAttempt, WebhookMessage
from jobs.submission import submit as intake
from tests.job_rows import waiting_job
from tests.jobs.conftest import picture
from tests.jobs.submission.helpers import Make, complete, text
from tests.stored import path_of

MakeKey = Callable[..., tuple[ApiKey, dict[str, str]]]
Submit = Callable[..., Job]


def exported(client: Client, headers: dict[str, str], query: str = "") -> zipfile.ZipFile:
    answer: Any = client.get(f"/api/v1/export{query}", headers=headers)
    assert answer.status_code == 200
    found = zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content)))
    assert found.testzip() is None
    return found


def read(archive: zipfile.ZipFile, name: str) -> Any:
    return json.loads(archive.read(name))


def test_everything_of_the_caller_is_in_it_and_nothing_else(
    make_key: MakeKey, submit: Submit, make_submission: Make, client: Client
) -> None:
    key, headers = make_key()
    done = complete(submit(seed=1, api_key=key, webhook_url="https://example.org/hook", idempotency_key="once"))
    message = WebhookMessage.objects.get()
    WebhookAttempt.objects.create(message=message, number=1, seconds=0.5, status=500, answer="no")
    batch = intake.submit_batch([picture(seed=2), text()], make_submission(api_key=key))
    waiting = Job.objects.get(batch=batch)
    submit(seed=3)
    submit(seed=4, api_key=make_key()[0])
    archive = exported(client, headers)
    assert set(archive.namelist()) == {
        *("key.json", "jobs.json", "batches.json", "webhooks.json", "idempotency_keys.json", "audit.json"),
        f"inputs/{done.pk}.png",
        f"inputs/{waiting.pk}.png",
        f"results/{done.pk}/cat_tiny-x2_x2.png",
    }
    assert archive.read(f"inputs/{done.pk}.png") == path_of(done.input_file).read_bytes()
    assert archive.read(f"results/{done.pk}/cat_tiny-x2_x2.png") == b"pixel"
    assert {job["job_id"] for job in read(archive, "jobs.json")} == {str(done.pk), str(waiting.pk)}
    assert read(archive, "batches.json")[0]["rejected"][0]["filename"] == "notes.jpg"
    (webhook,) = read(archive, "webhooks.json")
    assert (webhook["url"], webhook["attempts"][0]["answer"]) == ("https://example.org/hook", "no")
    assert [row["key"] for row in read(archive, "idempotency_keys.json")] == ["once"]
    assert [act["action"] for act in read(archive, "audit.json")] == ["exported"]


def test_the_key_itself_and_its_digest_are_not_in_it(make_key: MakeKey, client: Client, data_dir: Path) -> None:
    key, headers = make_key()
    archive = exported(client, headers)
    everything = b"".join(archive.read(name) for name in archive.namelist()).decode()
    assert read(archive, "key.json")["prefix"] == key.prefix
    assert key.digest not in everything
    assert headers["Authorization"].rpartition("_")[2] not in everything


def test_pictures_that_went_are_named(make_key: MakeKey, submit: Submit, client: Client) -> None:
    key, headers = make_key()
    done = complete(submit(api_key=key))
    path_of(done.input_file).unlink()
    archive = exported(client, headers)
    assert str(done.pk) in archive.read("MISSING.txt").decode()
    assert f"results/{done.pk}/cat_tiny-x2_x2.png" in archive.namelist()


def test_many_rows_come_in_pages_and_take_no_more_memory(
    make_key: MakeKey, client: Client, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "PAGE", 10)
    key, headers = make_key()
    jobs = [waiting_job(api_key=key, input_file=f"inputs/aa/{n}.png") for n in range(35)]
    for job in jobs:
        path = path_of(job.input_file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(1_000_000))
    tracemalloc.start()
    try:
        size = sum(map(len, export.stream(key)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > 35_000_000
    assert peak < 10_000_000
    archive = exported(client, headers)
    assert len(read(archive, "jobs.json")) == 35
    assert sum(name.startswith("inputs/") for name in archive.namelist()) == 35


def test_the_right_to_manage_reads_another_keys_data(make_key: MakeKey, submit: Submit, client: Client) -> None:
    key, _ = make_key()
    complete(submit(api_key=key))
    archive = exported(client, make_key("manage")[1], f"?key={key.prefix}")
    assert len(read(archive, "jobs.json")) == 1
    entry = Entry.objects.get(action=Action.EXPORTED)
    assert (entry.object_id, entry.actor.kind) == (key.prefix, "key")


def test_a_call_without_a_key_gets_an_empty_archive(submit: Submit, client: Client) -> None:
    complete(submit())
    archive = exported(client, {})
    assert read(archive, "key.json") is None
    assert read(archive, "jobs.json") == []
    assert not Entry.objects.filter(action=Action.EXPORTED).exists()


def test_a_head_tells_the_header_alone(client: Client, make_key: MakeKey, data_dir: Path) -> None:
    _, headers = make_key()
    answer = client.head("/api/v1/export", headers=headers)
    assert answer.headers["Content-Type"] == "application/zip"
    assert answer.content == b""
    assert not Entry.objects.filter(action=Action.EXPORTED).exists()


def test_an_export_is_no_download_after_which_a_job_goes(
    make_key: MakeKey, submit: Submit, client: Client, settings: Settings
) -> None:
    settings.DOWNLOAD_GRACE_SECONDS = 0
    key, headers = make_key()
    complete(submit(api_key=key, delete_after_download=True))
    exported(client, headers)
    assert Job.objects.get().expires_at is None
