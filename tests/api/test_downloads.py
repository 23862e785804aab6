"""Downloads: names, conditions, byte ranges, HEAD."""

import hashlib
from typing import Any

import httpx
import pytest

from tests.api.conftest import is_error, picture
from tests.tiny_models import TINY_MODEL


@pytest.fixture
def done(api: httpx.Client) -> dict[str, Any]:
    """A completed job."""
    response = api.post("/upscale", files={"image": ("cat.png", picture(60, 40))}, data={"model": TINY_MODEL})
    job: dict[str, Any] = api.get(f"/jobs/{response.headers['X-Job-ID']}").json()
    return job


def test_the_whole_result(api: httpx.Client, done: dict[str, Any]) -> None:
    response = api.get(f"/jobs/{done['job_id']}/result")
    assert response.status_code == 200
    assert int(response.headers["Content-Length"]) == len(response.content) == done["result_bytes"]
    assert hashlib.sha256(response.content).hexdigest() == done["result_sha256"]
    assert response.headers["ETag"] == f'"{done["result_sha256"]}"'
    assert response.headers["Accept-Ranges"] == "bytes"
    assert response.headers["Content-Disposition"] == f'attachment; filename="cat_{TINY_MODEL}_x2.png"'


def test_head_answers_the_same_headers_without_the_bytes(api: httpx.Client, done: dict[str, Any]) -> None:
    whole, head = api.get(f"/jobs/{done['job_id']}/result"), api.head(f"/jobs/{done['job_id']}/result")
    assert head.status_code == 200
    assert head.content == b""
    for name in ("Content-Length", "Content-Type", "ETag", "Content-Disposition", "Last-Modified"):
        assert head.headers[name] == whole.headers[name]


@pytest.mark.parametrize(
    ("wanted", "first", "stop"),
    [("bytes=0-9", 0, 10), ("bytes=10-", 10, None), ("bytes=-7", -7, None), ("bytes=5-5", 5, 6)],
)
def test_one_range(api: httpx.Client, done: dict[str, Any], wanted: str, first: int, stop: int | None) -> None:
    whole = api.get(f"/jobs/{done['job_id']}/result").content
    part = api.get(f"/jobs/{done['job_id']}/result", headers={"Range": wanted})
    assert part.status_code == 206
    assert part.content == whole[first:stop]
    assert int(part.headers["Content-Length"]) == len(part.content)
    assert part.headers["Content-Range"].endswith(f"/{len(whole)}")


def test_a_download_that_broke_off_is_continued_with_if_range(api: httpx.Client, done: dict[str, Any]) -> None:
    url = f"/jobs/{done['job_id']}/result"
    whole = api.get(url)
    rest = api.get(url, headers={"Range": "bytes=100-", "If-Range": whole.headers["ETag"]})
    assert (rest.status_code, rest.content) == (206, whole.content[100:])
    other = api.get(url, headers={"Range": "bytes=100-", "If-Range": '"something else"'})
    assert (other.status_code, other.content) == (200, whole.content)


def test_a_range_beyond_the_end(api: httpx.Client, done: dict[str, Any]) -> None:
    response = api.get(f"/jobs/{done['job_id']}/result", headers={"Range": "bytes=99999999-"})
    assert is_error(response, 416, "range_not_satisfiable")
    assert response.headers["Content-Range"] == f"bytes */{done['result_bytes']}"


def test_conditions(api: httpx.Client, done: dict[str, Any]) -> None:
    url, etag = f"/jobs/{done['job_id']}/result", f'"{done["result_sha256"]}"'
    unchanged = api.get(url, headers={"If-None-Match": etag})
    assert (unchanged.status_code, unchanged.content, unchanged.headers["ETag"]) == (304, b"", etag)
    assert api.get(url, headers={"If-None-Match": '"other"'}).status_code == 200
    assert is_error(api.get(url, headers={"If-Match": '"other"'}), 412, "precondition_failed")
    assert api.get(url, headers={"If-Match": etag}).status_code == 200


def test_conditions_on_the_time(api: httpx.Client, done: dict[str, Any]) -> None:
    url = f"/jobs/{done['job_id']}/result"
    whole = api.get(url)
    modified = whole.headers["Last-Modified"]
    earlier, later = "Thu, 01 Jan 2015 00:00:00 GMT", "Thu, 01 Jan 2099 00:00:00 GMT"
    for since in (modified, later):
        unchanged = api.get(url, headers={"If-Modified-Since": since})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        assert unchanged.headers["ETag"] == whole.headers["ETag"]
    for since in (earlier, "not a date"):
        assert api.get(url, headers={"If-Modified-Since": since}).content == whole.content
    assert api.head(url, headers={"If-Modified-Since": modified}).status_code == 304
    both = api.get(url, headers={"If-Modified-Since": modified, "If-None-Match": '"other"'})
    assert both.status_code == 200, "the tag is the better word"
    assert is_error(api.get(url, headers={"If-Unmodified-Since": earlier}), 412, "precondition_failed")
    assert api.get(url, headers={"If-Unmodified-Since": modified}).status_code == 200
    part = {"Range": "bytes=0-9"}
    assert api.get(url, headers=part | {"If-Range": modified}).content == whole.content[:10]
    assert api.get(url, headers=part | {"If-Range": earlier}).content == whole.content


def test_preview_and_input_are_pictures_to_look_at(api: httpx.Client, done: dict[str, Any]) -> None:
    for url in (done["preview_url"], f"/api/v1/jobs/{done['job_id']}/input"):
        response = api.get(url.removeprefix("/api/v1"))
        assert response.status_code == 200, response.text
        assert response.headers["Content-Type"].startswith("image/")
        assert response.headers["Content-Disposition"].startswith("inline")
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert api.get(f"/jobs/{done['job_id']}/input").content == picture(60, 40)


def test_a_job_that_was_cancelled_has_no_result(api: httpx.Client, slow_job: dict[str, Any]) -> None:
    queued = api.post("/jobs", files={"image": picture()}, data={"model": TINY_MODEL}).json()
    assert api.post(f"/jobs/{queued['job_id']}/cancel").status_code == 200
    assert is_error(api.get(f"/jobs/{queued['job_id']}/result"), 404, "result_not_found")
    assert is_error(api.get(f"/jobs/{queued['job_id']}/preview"), 404, "result_not_found")


def test_a_deleted_job_is_gone_with_its_files(api: httpx.Client, done: dict[str, Any]) -> None:
    assert api.delete(f"/jobs/{done['job_id']}").status_code == 204
    for path in ("", "/result", "/preview", "/input", "/events"):
        assert is_error(api.get(f"/jobs/{done['job_id']}{path}"), 404, "job_not_found")
