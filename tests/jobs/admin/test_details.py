"""The page of one job: pictures side by side, facts, times, webhooks; pictures are for those who may see jobs."""

from typing import Any

import pytest
from django.test import Client

from tests.jobs import made
from tests.jobs.admin.conftest import address
from tests.staff import Staff
from tests.stored import path_of

pytestmark = pytest.mark.django_db


def test_it_tells_everything_about_a_completed_job(staff: Staff, django_assert_max_num_queries: Any) -> None:
    job = made.completed(files=True, webhook_url="https://example.org/hook", webhook_events=["job.completed"])
    client = staff("Viewers")
    with django_assert_max_num_queries(12):
        page = client.get(address(job)).content.decode()
    for fact in ("cat.png", "48×32 px PNG", "96×64 px PNG", "Test CPU", "fp32", "gpu@test:1-abc", "tiny-x2"):
        assert fact in page
    for span in ("queue", "decode", "load", "infer", "encode"):
        assert f'class="span-{span}"' in page
    assert "job.completed" in page
    assert "https://example.org/hook" in page


def test_it_tells_of_each_member_of_a_chain(staff: Staff) -> None:
    members = [
        {"model": name, "scale": scale, "backend": "torch", "precision": "fp32", "tiles": 4, "seconds": {"infer": 1.5}}
        for name, scale in (("tiny-x1", 1), ("tiny-x2", 2))
    ]
    job = made.completed(model="tiny-x1+tiny-x2", report={**made.REPORT, "members": members})
    page = staff("Viewers").get(address(job)).content.decode()
    assert "tiny-x1+tiny-x2" in page
    for member in ("1×, torch, fp32, 4 tiles, 1.50 s", "2×, torch, fp32, 4 tiles, 1.50 s"):
        assert member in page


@pytest.mark.parametrize("members", ["text", [7], [{}], [{"seconds": 3}], None])
def test_a_report_of_another_version_breaks_no_page(staff: Staff, members: object) -> None:
    job = made.completed(report={**made.REPORT, "members": members})
    assert staff("Viewers").get(address(job)).status_code == 200


def test_spans_fill_the_bar(staff: Staff) -> None:
    from jobs.admin.details import spans

    found = spans(made.completed())
    assert found[0].start == 0
    assert 990 <= found[-1].start + found[-1].share <= 1010


def test_a_failed_job_says_why_and_has_no_result(staff: Staff) -> None:
    page = staff("Viewers").get(address(made.failed("out_of_memory"))).content.decode()
    assert "it failed: out_of_memory" in page
    assert "No result yet" in page


def test_names_from_callers_are_escaped(staff: Staff) -> None:
    job = made.queued(input_name="<script>alert(1)</script>.png", request_id='"><b>')
    client = staff("Viewers")
    pages = client.get(address(job)), client.get("/admin/jobs/job/")
    assert b"&lt;script&gt;alert" in pages[0].content
    assert str(job.pk).encode() in pages[1].content
    for page in pages:
        assert b"<script>alert" not in page.content
        assert b'"><b>' not in page.content


def test_no_page_needs_an_inline_script_or_style(staff: Staff) -> None:
    job = made.completed()
    client = staff("Managers")
    for path in (address(job), address(job, "delete/"), "/admin/jobs/job/", "/admin/operations/", "/admin/"):
        answer = client.get(path)
        page = answer.content.decode()
        assert answer.status_code == 200, path
        assert " style=" not in page, path
        assert "<style" not in page, path
        assert "onclick=" not in page, path
        assert "<script>" not in page, path


@pytest.mark.parametrize("object_id", ["00000000-0000-0000-0000-000000000000", "no-uuid", "1"])
def test_an_unknown_job_leads_back_with_a_message(staff: Staff, object_id: str) -> None:
    assert staff("Viewers").get(f"/admin/jobs/job/{object_id}/change/").status_code == 302


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\nbroken"])
def test_a_broken_file_is_a_404_and_no_error(staff: Staff, content: bytes) -> None:
    job = made.queued()
    made.put(job.input_file, content)
    assert staff("Viewers").get(address(job, "input/thumb.webp")).status_code == 404


def test_a_missing_file_is_a_404(staff: Staff) -> None:
    job = made.queued()
    client = staff("Viewers")
    for rest in (
        "input/thumb.webp",
        "result/view.webp",
        "input/file",
        "result/file",
        "input/huge.webp",
        "etc/view.webp",
    ):
        assert client.get(address(job, rest)).status_code == 404, rest


def test_originals_are_saved_and_never_shown_as_a_page(staff: Staff) -> None:
    job = made.completed(files=True, input_name="a.html")
    client = staff("Viewers")
    for kind, stored in (("input", job.input_file), ("result", job.result_file)):
        answer = client.get(address(job, f"{kind}/file"))
        assert answer["Content-Type"] == "application/octet-stream"
        assert answer["Content-Disposition"].startswith("attachment")
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer.getvalue() == path_of(stored).read_bytes()


def test_pictures_need_the_permission_to_view_jobs(staff: Staff, client: Client) -> None:
    job = made.completed(files=True)
    for rest in ("input/view.webp", "result/thumb.webp", "input/file", "result/file"):
        assert staff().get(address(job, rest)).status_code == 403
        assert client.get(address(job, rest)).status_code == 302  # to the login
