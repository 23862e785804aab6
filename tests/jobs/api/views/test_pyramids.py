"""A picture in tiles over HTTP: made by the first call, for whoever may see the job, gone with it."""

import io
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.db.models.functions import Now
from django.test import Client
from PIL import Image
from pytest_django.fixtures import Settings

from jobs.errors import PyramidNotFound, PyramidsBusy
from jobs.models import Job
from jobs.storage import file_names, files
from jobs.storage.pyramid import making
from jobs.storage.pyramid.making import Wanted
from jobs.storage.retention import cleanup
from tests.eventually import eventually
from tests.jobs.api.views.test_links import MakeKey
from tests.jobs.made import completed
from tests.stored import path_of

pytestmark = [pytest.mark.django_db, pytest.mark.processes]


@pytest.fixture
def done(data_dir: Path) -> Job:
    """A completed job whose result is 1100 × 700."""
    job = completed(files=True, input_sha256="a" * 64)
    pixels = np.random.default_rng(1).integers(0, 256, (700, 1100, 3), np.uint8)
    Image.fromarray(pixels).save(path_of(job.result_file))
    Job.objects.filter(pk=job.pk).update(result_width=1100, result_height=700)
    job.refresh_from_db()
    return job


def pyramid(client: Client, job: Job, **query: str) -> dict[str, Any]:
    """The description, once it is there."""

    def look() -> dict[str, Any] | None:
        answer = client.get(f"/api/v1/jobs/{job.pk}/pyramid", query)
        assert answer.status_code in (200, 202), answer.content
        if answer.status_code == 202:
            assert answer["Retry-After"] == "1"
            assert answer.json()["detail"] == "Tiles still being made"
        return answer.json() if answer.status_code == 200 else None

    found = eventually(look, say="the pyramid")
    assert found is not None
    return found


def test_the_first_call_makes_the_tiles_and_the_next_ones_fetch_them(client: Client, done: Job) -> None:
    found = pyramid(client, done)
    assert (found["width"], found["height"], found["tile_size"]) == (1100, 700, 512)
    assert found["levels"][0] == {"width": 1100, "height": 700, "columns": 3, "rows": 2}
    address = f"/api/v1/jobs/{done.pk}/pyramid/tile?level=0&column=2&row=1"
    tile = client.get(address)
    assert (tile.status_code, tile["Content-Type"]) == (200, found["media_type"])
    assert Image.open(io.BytesIO(tile.getvalue())).size == (1100 - 1024, 700 - 512)
    assert "private" in tile["Cache-Control"]
    assert client.get(address, headers={"If-None-Match": tile["ETag"]}).status_code == 304
    other = client.get(f"/api/v1/jobs/{done.pk}/pyramid/tile?level=1&column=0&row=0")
    assert other["ETag"] != tile["ETag"]


def test_the_picture_that_was_sent_has_tiles_of_its_own(client: Client, done: Job) -> None:
    found = pyramid(client, done, picture="input")
    assert (found["width"], found["height"], len(found["levels"])) == (48, 32, 1)
    tile = client.get(f"/api/v1/jobs/{done.pk}/pyramid/tile?picture=input&level=0&column=0&row=0")
    with Image.open(io.BytesIO(tile.getvalue())) as image:
        red = image.getpixel((9, 9))
    assert isinstance(red, tuple)
    assert red[0] > 200 > 60 > red[2]


