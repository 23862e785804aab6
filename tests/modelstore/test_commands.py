"""The commands work alone, without any cluster, and share the claim with one."""

import os
import subprocess
import sys
import threading
import uuid
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django.fixtures import Settings

from modelstore.downloads import requests, runner
from modelstore.models import Model
from modelstore.states import State
from tests.eventually import eventually
from tests.jobs.conftest import database_url
from tests.modelstore import liar as lies
from tests.modelstore.conftest import TestOfficial
from tests.modelstore.liar import Liar


def download(*arguments: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    try:
        call_command("download_models", *arguments, stdout=out, stderr=err)
    except CommandError as error:
        err.write(str(error))
        raise CommandError(err.getvalue()) from None
    return out.getvalue(), err.getvalue()


def test_a_model_is_downloaded_in_this_process_with_a_bar(official: TestOfficial, models_dir: Path) -> None:
    out, err = download(official.name)
    assert f"{official.name}: verified, from {official.liar.url}{official.github}" in out
    assert "100%" in err
    assert (models_dir / f"{official.name}.pth").read_bytes() == official.content
    assert official.row.state == State.READY


def test_a_model_that_is_here_makes_no_traffic(official: TestOfficial, liar: Liar) -> None:
    download(official.name)
    seen = len(liar.requests)
    out, _ = download(official.name)
    assert "already here" in out
    assert len(liar.requests) == seen


def test_the_provider_can_be_chosen_and_its_failure_is_told(official: TestOfficial) -> None:
    official.on_huggingface(lies.status(403))
    out, _ = download(official.name, "--provider", "huggingface")
    assert "huggingface someone/models: HTTP 403" in out


def test_failures_are_named_and_the_others_still_come(official: TestOfficial) -> None:
    with pytest.raises(CommandError) as failure:
        download("RealESRGAN_x2plus", official.name)
    assert "RealESRGAN_x2plus: github: HTTP 404" in str(failure.value)
    assert "1 of 2 models are not here" in str(failure.value)
    assert official.row.state == State.READY


def test_all_means_the_seven_official_models(official: TestOfficial, liar: Liar) -> None:
    with pytest.raises(CommandError, match="7 of 7 models are not here"):
        download("--all")
    assert len({request.path for request in liar.requests if request.path.startswith("/github")}) == 7


def test_an_unknown_name_or_none_is_refused(official: TestOfficial, liar: Liar) -> None:
    with pytest.raises(CommandError, match="no such model: nobody; the official models are: RealESRGAN_x4plus"):
        download(official.name, "nobody")
    with pytest.raises(CommandError, match="--all"):
        download()
    assert liar.requests == []


def test_a_download_that_a_worker_runs_already_is_followed(official: TestOfficial, liar: Liar) -> None:
    gate = threading.Event()
    official.on_github(lies.gated(500, gate))
    requests.order([official.name])

    def work() -> None:
        runner.run_waiting()
        connection.close()

    said: list[str] = []

    def follow() -> None:
        said.append(download(official.name)[0])
        connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    eventually(lambda: official.row.state == State.DOWNLOADING)
    command = threading.Thread(target=follow)
    command.start()
    gate.set()
    worker.join()
    command.join()
    assert liar.asked(official.github) == 1
    assert "verified" in said[0] or "already here" in said[0]


def test_ctrl_c_stops_the_download_for_good(official: TestOfficial, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row must not go back to the cluster, which would go on with what the user just stopped."""
    from modelstore.management.commands import download_models

    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(download_models, "_show", interrupted)
    with pytest.raises(KeyboardInterrupt):
        download(official.name)
    assert official.row.state == State.MISSING


def test_without_a_network_it_says_once_what_helps_and_does_not_try_everything(
    official: TestOfficial, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.MODEL_GITHUB_URL = settings.MODEL_HUGGINGFACE_URL = "http://127.0.0.1:1"
    with pytest.raises(CommandError) as failure:
        download(official.name, "RealESRGAN_x2plus", "RealESRGAN_x4plus")
    said = str(failure.value)
    assert said.count("manage.py import_model FILE") == said.count("MODEL_GITHUB_URL") == 1
    assert "Not tried, since no source can be reached: RealESRGAN_x2plus, RealESRGAN_x4plus" in said
    assert "3 of 3 models are not here" in said
    assert Model.objects.get(name="RealESRGAN_x2plus").state == State.MISSING
    assert caplog.records == []


@pytest.mark.processes
def test_sigterm_gives_the_download_back_and_costs_no_attempt(official: TestOfficial, models_dir: Path) -> None:
    official.on_github(lies.stalled(500))
    environment = {
        "DATABASE_URL": database_url(),
        "UPSCALER_DATA_DIR": str(models_dir.parent / "data"),
        "MODELS_DIR": str(models_dir),
        "MODEL_GITHUB_URL": f"{official.liar.url}/github",
        "MODEL_DOWNLOAD_STALL_SECONDS": "600",
    }
    command = [sys.executable, "manage.py", "download_models", official.name]
    process = subprocess.Popen(command, env={**os.environ, **environment}, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: official.row.received_bytes == 500, seconds=120)
        process.terminate()
        assert process.wait(240) == 143
    finally:
        process.kill()
        process.wait()
    assert (official.row.state, official.row.attempts, official.row.token) == (State.REQUESTED, 0, None)


def test_verify_tells_the_genuine_from_the_damaged(official: TestOfficial, models_dir: Path) -> None:
    download(official.name)
    out, err = StringIO(), StringIO()
    call_command("verify_models", official.name, stdout=out, stderr=err)
    assert f"{official.name}: genuine" in out.getvalue()
    (models_dir / f"{official.name}.pth").write_bytes(b"x" * len(official.content))
    with pytest.raises(CommandError, match="1 damaged"):
        call_command("verify_models", stdout=out, stderr=err)
    assert f"{official.name}: its file was damaged (now waiting)" in err.getvalue()
    assert Model.objects.get(name=official.name).state == State.REQUESTED


def test_verify_takes_official_files_that_were_put_there(models_dir: Path, official: TestOfficial) -> None:
    models_dir.mkdir(exist_ok=True)
    (models_dir / f"{official.name}.pth").write_bytes(official.content)
    out = StringIO()
    call_command("verify_models", stdout=out)
    assert f"{official.name}: found in the models directory, genuine" in out.getvalue()
    assert official.row.state == State.READY


def test_verify_removes_old_leftovers_only(models_dir: Path, official: TestOfficial) -> None:
    models_dir.mkdir(exist_ok=True)
    incoming = models_dir / "incoming"
    incoming.mkdir()
    ours = [models_dir / f"a.pth.{uuid.uuid4().hex}.part", incoming / f"{uuid.uuid4().hex}.upload"]
    new = models_dir / f"b.pth.{uuid.uuid4().hex}.part"
    foreign = [models_dir / "notes.txt", models_dir / "movie.mkv.part", models_dir / ".nfs0001", incoming / "x.upload"]
    for path in (*ours, new, *foreign):
        path.write_text("x")
    for path in (*ours, *foreign):
        os.utime(path, (0, 0))
    call_command("verify_models", stdout=StringIO())
    assert [path.exists() for path in (*ours, new)] == [False, False, True]
    assert all(path.exists() for path in foreign)
