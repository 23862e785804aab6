"""From a few lines in models.toml to a model that computes; what is wrong takes nothing away."""

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django.fixtures import Settings

from modelstore.checks import check_settings
from modelstore.downloads import requests, runner
from modelstore.errors import ImportRefused
from modelstore.formatting import byte_size
from modelstore.imports import importing, quarantine, registration
from modelstore.models import Model
from modelstore.states import State
from modelstore.storage import deletion
from modelstore.storage import weights as store
from tests.modelstore import liar as lies
from tests.modelstore.catalogs.conftest import NAME, PATH, Shelf
from tests.modelstore.imports.test_importing import everything_below, import_command
from tests.modelstore.test_commands import download
from tests.modelstore.weights import code_in_pickle

OTHER = "b" * 64
URL = "/api/v1/models"


def bring(shelf: Shelf) -> None:
    requests.order([NAME])
    runner.run_waiting()
    shelf.row.refresh_from_db()


def imported(name: str) -> Model:
    return Model.objects.create(name=name, origin="imported", sha256="a" * 64)


# --- The road ---------------------------------------------------------------------------------------------------------
def test_a_listed_model_is_told_before_its_download_and_examined_after_it(
    listed: Shelf, client: Client, models_dir: Path
) -> None:
    before = client.get(f"{URL}/{NAME}").json()
    assert (before["available"], before["origin"], before["scale"], before["use"]) == (False, "catalog", 0, "text")
    assert (before["licence"], before["non_commercial"], before["author"]) == ("CC-BY-NC-SA-4.0", True, "Somebody")
    bring(listed)
    after = client.get(f"{URL}/{NAME}").json()
    assert (after["status"], after["error"], after["scale"], after["architecture"]) == ("ready", None, 2, "srvggnet")
    assert after["source"] == listed.liar.url + PATH
    assert after["description"] == "2x upscaling"
    assert (after["use"], after["superseded"]) == ("text", False)
    local = store.weights_for(NAME)
    assert local.path.read_bytes() == listed.content
    assert local.spec is not None
    assert everything_below(models_dir) == [local.path.name]


def test_the_command_prints_the_licence_before_it_fetches(listed: Shelf) -> None:
    out, _ = download(NAME)
    assert f"{NAME}: {byte_size(len(listed.content))}, licence: CC-BY-NC-SA-4.0 (non-commercial), by Somebody" in out
    assert out.index("licence") < out.index("verified, from")
    with pytest.raises(CommandError, match=f"no such model: nobody; the official .*; the catalogue's: {NAME}"):
        download("nobody")


def test_the_list_is_filtered_by_use(listed: Shelf, client: Client) -> None:
    def names(use: str) -> list[str]:
        return [model["name"] for model in client.get(URL, {"use": use}).json()["available_models"]]

    assert names("text") == [NAME]
    assert names("illustration") == ["RealESRGAN_x4plus_anime_6B", "realesr-animevideov3"]
    assert "RealESRGAN_x4plus" in names("photo")
    assert names("restore") == []
    assert client.get(URL, {"use": "fotos"}).status_code == 422


# --- Servers that lie -------------------------------------------------------------------------------------------------
def test_wrong_bytes_are_refused_and_nothing_is_kept(listed: Shelf, models_dir: Path) -> None:
    listed.serve(lies.other_bytes)
    bring(listed)
    assert listed.row.state == State.FAILED
    assert listed.row.error.startswith("127.0.0.1: wrong bytes: the SHA-256 is ")
    assert everything_below(models_dir) == []


def test_a_stalled_source_is_left_for_the_next_one_which_resumes(shelf: Shelf, settings: Settings) -> None:
    settings.MODEL_DOWNLOAD_STALL_SECONDS = 1
    shelf.serve(lies.stalled(100))
    second = shelf.liar.put("/mirror/x.safetensors", shelf.content)
    shelf.list(shelf.entry(sources=[shelf.liar.url + PATH, second]))
    bring(shelf)
    assert shelf.row.state == State.READY
    assert shelf.row.source == second
    assert "fell silent after 100 of" in shelf.row.notes
    assert shelf.liar.requests[-1].headers["range"] == "bytes=100-"


def test_a_private_address_is_refused_at_the_connection(listed: Shelf, settings: Settings) -> None:
    """The row may be older than the setting, and a name may lead anywhere by the time of the download."""
    settings.MODEL_ALLOW_PRIVATE = False
    Model.objects.filter(name=NAME).update(sources=[["web", listed.liar.url.replace("http:", "https:") + PATH]])
    bring(listed)
    assert "Not allowed: the host 127.0.0.1 leads to a private or reserved address" in listed.row.error
    assert listed.liar.asked(PATH) == 0