@pytest.mark.parametrize(("query", "status", "code"), [
    ("level=0&column=3&row=0", 404, "pyramid_not_found"),
    ("level=9&column=0&row=0", 404, "pyramid_not_found"),
    ("picture=input&level=0&column=0&row=0", 404, "pyramid_not_found"),
    ("level=-1&column=0&row=0", 422, "validation_error"),
    ("level=0&column=1e3&row=0", 422, "validation_error"),
    ("column=0&row=0", 422, "validation_error"),
    ("picture=secret&level=0&column=0&row=0", 422, "validation_error"),
    ("picture=&level=0&column=0&row=0", 422, "validation_error"),
])  # fmt: skip
def test_what_is_no_tile_is_refused(client: Client, done: Job, query: str, status: int, code: str) -> None:
    pyramid(client, done)
    answer = client.get(f"/api/v1/jobs/{done.pk}/pyramid/tile?{query}")
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_picture_that_cannot_be_read_has_none_and_is_not_tried_again_at_once(client: Client, done: Job) -> None:
    path_of(done.result_file).write_bytes(b"\x89PNG\r\n\x1a\n broken")
    address = f"/api/v1/jobs/{done.pk}/pyramid"
    assert client.get(address).status_code == 202
    answer = eventually(lambda: (found := client.get(address)).status_code != 202 and found, say="the refusal")
    assert (answer.status_code, answer.json()["code"]) == (404, "pyramid_not_found")  # type: ignore[union-attr]
    assert not any(path.is_file() for path in path_of(file_names.PYRAMIDS).rglob("*"))


def test_it_goes_with_the_job_and_counts_as_its_file(client: Client, done: Job) -> None:
    pyramid(client, done)
    name = file_names.pyramid_name(done.pk, done.result_sha256)
    assert files.pyramid_bytes() == path_of(name).stat().st_size > 0
    assert cleanup(orphan_seconds=0).orphans == 0  # a job has it
    assert path_of(name).exists()
    Job.objects.update(finished_at=Now() - timedelta(days=9))
    counted, removed = cleanup(dry_run=True), cleanup()
    assert (counted.files, counted.bytes) == (removed.files, removed.bytes)
    assert removed.files == 3  # input, result, pyramid
    assert not path_of(name).exists()


def test_one_that_is_made_while_its_job_is_deleted_leaves_no_file(done: Job) -> None:
    wanted = Wanted(file_names.pyramid_name(done.pk, done.result_sha256), done.result_file, 1100 * 700)
    gone = Wanted(wanted.name, done.result_file + ".gone", 1)
    path_of(done.result_file).rename(path_of(gone.source))
    thread = threading.Thread(target=making.make, args=(gone,))
    thread.start()
    thread.join()
    assert not path_of(wanted.name).exists()


def test_orphaned_pyramids_are_found_by_the_clean_up(done: Job) -> None:
    names = [f"pyramids/00/{'0' * 8}-0000-0000-0000-{'0' * 12}-{'a' * 32}{end}" for end in (".zip", ".0123abcd.part")]
    for name in names:
        files.write(name, b"left")
    assert cleanup(orphan_seconds=0).orphans == 2


def test_only_so_many_wait(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, maker = threading.Event(), making._Maker()
    monkeypatch.setattr(making, "make", lambda wanted: gate.wait(240) and "no use")
    try:
        for number in range(making.MOST_WAITING):
            maker.ask(Wanted(f"{number}", "source", 1))
        maker.ask(Wanted("0", "source", 1))  # it waits already
        with pytest.raises(PyramidsBusy):
            maker.ask(Wanted("another", "source", 1))
    finally:
        gate.set()
    eventually(lambda: not maker._waiting)
    with pytest.raises(PyramidNotFound, match="no use"):
        maker.ask(Wanted("0", "source", 1))
    maker.ask(Wanted("another", "source", 1))


def test_it_is_for_whoever_may_see_the_job(client: Client, done: Job, make_key: MakeKey, settings: Settings) -> None:
    settings.REQUIRE_API_KEY = True
    key, headers = make_key()
    _, others = make_key()
    Job.objects.update(api_key=key)
    for path in ("pyramid", "pyramid/tile?level=0&column=0&row=0"):
        address = f"/api/v1/jobs/{done.pk}/{path}"
        assert client.get(address).status_code == 401
        assert client.get(address, headers=others).json()["code"] == "job_not_found"
    links = client.post(f"/api/v1/jobs/{done.pk}/links", headers=headers).json()
    eventually(lambda: client.get(links["pyramid_url"]).status_code == 200, say="the pyramid")
    assert client.get(f"{links['tile_url']}&level=0&column=0&row=0").status_code == 200
    assert client.get(f"{links['pyramid_url'].replace('/pyramid', '/result')}").status_code == 401
