"""What staff see and may do with models."""

from pathlib import Path

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from modelstore.downloads import requests, runner
from modelstore.models import Model
from modelstore.states import State
from tests.modelstore.conftest import TestOfficial

pytestmark = pytest.mark.usefixtures("plain_static_files")

LIST = "/admin/modelstore/model/"
IMPORT = f"{LIST}import/"


def staff(*permissions: str) -> Client:
    user = User.objects.create_user(f"staff-{'-'.join(permissions)}", password="secret", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions, content_type__app_label="modelstore"))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def viewer(official: TestOfficial) -> Client:
    return staff("view_model")


@pytest.fixture
def operator(official: TestOfficial) -> Client:
    return staff("view_model", "operate_model")


@pytest.fixture
def manager(official: TestOfficial) -> Client:
    return staff("view_model", "operate_model", "manage_model")


def act(client: Client, action: str, model: Model) -> str:
    answer = client.post(LIST, {"action": action, "_selected_action": [model.pk]}, follow=True)
    return answer.content.decode()


def press(client: Client, name: str, model: Model) -> int:
    return client.post(f"{LIST}{model.pk}/do/{name}/").status_code


def test_a_viewer_sees_models_and_no_buttons(viewer: Client, official: TestOfficial) -> None:
    page = viewer.get(LIST).content.decode()
    assert official.name in page
    assert "not downloaded" in page
    assert "Import a model" not in page
    assert 'name="action"' not in page
    detail = viewer.get(f"{LIST}{official.row.pk}/change/").content.decode()
    assert "model-action" not in detail
    assert official.row.sha256 in detail


def test_sizes_are_in_the_units_of_the_page(viewer: Client, official: TestOfficial) -> None:
    Model.objects.filter(pk=official.row.pk).update(size_bytes=67_040_989)
    page = viewer.get(LIST).content.decode()
    assert "67.0 MB" in page
    assert "<h1>Models</h1>" in page


@pytest.mark.parametrize("name", ["download", "cancel", "verify", "delete", "unknown"])
def test_a_viewer_may_do_nothing(viewer: Client, official: TestOfficial, name: str) -> None:
    assert press(viewer, name, official.row) == 403
    assert official.row.state == State.MISSING
    assert viewer.get(IMPORT).status_code == 403


def test_strangers_are_sent_to_the_login(client: Client, official: TestOfficial) -> None:
    for address in (LIST, IMPORT, f"{LIST}progress/"):
        assert client.get(address).status_code == 302


def test_nobody_types_a_model_or_edits_one(manager: Client, official: TestOfficial) -> None:
    assert manager.get(f"{LIST}add/").status_code == 403
    manager.post(f"{LIST}{official.row.pk}/change/", {"name": "other"})
    assert official.row.name == official.name


def test_an_operator_downloads_and_verifies(operator: Client, official: TestOfficial) -> None:
    assert f"Download requested: {official.name}" in act(operator, "download_models", official.row)
    assert official.row.state == State.REQUESTED
    assert "Cancel the download" in operator.get(f"{LIST}{official.row.pk}/change/").content.decode()
    runner.run_waiting()
    assert f"Checksum verified: {official.name}" in act(operator, "verify_models", official.row)
    assert f"Already downloaded: {official.name}" in act(operator, "download_models", official.row)
    assert press(operator, "delete", official.row) == 403
    assert official.row.state == State.READY


def test_an_operator_cancels(operator: Client, official: TestOfficial) -> None:
    requests.order([official.name])
    assert press(operator, "cancel", official.row) == 302
    assert official.row.state == State.MISSING


def test_a_manager_deletes(manager: Client, official: TestOfficial, models_dir: Path) -> None:
    requests.order([official.name])
    runner.run_waiting()
    question = act(manager, "delete_models", official.row)
    assert "Delete the file?" in question
    assert list(models_dir.iterdir()) != [], "asked first"
    sure = {"action": "delete_models", "_selected_action": [official.row.pk], "post": "yes"}
    assert f"Deleted {official.name}" in manager.post(LIST, sure, follow=True).content.decode()
    assert list(models_dir.iterdir()) == []


def test_a_row_offers_what_its_state_and_the_reader_allow(official: TestOfficial) -> None:
    viewer, operator, manager = (
        staff("view_model"),
        staff("view_model", "operate_model"),
        staff("view_model", "operate_model", "manage_model"),
    )
    do, delete = f"{LIST}{official.row.pk}/do", f"{LIST}{official.row.pk}/delete/"
    bring = f'href="{IMPORT}?name={official.name}"'
    assert "formaction" not in viewer.get(LIST).content.decode()
    page = operator.get(LIST).content.decode()
    assert f'formaction="{do}/download/' in page
    assert bring not in page
    page = manager.get(LIST).content.decode()
    assert bring in page
    assert delete not in page
    requests.order([official.name])
    assert f'formaction="{do}/cancel/' in operator.get(LIST).content.decode()
    runner.run_waiting()
    page = operator.get(LIST).content.decode()
    assert f'formaction="{do}/verify/' in page
    assert delete not in page
    assert f'href="{delete}' in manager.get(LIST).content.decode()