def test_plain_http_is_refused_where_private_addresses_are(listed: Shelf, settings: Settings) -> None:
    settings.MODEL_ALLOW_PRIVATE = False
    bring(listed)
    assert "127.0.0.1 is to be reached by https" in listed.row.error


def test_a_source_below_a_base_address_goes_to_the_operators_mirror(shelf: Shelf, settings: Settings) -> None:
    settings.MODEL_ALLOW_PRIVATE = False
    shelf.liar.put("/huggingface/somebody/nets/resolve/main/x.pth", shelf.content)
    shelf.list(shelf.entry(sources=["https://huggingface.co/somebody/nets/resolve/main/x.pth"]))
    requests.order([NAME], "github")
    runner.run_waiting()
    assert shelf.row.state == State.READY
    assert shelf.row.notes == "github does not have this model"


def test_genuine_bytes_that_are_no_network_are_refused_by_the_examination(
    shelf: Shelf, tmp_path: Path, models_dir: Path
) -> None:
    code_in_pickle(tmp_path / "evil.pth")
    shelf.content = (tmp_path / "evil.pth").read_bytes()
    shelf.serve()
    shelf.list(shelf.entry())
    bring(shelf)
    assert shelf.row.state == State.FAILED
    assert "execute code" in shelf.row.error
    assert not (tmp_path / "executed").exists()
    assert everything_below(models_dir) == []


