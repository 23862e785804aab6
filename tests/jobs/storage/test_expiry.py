"""Jobs that go at a time of their own, or once they were downloaded; inputs that go when the job ends."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db.models.functions import Now
from django.test import Client
from pytest_django.fixtures import Settings

from jobs.errors import InputGone
from jobs.models import Job
from jobs.queue import work
from jobs.storage import deletion, delivery, file_names, files, retention
from jobs.storage.retention import cleanup, expire
from tests.jobs.conftest import stored_files
from tests.jobs.submission.helpers import complete
from tests.stored import path_of
from tests.together import together

Submit = Callable[..., Job]


def past(job: Job, hours: float) -> None:
    """Let the job have ended so long ago; its own time moves along."""
    ended = Now() - timedelta(hours=hours)
    Job.objects.filter(pk=job.pk).update(finished_at=ended)
    if job.retain_hours is not None:
        Job.objects.filter(pk=job.pk).update(expires_at=Now() - timedelta(hours=hours - job.retain_hours))


def test_a_job_goes_at_its_own_time_and_others_at_the_usual_one(
    submit: Submit, settings: Settings, data_dir: Path
) -> None:
    settings.MAX_RETAIN_HOURS = 100
    short, usual, long = (complete(submit(seed=n, retain_hours=hours)) for n, hours in ((1, 2), (2, None), (3, 100)))
    assert short.finished_at is not None
    assert short.expires_at == short.finished_at + timedelta(hours=2)
    assert usual.expires_at is None
    for job in (short, usual, long):
        past(job, 3)
    assert expire().jobs == 1
    for job in (usual, long):
        past(job, 25)
    report = cleanup(dry_run=True)
    assert (report.jobs, report.files) == (1, 3)
    assert cleanup().jobs == 1
    assert list(Job.objects.all()) == [long]
    assert stored_files(data_dir) == sorted(file_names.names_of(long))


def test_the_operators_own_age_removes_what_might_have_stayed(submit: Submit, settings: Settings) -> None:
    settings.MAX_RETAIN_HOURS = 100
    past(complete(submit(retain_hours=100)), 30)
    assert cleanup(settings.RESULT_TTL_HOURS).jobs == 0
    assert cleanup(23).jobs == 1


@pytest.mark.parametrize("end", ["cancelled", "failed"])
def test_jobs_without_a_result_have_their_time_too_until_they_are_retried(
    submit: Submit, settings: Settings, end: str
) -> None:
    job = submit(retain_hours=5)
    if end == "cancelled":
        Job.objects.cancel(job.pk)
    else:
        claimed = Job.objects.claim("w")
        assert claimed is not None
        Job.objects.fail(claimed, "broken", "internal_error")
    job.refresh_from_db()
    assert job.finished_at is not None
    assert job.expires_at == job.finished_at + timedelta(hours=5)
    assert Job.objects.retry(job.pk).expires_at is None


def test_a_result_that_was_taken_over_has_its_own_time(submit: Submit, settings: Settings) -> None:
    complete(submit(retain_hours=1))
    again = submit(retain_hours=7, reuse=True)
    assert again.reused_from is not None
    assert again.finished_at is not None
    assert again.expires_at == again.finished_at + timedelta(hours=7)


def test_work_waits_for_the_io_cluster_when_a_job_is_due(submit: Submit) -> None:
    job = complete(submit(retain_hours=1))
    assert "jobs.worker.tasks.expire" not in work.waiting_in("io", 9)
    past(job, 2)
    assert "jobs.worker.tasks.expire" in work.waiting_in("io", 9)
    expire()
    assert "jobs.worker.tasks.expire" not in work.waiting_in("io", 9)


def test_a_key_says_how_long_its_jobs_stay_within_the_limit(
    submit: Submit, make_key: Callable[..., object], settings: Settings
) -> None:
    from jobs.auth import api_keys

    key, _ = api_keys.issue("short", ["upscale"], retain_hours=6)
    assert submit(seed=1, api_key=key).retain_hours == 6
    assert submit(seed=2, api_key=key, retain_hours=3).retain_hours == 3
    settings.MAX_RETAIN_HOURS = 4  # lowered after the key was made
    assert submit(seed=3, api_key=key).retain_hours == 4


# --- Inputs


@pytest.fixture
def without_inputs(settings: Settings) -> Settings:
    """Inputs go when their job ends."""
    settings.DELETE_INPUTS_WHEN_DONE = True
    return settings


def test_the_input_goes_with_the_jobs_end_and_the_result_stays(
    without_inputs: Settings, submit: Submit, data_dir: Path
) -> None:
    live = submit(seed=2)
    Job.objects.filter(pk=live.pk).update(queued_at=Now() + timedelta(hours=1))
    done = complete(submit(seed=1))
    assert not done.has_input
    assert expire().files.files == 1
    done.refresh_from_db()
    assert done.input_file == ""
    assert stored_files(data_dir) == sorted([live.input_file, done.result_file, done.preview_file])
    assert expire().files.files == 0


def test_tiles_of_the_input_go_with_it(without_inputs: Settings, submit: Submit, data_dir: Path) -> None:
    done = complete(submit())
    of_input, of_result = file_names.pyramids_of(done.pk, done.input_sha256, done.result_sha256)
    files.write(of_input, b"tiles")
    files.write(of_result, b"tiles")
    expire()
    assert of_input not in stored_files(data_dir)
    assert of_result in stored_files(data_dir)


def test_a_kill_between_row_and_file_leaves_an_orphan_that_the_clean_up_finds(
    without_inputs: Settings, submit: Submit, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = complete(submit())
    tiles = file_names.pyramid_name(done.pk, done.input_sha256)
    files.write(tiles, b"tiles")

    def killed(_names: object) -> files.Removed:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(files, "remove", killed)
        with pytest.raises(KeyboardInterrupt):
            expire()
    assert {done.input_file, tiles} <= set(stored_files(data_dir))
    cleanup(orphan_seconds=0)
    done.refresh_from_db()
    assert stored_files(data_dir) == sorted([done.result_file, done.preview_file])


def test_inputs_of_before_the_setting_go_at_the_next_clean_up(
    submit: Submit, settings: Settings, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletion, "CHUNK", 2)
    monkeypatch.setattr(retention, "CHUNK", 2)
    done = [complete(submit(seed=seed)) for seed in range(3)]
    settings.DELETE_INPUTS_WHEN_DONE = True
    cleanup()
    assert stored_files(data_dir) == sorted(name for job in done for name in (job.result_file, job.preview_file))


def test_what_needs_the_input_says_that_it_is_gone(without_inputs: Settings, submit: Submit, client: Client) -> None:
    job = submit()
    Job.objects.cancel(job.pk)
    for _ in range(2):  # before the file is gone, and after it
        with pytest.raises(InputGone, match="picture was deleted"):
            Job.objects.retry(job.pk)
        refused = client.post(f"/api/v1/jobs/{job.pk}/retry")
        assert (refused.status_code, refused.json()["code"]) == (409, "input_deleted")
        missing = client.get(f"/api/v1/jobs/{job.pk}/input")
        assert (missing.status_code, missing.json()["code"]) == (404, "result_not_found")
        assert "deleted when the job ended" in missing.json()["detail"]
        assert client.get(f"/api/v1/jobs/{job.pk}/pyramid?picture=input").status_code == 404
        assert client.get(f"/api/v1/jobs/{job.pk}").json()["input_available"] is False
        expire()


# --- After the download


@pytest.fixture
def fetched(submit: Submit, settings: Settings) -> Job:
    """A completed job that goes once it was downloaded; its result has five bytes."""
    settings.DOWNLOAD_GRACE_SECONDS = 0
    return complete(submit(delete_after_download=True))


def address(job: Job) -> str:
    return f"/api/v1/jobs/{job.pk}/result"


def got(client: Client, path: str, **headers: str) -> bytes:
    """Fetch all of it, and end the response as the server does."""
    response: Any = client.get(path, headers=headers)
    content: bytes = b"".join(response.streaming_content) if response.streaming else response.content
    response.close()
    return content


def test_a_job_goes_with_its_files_once_it_was_downloaded(fetched: Job, client: Client, data_dir: Path) -> None:
    assert got(client, address(fetched)) == b"pixel"
    assert not Job.objects.exists()
    assert stored_files(data_dir) == []
    assert client.get(address(fetched)).status_code == 404


def test_it_stays_for_the_grace_in_which_a_proxy_may_deliver(fetched: Job, client: Client, settings: Settings) -> None:
    settings.DOWNLOAD_GRACE_SECONDS = 60
    got(client, address(fetched))
    fetched.refresh_from_db()
    assert fetched.expires_at is not None
    assert expire().jobs == 0
    assert got(client, address(fetched)) == b"pixel"
    Job.objects.update(expires_at=Now())
    assert expire().jobs == 1


def test_looking_is_no_download(fetched: Job, client: Client) -> None:
    client.head(address(fetched)).close()
    got(client, f"/api/v1/jobs/{fetched.pk}/preview")
    got(client, f"/api/v1/jobs/{fetched.pk}/input")
    assert client.get(address(fetched), headers={"If-None-Match": f'"{fetched.result_sha256}"'}).status_code == 304
    assert client.get(address(fetched), headers={"If-Match": '"other"'}).status_code == 412
    assert client.get(address(fetched), headers={"Range": "bytes=9-"}).status_code == 416
    assert Job.objects.get().expires_at is None


def test_a_broken_download_does_not_count_and_its_rest_does(fetched: Job, client: Client) -> None:
    fetched.refresh_from_db()
    path_of(fetched.result_file).write_bytes(b"x" * 100_000)
    Job.objects.update(result_bytes=100_000)
    broken: Any = client.get(address(fetched))
    next(iter(broken.streaming_content))
    next(iter(broken.streaming_content))  # the second piece is on its way when the line breaks
    broken.close()
    assert Job.objects.exists()
    got(client, address(fetched), Range="bytes=4096-")
    assert not Job.objects.exists()


def test_parts_in_any_order_count_together(fetched: Job, client: Client) -> None:
    assert got(client, address(fetched), Range="bytes=-1") == b"l"
    assert got(client, address(fetched), Range="bytes=0-1") == b"pi"
    assert Job.objects.get().expires_at is None
    assert got(client, address(fetched), Range="bytes=2-3") == b"xe"
    assert not Job.objects.exists()


def test_parts_that_are_fetched_at_the_same_moment_count_together(fetched: Job, client: Client) -> None:
    Job.objects.update(result_bytes=16)
    together(8, lambda n: delivery.note(fetched, 2 * n, 2))
    assert not Job.objects.exists()


def test_an_archive_counts_for_each_job_in_it_when_its_last_byte_was_sent(
    fetched: Job, submit: Submit, client: Client
) -> None:
    kept = complete(submit(seed=2))
    path = f"/api/v1/jobs/archive?ids={fetched.pk},{kept.pk}"
    client.head(path).close()
    broken: Any = client.get(path)
    next(iter(broken.streaming_content))
    broken.close()
    assert Job.objects.count() == 2
    got(client, path)
    assert list(Job.objects.all()) == [kept]


def test_jobs_that_asked_for_nothing_stay(submit: Submit, client: Client) -> None:
    job = complete(submit())
    got(client, address(job))
    delivery.note(job, 0, 5)
    assert Job.objects.get().expires_at is None


def test_a_time_that_is_over_sooner_is_not_put_off(submit: Submit, client: Client, settings: Settings) -> None:
    settings.DOWNLOAD_GRACE_SECONDS = 86_400
    job = complete(submit(delete_after_download=True, retain_hours=1))
    got(client, address(job))
    assert Job.objects.get().expires_at == job.expires_at


def test_a_call_says_how_long_and_is_refused_beyond_the_limit(
    client: Client, data_dir: Path, settings: Settings
) -> None:
    for given, said in (("25", "The limit is 24 hours"), ("0", "greater than or equal to 1")):
        refused = client.post("/api/v1/jobs", {"retain_hours": given})
        assert refused.status_code == 422
        assert said in refused.json()["detail"]


def test_the_job_tells_when_it_goes(submit: Submit, client: Client, settings: Settings) -> None:
    path = f"/api/v1/jobs/{submit(retain_hours=2).pk}"
    assert client.get(path).json()["expires_at"] is None
    job = complete(Job.objects.get())
    assert job.expires_at is not None
    told = client.get(path).json()
    assert told["expires_at"] == job.expires_at.isoformat().replace("+00:00", "Z")
    assert told["delete_after_download"] is False
    Job.objects.update(expires_at=None, retain_hours=None)
    assert client.get(path).json()["expires_at"] > told["expires_at"]  # the usual 24 hours
    settings.CLEANUP_INTERVAL_MINUTES = 0
    assert client.get(path).json()["expires_at"] is None
