"""The catalogue at an address: whatever its server does, what was known stays known."""

import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from modelstore.catalogs import known, remote
from modelstore.checks import check_settings
from modelstore.downloads import requests, runner
from modelstore.imports import registration
from modelstore.models import Model
from tests.modelstore import liar as lies
from tests.modelstore.catalogs.conftest import NAME, Shelf
from tests.modelstore.catalogs.listing import written
from tests.modelstore.liar import Behaviour

LIST = "/models.toml"
OTHER = "b" * 64


@pytest.fixture
def far(shelf: Shelf, settings: Settings) -> Shelf:
    """The tiny network is in a catalogue at an address, which was fetched once."""
    settings.MODEL_CATALOG_URL = shelf.liar.put(LIST, written(shelf.entry()))
    registration.keep_listed()
    assert registration.problems_of_catalogs() == []
    return shelf


def answer(shelf: Shelf, data: bytes, *behaviours: Behaviour) -> str:
    """Let the server answer so from now on, and fetch. Returns what is said."""
    shelf.liar.put(LIST, data, *behaviours)
    known.refresh()
    registration.register_listed(known.known())
    return "\n".join(registration.problems_of_catalogs())


def test_its_models_are_downloaded_like_others(far: Shelf) -> None:
    requests.order([NAME])
    runner.run_waiting()
    assert far.row.state == "ready"


def test_it_is_off_by_default(shelf: Shelf) -> None:
    registration.keep_listed()
    assert shelf.liar.requests == []


@pytest.mark.parametrize(
    ("data", "behaviour", "said"),
    [
        (b"", lies.status(500), "The server answered with status 500"),
        (b"", lies.good, "What it sends lists no model; the last good copy holds"),
        (b"", lies.status(404), "The server answered with status 404"),
        (b"", lies.login_page, "What it sends is no catalogue: it is not TOML: "),
        (b"# 100 MB\n" * 10_000, lies.endless, "The answer is larger than 500 kB"),
        (b"x" * 1000, lies.stalled(10), "There was no complete answer within 1 s"),
        (b"x" * 1000, lies.trickle(1, 0.2), "There was no complete answer within 1 s"),
        (b"x" * 1000, lies.truncated(100), "The server cannot be reached: "),
        (b"x" * 1000, lies.gzipped, "The server compressed its answer"),
        (b"", lies.redirect(LIST), "There were more than 3 redirects"),
        (b"", lies.redirect("http://[::1/"), "Invalid IPv6 URL"),
        (b"[[models]]", lies.good, 'it holds "models"; did you mean "model"?'),
    ],
)
def test_a_bad_answer_takes_nothing_away_and_is_said(
    far: Shelf, monkeypatch: pytest.MonkeyPatch, data: bytes, behaviour: Behaviour, said: str
) -> None:
    monkeypatch.setattr(remote, "TIMEOUT_SECONDS", 1.0)
    problems = answer(far, data, behaviour)
    assert said in problems
    assert "; the last good copy holds" in problems
    assert Model.objects.filter(name=NAME).exists()
    assert [each.id for each in check_settings()] == ["modelstore.W003"]
    assert answer(far, written(far.entry())) == ""  # and it heals


def test_a_server_that_is_down_is_said_and_the_copy_serves_a_fresh_database(far: Shelf, settings: Settings) -> None:
    far.liar.__exit__()
    known.refresh()
    Model.objects.filter(name=NAME).delete()
    registration.register_known_models()  # as a start without the network does
    assert Model.objects.filter(name=NAME).exists()
    (said,) = registration.problems_of_catalogs()
    assert said.startswith(f"MODEL_CATALOG_URL ({settings.MODEL_CATALOG_URL}): The server cannot be reached: ")


def test_a_wrong_entry_is_left_out_and_the_models_that_were_known_stay(far: Shelf) -> None:
    problems = answer(far, written(far.entry(use="fotos"), far.entry(name="new", sha256=OTHER)))
    assert 'Entry 1 ("2x-listed"): use must be one of' in problems
    assert set(Model.objects.filter(origin="catalog").values_list("name", flat=True)) == {NAME, "new"}


def test_a_good_list_without_an_entry_takes_it_out(far: Shelf) -> None:
    assert answer(far, written(far.entry(name="new", sha256=OTHER))) == ""
    assert list(Model.objects.filter(origin="catalog").values_list("name", flat=True)) == ["new"]


def test_a_digest_that_changes_after_the_download_is_said(far: Shelf) -> None:
    requests.order([NAME])
    runner.run_waiting()
    assert "the catalogue names another file by now" in answer(far, written(far.entry(sha256=OTHER)))
    assert far.row.state == "ready"


def test_the_operators_own_entry_of_a_name_counts(far: Shelf) -> None:
    far.list(far.entry(licence="MIT"))
    assert far.row.licence == "MIT"
    said = far.list(far.entry(name="mine"))
    assert said == [
        f"MODEL_CATALOG_URL ({far.liar.url}{LIST}): {NAME}: it is the file of mine in {far.file}",
    ]


def test_it_is_fetched_every_six_hours_and_sooner_after_a_failure(far: Shelf, models_dir: Path) -> None:
    def fetched_after(seconds: float, error: str = "") -> bool:
        (state,) = (models_dir / "catalog").glob("*.json")
        tried_at = json.loads(state.read_text())["tried_at"]
        state.write_text(json.dumps({"tried_at": tried_at - seconds, "error": error}))
        before = far.liar.asked(LIST)
        registration.keep_listed()
        return far.liar.asked(LIST) > before

    assert not fetched_after(5 * 3600)
    assert fetched_after(6 * 3600)
    assert not fetched_after(600, "no")
    assert fetched_after(900, "no")


def test_turning_it_off_takes_out_what_was_not_downloaded(far: Shelf, settings: Settings) -> None:
    settings.MODEL_CATALOG_URL = ""
    registration.keep_listed()
    assert not Model.objects.filter(name=NAME).exists()


def test_a_private_address_and_plain_http_are_refused(far: Shelf, settings: Settings) -> None:
    settings.MODEL_ALLOW_PRIVATE = False
    assert known.refresh() == "The address must begin with https://"
    assert [each.id for each in check_settings()] == ["modelstore.E003"]
    settings.MODEL_CATALOG_URL = far.liar.url.replace("http:", "https:") + LIST
    assert known.refresh() == "The host 127.0.0.1 leads to a private or reserved address"


def test_the_command_fetches_lists_and_says_what_is_wrong(far: Shelf, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("model_catalog", "--refresh")
    out = capsys.readouterr().out
    assert f"{NAME}: text, " in out
    assert "licence: CC-BY-NC-SA-4.0 (non-commercial), by Somebody" in out
    assert "1 listed, nothing is wrong" in out
    far.liar.put(LIST, b"<html>")
    with pytest.raises(CommandError, match="What it sends is no catalogue"):
        call_command("model_catalog", "--refresh")
