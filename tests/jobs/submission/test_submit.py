"""Submissions: what is accepted is there, whole and once; what is refused leaves neither row nor file."""

import io
import json
import shutil
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db import OperationalError, transaction
from pytest_django.fixtures import Settings

from jobs import errors
from jobs.models import Batch, Job, WebhookMessage
from jobs.models.results import Finished
from jobs.options import JobOptions
from jobs.queue import dispatch
from jobs.states import Priority, Status
from jobs.storage import file_names, files
from jobs.submission import admission, idempotency, rollback, submit
from jobs.submission.request import Submission
from modelstore.errors import ModelNotReady, ModelUnknown
from tests.eventually import eventually
from tests.jobs.conftest import picture, stored_files
from tests.together import together

Make = Callable[..., submit.Submission]


def text(content: bytes = b"hello", name: str = "notes.jpg") -> Any:
    file = io.BytesIO(content)
    file.name = name
    return file


def huge_png() -> Any:
    """30000×30000 pixels in 40 kB: a decompression bomb."""
    import struct

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 30000, 30000, 1, 0, 0, 0, 0)
    content = zlib.compress(b"\0" * (3751 * 8000), 9)
    return text(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", content) + chunk(b"IEND", b""), "bomb.png"
    )


def test_an_accepted_picture_has_row_file_and_ticket(make_submission: Make, data_dir: Path) -> None:
    upload = picture(24, 16, name="../../holiday\\cat.png")
    content = upload.getvalue()
    job = submit.submit(upload, make_submission(outscale=3.0, request_id="r-1"))
    assert (job.status, job.priority, job.attempts) == (Status.QUEUED, Priority.ASYNC, 0)
    assert (job.input_width, job.input_height, job.input_format) == (24, 16, "png")
    assert (job.input_name, job.request_id, job.options) == ("cat.png", "r-1", {"outscale": 3.0})
    assert stored_files(data_dir) == [job.input_file]
    with files.open_input(job) as file:
        assert file.read() == content
    assert dispatch.tickets(dispatch.GPU) == 1


def test_an_upload_that_lies_on_the_disk_is_linked_not_copied(make_submission: Make, settings: Settings) -> None:
    upload = TemporaryUploadedFile("cat.png", "image/png", 0, None)
    shutil.copyfileobj(picture(), upload)
    inode = Path(upload.temporary_file_path()).stat().st_ino
    job = submit.submit(upload, make_submission())
    assert files.path_of(job.input_file).stat().st_ino == inode
    upload.close()
    assert files.path_of(job.input_file).stat().st_nlink == 1


@pytest.mark.parametrize(
    ("upload", "error", "says"),
    [
        (lambda: text(b""), errors.ImageInvalid, "empty"),
        (text, errors.ImageInvalid, "not an image"),
        (lambda: text(picture(64, 64).getvalue()[:30], "cut.png"), errors.ImageInvalid, "its header is broken"),
        (huge_png, errors.ImageTooManyPixels, "30000"),
        (lambda: picture(300, 200), errors.ImageTooManyPixels, "the limit is 50000 pixels"),
        (lambda: text(b"\0" * 1_000_001), errors.UploadTooLarge, "Upload file exceeds maximum size: 1 MB"),
    ],
    ids=["empty", "text", "truncated", "bomb", "many pixels", "many bytes"],
)
def test_a_refused_picture_leaves_neither_row_nor_file(
    upload: Callable[[], Any],
    error: type[Exception],
    says: str,
    make_submission: Make,
    settings: Settings,
    data_dir: Path,
) -> None:
    settings.MAX_INPUT_PIXELS = 50_000
    settings.MAX_UPLOAD_BYTES, settings.MAX_UPLOAD_MB = 1_000_000, 1
    with pytest.raises(error, match=says):
        submit.submit(upload(), make_submission())
    assert not Job.objects.exists()
    assert stored_files(data_dir) == []
    assert dispatch.tickets(dispatch.GPU) == 0


def test_a_result_beyond_the_limit_is_refused_before_anything_is_computed(
    make_submission: Make, settings: Settings
) -> None:
    settings.MAX_OUTPUT_PIXELS = 24 * 16 * 4
    submit.submit(picture(), make_submission())
    with pytest.raises(errors.ImageTooManyPixels, match="the result would be"):
        submit.submit(picture(), make_submission(outscale=2.1))