def test_a_rows_button_leads_back_to_the_list_as_it_was(operator: Client, official: TestOfficial) -> None:
    page = operator.get(f"{LIST}?q={official.name}").content.decode()
    address = f"{LIST}{official.row.pk}/do/download/?list=q%3D{official.name}"
    assert f'formaction="{address}"' in page
    answer = operator.post(address)
    assert answer.headers["Location"] == f"{LIST}?q={official.name}"
    assert official.row.state == State.REQUESTED


def test_deleting_one_file_asks_and_says_what_cannot_come_back(
    manager: Client, operator: Client, official: TestOfficial, models_dir: Path
) -> None:
    address = f"{LIST}{official.row.pk}/delete/"
    assert manager.get(address).status_code == 302, "there is no file"
    requests.order([official.name])
    runner.run_waiting()
    assert operator.get(address).status_code == 403
    page = manager.get(address).content.decode()
    assert "downloaded again at any time" in page
    assert list(models_dir.iterdir()) != []
    Model.objects.filter(pk=official.row.pk).update(origin="imported")
    assert f"cannot be downloaded again: {official.name}" in manager.get(address).content.decode()


def test_the_import_of_a_row_knows_its_name(manager: Client, official: TestOfficial) -> None:
    assert f'value="{official.name}"' in manager.get(f"{IMPORT}?name={official.name}").content.decode()


def test_a_damaged_file_is_shown_as_an_error(operator: Client, official: TestOfficial, models_dir: Path) -> None:
    requests.order([official.name])
    runner.run_waiting()
    (models_dir / f"{official.name}.pth").write_bytes(b"x" * len(official.content))
    page = act(operator, "verify_models", official.row)
    assert f"the file of {official.name} is damaged; it is being downloaded again" in page
    assert '<li class="error">' in page
    assert official.row.state == State.REQUESTED


def test_a_button_needs_a_post(manager: Client, official: TestOfficial) -> None:
    assert manager.get(f"{LIST}{official.row.pk}/do/download/").status_code == 405


def test_a_manager_imports_by_upload(manager: Client, official: TestOfficial, tiny_weights: Path) -> None:
    assert "weights" in manager.get(IMPORT).content.decode().lower()
    upload = SimpleUploadedFile("mine.safetensors", tiny_weights.read_bytes())
    answer = manager.post(
        IMPORT, {"file": upload, "name": "", "description": "of mine", "licence": "CC0-1.0"}, follow=True
    )
    assert "Received and now examining mine" in answer.content.decode()
    runner.run_waiting()
    model = Model.objects.get(name="mine")
    assert (model.state, model.scale, model.description, model.licence) == (State.READY, 2, "of mine", "CC0-1.0")
    assert "Delete the file" in manager.get(f"{LIST}{model.pk}/change/").content.decode()
    assert press(manager, "delete", model) == 302
    assert not Model.objects.filter(name="mine").exists()


@pytest.mark.parametrize(
    ("file_name", "name", "reason"),
    [
        ("x.pth", "../evil", "Letters, digits"),
        ("x.pth", "RealESRGAN_x4plus", "not the official"),
        ("x.pth", "bundled-compact-x4", "comes with the service"),
        ("..pth", "", "cannot be the name"),
    ],
)
def test_a_refused_upload_says_why_and_leaves_nothing(
    manager: Client, models_dir: Path, file_name: str, name: str, reason: str
) -> None:
    answer = manager.post(IMPORT, {"file": SimpleUploadedFile(file_name, b"bytes"), "name": name})
    assert answer.status_code == 200
    assert reason in answer.content.decode()
    assert not Model.objects.filter(origin="imported").exists()
    assert [path for path in models_dir.rglob("*") if path.is_file()] == []


def test_a_form_without_a_file_is_refused(manager: Client) -> None:
    assert "This field is required" in manager.post(IMPORT, {"name": "mine"}).content.decode()


def test_the_progress_of_all_models_is_one_query_away(operator: Client, official: TestOfficial) -> None:
    requests.order([official.name])
    shown = operator.get(f"{LIST}progress/").json()[str(official.row.pk)]
    assert shown == {"state": "requested", "label": "waiting", "pending": True, "percent": None}


def test_the_list_takes_a_constant_number_of_queries(
    viewer: Client, official: TestOfficial, django_assert_max_num_queries: object
) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    viewer.get(LIST)
    with CaptureQueriesContext(connection) as few:
        viewer.get(LIST)
    for number in range(30):
        Model.objects.create(name=f"more-{number}", origin="imported", sha256="a" * 64)
    with CaptureQueriesContext(connection) as many:
        viewer.get(LIST)
    assert len(many) == len(few)
