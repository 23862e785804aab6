"""What staff do to jobs, each with its own permission; who may not act sees no button and is refused."""

import io
import zipfile
from pathlib import Path

import pytest
from django.contrib.messages import get_messages
from django.test import Client

from jobs.models import Job
from jobs.states import Status
from tests.jobs import made
from tests.staff import Staff
from tests.stored import path_of

pytestmark = pytest.mark.django_db

LIST = "/admin/jobs/job/"


def act(client: Client, action: str, *jobs: Job, **more: str) -> tuple[int, list[str], bytes]:
    """Choose jobs in the list and run an action; returns status, messages and content."""
    data = {"action": action, "_selected_action": [str(job.pk) for job in jobs], **more}
    answer = client.post(LIST, data)
    said = [str(message) for message in get_messages(answer.wsgi_request)]
    return answer.status_code, said, answer.getvalue()


def state(job: Job) -> str:
    return Job.objects.get(pk=job.pk).status


def test_cancelling_many_tells_what_was_done_and_what_was_refused(staff: Staff) -> None:
    done = made.completed()
    waiting = made.queued()
    _, said, _ = act(staff("Operators"), "cancel_jobs", waiting, done)
    assert (state(waiting), state(done)) == (Status.CANCELLED, Status.COMPLETED)
    assert "1 job was cancelled." in said
    assert any(str(done.pk) in text and "cannot be cancelled" in text for text in said)


def test_a_retried_job_waits_again(staff: Staff) -> None:
    broken = made.failed()
    _, said, _ = act(staff("Operators"), "retry_jobs", broken)
    assert state(broken) == Status.QUEUED
    assert said == ["1 job waits again."]


def test_the_results_of_many_come_as_one_zip(staff: Staff) -> None:
    one, two = made.completed(files=True), made.completed(files=True)
    failed = made.failed()
    status, _, content = act(staff("Viewers"), "download_results", one, two, failed)
    assert status == 200
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == 2
        assert archive.read(archive.namelist()[0]) == path_of(one.result_file).read_bytes()


def test_a_zip_of_nothing_is_a_message(staff: Staff) -> None:
    status, said, _ = act(staff("Viewers"), "download_results", made.failed())
    assert status == 302
    assert said == ["None of these jobs has a result."]


def test_deleting_asks_first_and_then_removes_rows_and_files(staff: Staff, data_dir: Path) -> None:
    client = staff("Managers")
    done = made.completed(files=True)
    waiting = made.queued(files=True)
    status, _, page = act(client, "delete_with_files", done, waiting)
    assert status == 200
    assert b"will be gone for good" in page
    assert b"cancel it first" in page
    assert Job.objects.count() == 2
    _, said, _ = act(client, "delete_with_files", done, waiting, post="yes")
    assert [job.pk for job in Job.objects.all()] == [waiting.pk]
    left = [path.name for path in (data_dir / "files").rglob("*") if path.is_file()]
    assert left == [Path(waiting.input_file).name]
    assert said[0].startswith("1 job was deleted with its files")
    assert "1 live jobs stay: cancel them first." in said


def test_djangos_own_deletion_is_not_offered(staff: Staff) -> None:
    page = staff("Managers").get(LIST).content.decode()
    made.queued()
    assert "delete_selected" not in page


def test_one_job_is_deleted_from_its_page(staff: Staff, data_dir: Path) -> None:
    client = staff("Managers")
    done = made.completed(files=True)
    address = f"{LIST}{done.pk}/delete/"
    assert b"will be gone for good" in client.get(address).content
    assert client.post(address, {"post": "yes"}).status_code == 302
    assert not Job.objects.exists()
    assert not [path for path in (data_dir / "files").rglob("*") if path.is_file()]


ACTIONS = {
    "cancel_jobs": {"Operators", "Managers"},
    "retry_jobs": {"Operators", "Managers"},
    "download_results": {"Viewers", "Operators", "Managers"},
    "delete_with_files": {"Managers"},
}


@pytest.mark.parametrize("group", ["Viewers", "Operators", "Managers"])
def test_each_group_sees_only_what_it_may_do(staff: Staff, group: str) -> None:
    waiting = made.queued()
    client = staff(group)
    page = client.get(LIST).content.decode()
    assert {action for action in ACTIONS if f'value="{action}"' in page} == {
        action for action, groups in ACTIONS.items() if group in groups
    }
    detail = client.get(f"{LIST}{waiting.pk}/change/").content.decode()
    assert ("/do/cancel" in detail) == (group != "Viewers")
    broken = Job.objects.cancel(waiting.pk)
    detail = client.get(f"{LIST}{broken.pk}/change/").content.decode()
    assert ("/do/retry" in detail) == (group != "Viewers")
    assert (f"{broken.pk}/delete/" in detail) == (group == "Managers")


@pytest.mark.parametrize("action", ["cancel_jobs", "retry_jobs", "delete_with_files"])
def test_a_viewer_who_posts_by_hand_is_refused(staff: Staff, action: str) -> None:
    waiting, done = made.failed(), made.queued()
    before = set(Job.objects.values_list("pk", "status"))
    act(staff("Viewers"), action, waiting, done, post="yes")
    assert set(Job.objects.values_list("pk", "status")) == before


def test_buttons_need_post_and_permission(staff: Staff) -> None:
    waiting = made.queued()
    address = f"{LIST}{waiting.pk}/do/cancel"
    assert staff("Viewers").post(address).status_code == 403
    operator = staff("Operators")
    assert operator.get(address).status_code == 405
    assert operator.post(f"{LIST}{waiting.pk}/do/explode").status_code == 404
    assert staff("Operators").post(f"{LIST}{waiting.pk}/delete/", {"post": "yes"}).status_code == 403
    assert state(waiting) == Status.QUEUED
    assert operator.post(address).status_code == 302
    assert state(waiting) == Status.CANCELLED


def test_nobody_adds_or_edits_a_job(staff: Staff) -> None:
    client = staff("Managers")
    assert client.get(f"{LIST}add/").status_code == 403
    job = made.queued()
    client.post(f"{LIST}{job.pk}/change/", {"status": "completed", "model": "x"})
    assert (state(job), Job.objects.get().model) == (Status.QUEUED, "tiny-x2")