def test_unknown_and_missing_models_are_told_apart(make_submission: Make, data_dir: Path) -> None:
    from dataclasses import replace

    with pytest.raises(ModelUnknown):
        submit.submit(picture(), replace(make_submission(), model="nonsense"))
    (data_dir / "models" / "tiny-x2.safetensors").unlink()
    with pytest.raises(ModelNotReady):
        submit.submit(picture(), make_submission())
    assert stored_files(data_dir) == []


def test_a_full_queue_refuses_before_the_row_exists(make_submission: Make, settings: Settings, data_dir: Path) -> None:
    settings.MAX_QUEUED_JOBS = 2
    for seed in range(2):
        submit.submit(picture(seed=seed), make_submission())
    with pytest.raises(errors.QueueFull, match="2 jobs wait") as caught:
        submit.submit(picture(seed=9), make_submission())
    assert "the limit is" in str(caught.value)
    with pytest.raises(errors.QueueFull):
        submit.submit_batch([picture()], make_submission())
    assert Job.objects.count() == 2
    assert len(stored_files(data_dir)) == 2
    assert not Batch.objects.exists()


def test_a_used_up_quota_and_a_full_disk_refuse(
    make_submission: Make, settings: Settings, monkeypatch: pytest.MonkeyPatch, data_dir: Path
) -> None:
    first = submit.submit(picture(), make_submission())
    monkeypatch.setattr(admission, "_stored", admission._Stored())
    settings.MAX_STORAGE_GB = (first.input_bytes + 10) / 1e9
    with pytest.raises(errors.StorageFull, match="space for pictures"):
        submit.submit(picture(seed=2), make_submission())
    settings.MAX_STORAGE_GB = 0
    settings.MIN_FREE_DISK_MB = 10**9
    with pytest.raises(errors.StorageFull, match="must stay free"):
        submit.submit(picture(seed=2), make_submission())
    assert stored_files(data_dir) == [first.input_file]


