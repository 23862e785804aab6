"""Submissions: what is accepted is there, whole and once; what is refused leaves neither row nor file."""

import shutil
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.db import OperationalError, transaction
from pytest_django.fixtures import Settings

from jobs import errors
from jobs.models import Batch, Job
from jobs.queue import dispatch
from jobs.states import Priority, Status
from jobs.storage import file_names, files
from jobs.submission import admission, rollback, submit
from modelstore.errors import ModelNotReady, ModelUnknown
from tests.eventually import eventually
from tests.jobs.conftest import picture, stored_files
from tests.jobs.submission.helpers import Make, text
from tests.rings import rings
from tests.stored import path_of


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


def test_an_accepted_picture_has_row_file_and_a_bell(make_submission: Make, data_dir: Path) -> None:
    upload = picture(24, 16, name="../../holiday\\cat.png")
    content = upload.getvalue()
    with rings() as heard:
        job = submit.submit(upload, make_submission(outscale=3.0, request_id="r-1"))
        assert heard() == [dispatch.GPU]
    assert (job.status, job.priority, job.attempts) == (Status.QUEUED, Priority.ASYNC, 0)
    assert (job.input_width, job.input_height, job.input_format) == (24, 16, "png")
    assert (job.input_name, job.request_id, job.options) == ("cat.png", "r-1", {"outscale": 3.0})
    assert stored_files(data_dir) == [job.input_file]
    with files.open_input(job) as file:
        assert file.read() == content


def test_an_upload_that_lies_on_the_disk_is_linked_not_copied(make_submission: Make, settings: Settings) -> None:
    upload = TemporaryUploadedFile("cat.png", "image/png", 0, None)
    shutil.copyfileobj(picture(), upload)
    inode = Path(upload.temporary_file_path()).stat().st_ino
    job = submit.submit(upload, make_submission())
    assert path_of(job.input_file).stat().st_ino == inode
    upload.close()
    assert path_of(job.input_file).stat().st_nlink == 1


@pytest.mark.parametrize(
    ("upload", "error", "says"),
    [
        (lambda: text(b""), errors.ImageInvalid, "empty"),
        (text, errors.ImageInvalid, "not an image"),
        (lambda: text(picture(64, 64).getvalue()[:30], "cut.png"), errors.ImageInvalid, "ends too early"),
        (huge_png, errors.ImageTooManyPixels, "30000"),
        (lambda: picture(300, 200), errors.ImageTooManyPixels, "the limit is 0.05 megapixels"),
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


def test_a_result_beyond_the_limit_is_refused_before_anything_is_computed(
    make_submission: Make, settings: Settings
) -> None:
    settings.MAX_OUTPUT_PIXELS = 24 * 16 * 4
    submit.submit(picture(), make_submission())
    with pytest.raises(errors.ImageTooManyPixels, match="the result would be"):
        submit.submit(picture(), make_submission(outscale=2.1))


def test_unknown_and_missing_models_are_told_apart(make_submission: Make, data_dir: Path) -> None:

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


def test_a_bad_file_does_not_sink_the_batch(make_submission: Make, data_dir: Path) -> None:
    uploads = [picture(seed=1, name="a.png"), text(name="b.jpg"), picture(seed=2, name="c.png")]
    with rings() as heard:
        batch = submit.submit_batch(uploads, make_submission(priority=Priority.BATCH))
        assert heard() == [dispatch.GPU]  # one bell for all
    jobs = list(batch.jobs.order_by("batch_index"))
    assert [(job.batch_index, job.input_name, job.priority) for job in jobs] == [
        (0, "a.png", Priority.BATCH),
        (2, "c.png", Priority.BATCH),
    ]
    (entry,) = batch.rejected
    assert (entry["index"], entry["filename"], entry["code"]) == (1, "b.jpg", "image_invalid")
    assert len(stored_files(data_dir)) == 2


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


@pytest.mark.parametrize(
    ("name", "saved"),
    [
        ("holiday.jpg", "holiday_tiny-x2_x2.png"),
        ("../../etc/passwd", "passwd_tiny-x2_x2.png"),
        ('a"b;c\r\n.png', "abc_tiny-x2_x2.png"),
        ("", "upscaled_tiny-x2_x2.png"),
        ("...", "upscaled_tiny-x2_x2.png"),
    ],
)
def test_a_download_has_a_harmless_name(name: str, saved: str) -> None:
    job = Job(model="tiny-x2", input_name=name, input_width=24, result_width=48, result_format="png")
    assert file_names.download_name(job) == saved


def test_a_download_of_the_longest_chain_fits_into_a_file_system() -> None:
    job = Job(
        model="+".join(["m" * 100] * 3), input_name="n" * 255, input_width=24, result_width=58, result_format="webp"
    )
    name = file_names.download_name(job)
    assert len(name.encode()) <= 255
    assert name.endswith("_x2.42.webp")
    job = Job(model="tiny-x1+tiny-x2", input_name="cat.png", input_width=24, result_width=48, result_format="png")
    assert file_names.download_name(job) == "cat_tiny-x1+tiny-x2_x2.png"