def test_a_download_that_is_called_off_during_the_examination_leaves_nothing(
    listed: Shelf, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def delete_meanwhile(path: Path) -> dict[str, Any]:
        assert path.read_bytes() == listed.content
        deletion.delete(NAME)
        return {}

    monkeypatch.setattr(importing, "examine", delete_meanwhile)
    bring(listed)
    assert listed.row.state == State.MISSING
    assert everything_below(models_dir) == []


def test_an_import_may_say_its_use_and_else_its_scale_does(shelf: Shelf, tiny_weights: Path) -> None:
    import_command(tiny_weights, "--name", "said", "--use", "illustration")
    import_command(tiny_weights, "--name", "unsaid")
    uses = dict(Model.objects.filter(origin="imported").values_list("name", "use"))
    assert uses == {"said": "illustration", "unsaid": "photo"}


# --- By file ----------------------------------------------------------------------------------------------------------
def test_a_listed_file_that_is_brought_becomes_the_listed_model(listed: Shelf, tmp_path: Path) -> None:
    path = tmp_path / "some-name.pth"
    path.write_bytes(listed.content)
    assert f"{NAME}: srvggnet x2" in import_command(path)
    assert (listed.row.state, listed.row.licence) == (State.READY, "CC-BY-NC-SA-4.0")
    assert listed.liar.requests == []


def test_other_bytes_under_a_listed_name_are_refused(listed: Shelf) -> None:
    with pytest.raises(ImportRefused, match=f"the catalogue lists {NAME} as another file"):
        importing.bring([b"other"], NAME)
    assert listed.row.state == State.MISSING


# --- The list changes -------------------------------------------------------------------------------------------------
def test_an_installed_model_keeps_its_file_when_the_digest_changes_and_that_is_said(
    listed: Shelf, client: Client
) -> None:
    bring(listed)
    old = listed.row.sha256
    said = listed.list(listed.entry(sha256=OTHER))
    assert len(said) == 1
    assert said[0].startswith(
        f"{NAME}: the catalogue names another file by now (SHA-256 bbbbbbbbbbbb…, not {old[:12]}…)"
    )
    assert client.get(f"{URL}/{NAME}").json()["superseded"] is True
    assert store.weights_for(NAME).sha256 == old
    with pytest.raises(CommandError, match="names another file by now"):
        call_command("model_catalog")
    deletion.delete(NAME)
    assert (listed.row.sha256, listed.row.state, listed.row.scale, listed.row.offered) == (OTHER, "missing", 0, None)


def test_an_entry_that_is_taken_out_goes_unless_it_is_installed(listed: Shelf) -> None:
    assert listed.list() == []
    assert not Model.objects.filter(name=NAME).exists()
    listed.list(listed.entry())
    bring(listed)
    listed.list()
    assert store.weights_for(NAME).path.is_file()
    deletion.delete(NAME)
    assert not Model.objects.filter(name=NAME).exists()


def test_a_file_with_a_mistake_takes_nothing_away_while_the_service_runs(listed: Shelf) -> None:
    said = listed.list(listed.entry(name="other", use="fotos"))
    assert len(said) == 1
    assert f'{listed.file}: Entry 1 ("other"): use must be one of' in said[0]
    assert Model.objects.filter(name=NAME).exists()


def test_a_corrected_licence_reaches_the_row_and_registering_again_changes_nothing(listed: Shelf) -> None:
    listed.list(listed.entry(licence="MIT"))
    assert listed.row.licence == "MIT"
    before = list(Model.objects.order_by("pk").values())
    registration.keep_listed()
    assert list(Model.objects.order_by("pk").values()) == before


def test_an_installed_model_keeps_its_files_name_and_what_was_found_in_it(listed: Shelf) -> None:
    bring(listed)
    before = Model.objects.filter(name=NAME).values()[0]
    registration.keep_listed()
    assert Model.objects.filter(name=NAME).values()[0] == before
    listed.list(listed.entry(sources=[f"{listed.liar.url}/elsewhere.pth"]))
    assert listed.row.sources == [["web", f"{listed.liar.url}/elsewhere.pth"]]
    assert store.is_available(listed.row)


def test_what_is_wrong_is_logged_once(shelf: Shelf, caplog: pytest.LogCaptureFixture) -> None:
    for use in ("fotos", "fotos", "txt"):
        shelf.list(shelf.entry(use=use))
    lines = [record.getMessage() for record in caplog.records if record.name == "modelstore.imports.registration"]
    assert [line.split("not '")[1][:3] for line in lines] == ["fot", "txt"]


def test_the_start_refuses_a_file_with_mistakes_and_names_them(shelf: Shelf) -> None:
    shelf.write(shelf.entry(licens="MIT"))
    with pytest.raises(
        ImproperlyConfigured, match=r'MODEL_CATALOG is wrong.*models.toml: Entry 1 .*"licens" is no key'
    ):
        registration.register_known_models()
    assert [each.id for each in check_settings()] == ["modelstore.W002"]
    shelf.file.write_text("<html>")
    with pytest.raises(ImproperlyConfigured, match=r"models.toml: It is not TOML"):
        registration.register_known_models()


def test_an_imported_models_name_is_refused_by_name_and_the_import_stays(shelf: Shelf) -> None:
    imported(NAME)
    assert shelf.list(shelf.entry()) == [
        f"{NAME}: a model of this name was imported; delete that, or give the entry another name"
    ]
    assert shelf.row.origin == "imported"
    registration.register_known_models()  # no reason not to start: somebody else imported it


def test_the_admin_says_what_is_wrong(shelf: Shelf, admin_client: Client, plain_static_files: None) -> None:
    imported("taken")
    shelf.list(shelf.entry(name="taken"), shelf.entry(name="wrong", use="fotos"))
    page = admin_client.get("/admin/modelstore/model/").content.decode()
    assert "taken: a model of this name was imported" in page
    assert "Entry 2 (&quot;wrong&quot;): use must be one of" in page


def test_the_admin_marks_a_licence_that_forbids_commercial_use(
    listed: Shelf, admin_client: Client, plain_static_files: None
) -> None:
    page = admin_client.get("/admin/modelstore/model/", {"use__exact": "text"}).content.decode()
    assert 'CC-BY-NC-SA-4.0 <span class="badge badge-warned">Non-commercial</span>' in page
    assert "RealESRGAN_x4plus" not in page
    answer = admin_client.post(f"/admin/modelstore/model/{listed.row.pk}/do/download/", follow=True)
    assert "Its licence: CC-BY-NC-SA-4.0 (non-commercial)" in answer.content.decode()
    assert listed.row.state == State.REQUESTED


def test_a_file_that_nobody_examined_is_removed_after_a_week(listed: Shelf, models_dir: Path) -> None:
    path = models_dir / "incoming" / listed.row.file_name
    path.parent.mkdir(parents=True)
    path.write_bytes(listed.content)
    assert quarantine.remove_leftovers() == 0
    os.utime(path, (0, 0))
    assert quarantine.remove_leftovers() == 1


def test_a_damaged_file_is_fetched_and_examined_again(listed: Shelf) -> None:
    bring(listed)
    place = store.weights_for(NAME).path
    place.write_bytes(b"\0" * len(listed.content))
    assert not store.verify(listed.row)
    runner.run_waiting()
    assert hashlib.sha256(place.read_bytes()).hexdigest() == listed.row.sha256
    assert listed.row.state == State.READY