def test_a_row_that_cannot_be_written_takes_its_file_with_it(
    make_submission: Make, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(times: int = 1) -> None:
        raise RuntimeError("no doorbell")

    monkeypatch.setattr(dispatch, "ring", broken)
    with pytest.raises(RuntimeError):
        submit.submit(picture(), make_submission())
    assert not Job.objects.exists()
    assert stored_files(data_dir) == []


def test_a_connection_that_breaks_after_the_commit_costs_the_job_no_file(
    make_submission: Make, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def broken() -> Iterator[None]:
        with transaction.atomic():
            yield
        raise OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(rollback, "transaction", SimpleNamespace(atomic=broken))
    with pytest.raises(OperationalError):
        submit.submit(picture(), make_submission())
    eventually(lambda: rollback._doubts._thread is None, say="the database's word on that transaction")
    assert stored_files(data_dir) == [Job.objects.get().input_file]


# --- Idempotency-Key ------------------------------------------------------------------------------------------------


def test_a_repeated_call_gets_the_first_job(make_submission: Make, data_dir: Path) -> None:
    first = submit.submit(picture(), make_submission(idempotency_key="k"))
    again = submit.submit(picture(), make_submission(idempotency_key="k"))
    assert again.pk == first.pk
    assert stored_files(data_dir) == [first.input_file]
    assert dispatch.tickets(dispatch.GPU) == 1


def test_a_repetition_is_answered_even_when_the_queue_is_full(make_submission: Make, settings: Settings) -> None:
    first = submit.submit(picture(), make_submission(idempotency_key="k"))
    settings.MAX_QUEUED_JOBS = 1
    assert submit.submit(picture(), make_submission(idempotency_key="k")).pk == first.pk


@pytest.mark.parametrize("other", [{"seed": 2}, {"options": {"tile_size": 64}}])
def test_a_key_used_for_something_else_is_refused(make_submission: Make, other: dict[str, Any]) -> None:
    submit.submit(picture(), make_submission(idempotency_key="k"))
    with pytest.raises(errors.IdempotencyConflict):
        submit.submit(
            picture(seed=other.get("seed", 1)), make_submission(idempotency_key="k", **other.get("options", {}))
        )
    with pytest.raises(errors.IdempotencyConflict):
        submit.submit_batch([picture()], make_submission(idempotency_key="k"))
    assert Job.objects.count() == 1


@pytest.mark.parametrize(
    "other",
    [
        {"reuse": True},
        {"reuse": False},
        {"webhook_url": "https://example.org/other"},
        {"webhook_events": ("job.completed",)},
    ],
)
def test_a_key_used_with_another_wish_beside_the_options_is_refused(
    make_submission: Make, other: dict[str, Any]
) -> None:
    first = {"idempotency_key": "k", "webhook_url": "https://example.org/a"}
    submit.submit(picture(), make_submission(**first))
    with pytest.raises(errors.IdempotencyConflict):
        submit.submit(picture(), make_submission(**(first | other)))
    assert Job.objects.count() == 1


def test_every_field_of_a_submission_counts_or_is_named_as_one_that_does_not() -> None:
    """So that a wish which is added later cannot be forgotten here."""
    plain = Submission("m", JobOptions())
    values: dict[str, Any] = {
        "model": "other",
        "options": JobOptions(quality=5),
        "webhook_url": "https://example.org",
        "webhook_events": ("job.failed",),
        "reuse": False,
    }
    usual = idempotency.fingerprint_of(plain, "job", ["a"])
    for field in fields(Submission):
        if field.name in idempotency._NOT_COMPARED:
            continue
        assert field.name in values, f"{field.name} is new: give a value here, or say that it does not count"
        changed = replace(plain, **{field.name: values[field.name]})
        assert idempotency.fingerprint_of(changed, "job", ["a"]) != usual, field.name


def test_the_order_of_events_makes_no_other_call() -> None:
    one, two = (
        Submission("m", JobOptions(), webhook_url="https://example.org", webhook_events=events)
        for events in (("job.failed", "job.completed"), ("job.completed", "job.failed"))
    )
    assert idempotency.fingerprint_of(one, "job", []) == idempotency.fingerprint_of(two, "job", [])


def test_ten_simultaneous_calls_with_one_key_make_one_job(make_submission: Make, data_dir: Path) -> None:
    found = together(10, lambda _: submit.submit(picture(), make_submission(idempotency_key="k")))
    job = Job.objects.get()
    assert [each.pk for each in found] == [job.pk] * 10
    assert stored_files(data_dir) == [job.input_file]
    assert dispatch.tickets(dispatch.GPU) == 1


def test_an_expired_key_may_be_used_again(make_submission: Make, settings: Settings) -> None:
    from datetime import timedelta

    from django.db.models.functions import Now

    from jobs.models import IdempotencyKey

    first = submit.submit(picture(), make_submission(idempotency_key="k"))
    IdempotencyKey.objects.update(created_at=Now() - timedelta(hours=settings.IDEMPOTENCY_TTL_HOURS, seconds=1))
    second = submit.submit(picture(seed=2), make_submission(idempotency_key="k"))
    assert second.pk != first.pk
    assert submit.submit(picture(seed=2), make_submission(idempotency_key="k")).pk == second.pk


def test_callers_do_not_meet_each_others_keys(make_submission: Make) -> None:
    from jobs.models import ApiKey

    keys = [ApiKey.objects.create(name=name, prefix=name, digest=name, scopes=["upscale"]) for name in ("a", "b")]
    jobs = [submit.submit(picture(), make_submission(idempotency_key="k", api_key=key)) for key in keys]
    assert jobs[0].pk != jobs[1].pk
    assert list(Job.objects.visible_to(keys[0])) == [jobs[0]]
    assert Job.objects.visible_to(None).count() == 2


# --- Reuse ----------------------------------------------------------------------------------------------------------


def complete(job: Job) -> Job:
    """As a worker would, with a result of five bytes."""
    claimed = Job.objects.claim("w")
    assert claimed is not None
    assert claimed.pk == job.pk
    assert claimed.token
    names = [
        file_names.result_name(job.pk, claimed.token, "png"),
        file_names.preview_name(job.pk, claimed.token, "jpeg"),
    ]
    for name in names:
        files.path_of(name).parent.mkdir(parents=True, exist_ok=True)
        files.path_of(name).write_bytes(b"pixel")
    assert Job.objects.succeed(claimed, Finished(names[0], 5, "png", 48, 32, "f" * 64, 1, 1, {"tiles": 1}))
    done = Job.objects.get(pk=job.pk)
    assert Job.objects.add_preview(done, names[1])
    done.refresh_from_db()
    return done


def test_equal_work_is_answered_from_the_existing_result(make_submission: Make) -> None:
    first = complete(submit.submit(picture(), make_submission()))
    again = submit.submit(picture(name="other.png"), make_submission(reuse=True))
    assert (again.status, again.reused_from, again.attempts) == (Status.COMPLETED, first.pk, 0)
    assert (again.result_width, again.result_sha256) == (48, first.result_sha256)
    files.remove(file_names.names_of(first))
    with files.open_result(again) as file:
        assert file.read() == b"pixel"
    with files.open_preview(again) as file:
        assert file.read() == b"pixel"


def test_an_existing_result_needs_no_worker_and_no_place_in_the_queue(
    make_submission: Make, settings: Settings
) -> None:
    def nobody() -> None:
        raise errors.NoWorker("nobody works")

    complete(submit.submit(picture(), make_submission()))
    settings.MAX_QUEUED_JOBS = 0
    wish = make_submission(reuse=True, require_worker=nobody)
    assert submit.submit(picture(), wish).status == Status.COMPLETED
    assert submit.submit_batch([picture()], make_submission(reuse=True)).jobs.get().status == Status.COMPLETED
    with pytest.raises(errors.NoWorker):
        submit.submit(picture(seed=2), wish)
    with pytest.raises(errors.NoWorker):
        submit.submit(picture(), make_submission(reuse=False, require_worker=nobody))
    with pytest.raises(errors.QueueFull):
        submit.submit_batch([picture(), picture(seed=2)], make_submission(reuse=True))


def test_a_result_whose_file_is_gone_does_not_stand_for_a_worker(make_submission: Make) -> None:
    def nobody() -> None:
        raise errors.NoWorker("nobody works")

    first = complete(submit.submit(picture(), make_submission()))
    files.path_of(first.result_file).unlink()
    with pytest.raises(errors.NoWorker):
        submit.submit(picture(), make_submission(reuse=True, require_worker=nobody))


@pytest.mark.parametrize("other", [{"reuse": False}, {"outscale": 3.0, "reuse": True}])
def test_other_work_is_computed(make_submission: Make, other: dict[str, Any]) -> None:
    complete(submit.submit(picture(), make_submission()))
    assert submit.submit(picture(), make_submission(**other)).status == Status.QUEUED


def test_a_setting_reuses_without_being_asked(make_submission: Make, settings: Settings) -> None:
    complete(submit.submit(picture(), make_submission()))
    settings.REUSE_RESULTS = True
    assert submit.submit(picture(), make_submission()).status == Status.COMPLETED
    assert submit.submit(picture(), make_submission(reuse=False)).status == Status.QUEUED


def test_a_result_that_was_cleaned_up_is_computed_anew(make_submission: Make, data_dir: Path) -> None:
    first = complete(submit.submit(picture(), make_submission()))
    files.path_of(first.result_file).unlink()
    again = submit.submit(picture(), make_submission(reuse=True))
    assert again.status == Status.QUEUED
    assert set(stored_files(data_dir)) == {first.input_file, first.preview_file, again.input_file}


def test_a_result_without_a_preview_is_a_result(make_submission: Make, data_dir: Path) -> None:
    first = complete(submit.submit(picture(), make_submission()))
    files.path_of(first.preview_file).unlink()
    again = submit.submit(picture(), make_submission(reuse=True))
    assert (again.status, again.preview_file) == (Status.COMPLETED, "")
    assert set(stored_files(data_dir)) == {first.input_file, first.result_file, again.input_file, again.result_file}


def test_another_file_under_the_models_name_is_other_work(make_submission: Make, model: Any) -> None:
    complete(submit.submit(picture(), make_submission()))
    type(model).objects.update(sha256="a" * 64)
    assert submit.submit(picture(), make_submission(reuse=True)).status == Status.QUEUED


# --- Batch and plan -------------------------------------------------------------------------------------------------


def test_a_bad_file_does_not_sink_the_batch(make_submission: Make, data_dir: Path) -> None:
    uploads = [picture(seed=1, name="a.png"), text(name="b.jpg"), picture(seed=2, name="c.png")]
    batch = submit.submit_batch(uploads, make_submission())
    jobs = list(batch.jobs.order_by("batch_index"))
    assert [(job.batch_index, job.input_name, job.priority) for job in jobs] == [
        (0, "a.png", Priority.BATCH),
        (2, "c.png", Priority.BATCH),
    ]
    (entry,) = batch.rejected
    assert (entry["index"], entry["filename"], entry["code"]) == (1, "b.jpg", "image_invalid")
    assert len(stored_files(data_dir)) == 2
    assert dispatch.tickets(dispatch.GPU) == 2


def test_a_batch_of_bad_files_is_refused_with_every_reason(make_submission: Make, data_dir: Path) -> None:
    with pytest.raises(errors.BatchRejected) as caught:
        submit.submit_batch([text(), text(b"")], make_submission())
    assert [entry["index"] for entry in caught.value.rejected] == [0, 1]
    assert not Batch.objects.exists()
    assert stored_files(data_dir) == []


def test_a_batch_is_bounded(make_submission: Make, settings: Settings) -> None:
    settings.MAX_BATCH_IMAGES = 2
    with pytest.raises(errors.BatchTooLarge, match="1 to 2 images"):
        submit.submit_batch([picture() for _ in range(3)], make_submission())


def test_a_batch_that_reuses_results_tells_its_end_once_and_only_at_its_end(make_submission: Make) -> None:
    for seed in (1, 2):
        complete(submit.submit(picture(seed=seed), make_submission()))
    told = {"reuse": True, "webhook_url": "http://127.0.0.1:9/hook", "webhook_events": ("batch.completed",)}
    whole = submit.submit_batch([picture(seed=1), picture(seed=2)], make_submission(**told))
    (message,) = WebhookMessage.objects.filter(batch_id=whole.pk)
    assert json.loads(message.body)["data"]["counts"]["completed"] == 2
    part = submit.submit_batch([picture(seed=1), picture(seed=2), picture(seed=3)], make_submission(**told))
    assert not WebhookMessage.objects.filter(batch_id=part.pk).exists()
    complete(part.jobs.get(status=Status.QUEUED))
    assert WebhookMessage.objects.filter(batch_id=part.pk).count() == 1


def test_a_repeated_batch_is_one_batch(make_submission: Make) -> None:
    first = submit.submit_batch([picture(), text()], make_submission(idempotency_key="k"))
    again = submit.submit_batch([picture(), text()], make_submission(idempotency_key="k"))
    assert first.pk == again.pk
    assert Job.objects.count() == 1


def test_a_plan_says_what_it_would_cost_and_creates_nothing(make_submission: Make, data_dir: Path) -> None:
    plan = submit.plan(picture(100, 50), make_submission(tile_size=50, tile_pad=4))
    assert (plan.width, plan.height, plan.output_width, plan.output_height, plan.scale) == (100, 50, 200, 100, 2.0)
    assert plan.tiles is not None
    assert plan.tiles >= 2
    assert plan.memory_bytes is not None
    assert plan.memory_bytes > 200 * 100 * 3
    assert plan.seconds is None  # nothing was measured yet
    assert not Job.objects.exists()
    assert stored_files(data_dir) == []
    complete(submit.submit(picture(), make_submission()))
    Job.objects.update(processing_seconds=4.0)
    assert submit.plan(picture(), make_submission()).seconds == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("name", "saved"),
    [
        ("holiday.jpg", "holiday_tiny-x2_2x.png"),
        ("../../etc/passwd", "passwd_tiny-x2_2x.png"),
        ('a"b;c\r\n.png', "abc_tiny-x2_2x.png"),
        ("", "upscaled_tiny-x2_2x.png"),
        ("...", "upscaled_tiny-x2_2x.png"),
    ],
)
def test_a_download_has_a_harmless_name(name: str, saved: str) -> None:
    job = Job(model="tiny-x2", input_name=name, input_width=24, result_width=48, result_format="png")
    assert file_names.download_name(job) == saved
