import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from modelstore.networks import checkpoint
from tests.eventually import eventually
from training import curve, evaluate, export, train
from training.run import Recipe, Run

ROOT = Path(__file__).parents[2]
TINY = ["--features", "8", "--convolutions", "2", "--batch", "2", "--patch", "8", "--holdout", "2", "--threads", "1"]


def arguments(folder: Path, run: Path, *more: str) -> list[str]:
    return ["--pictures", str(folder), "--run", str(run), *TINY, *more]


@pytest.fixture(scope="module")
def trained(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("run") / "new"
    train.main(arguments(folder, run, "--steps", "40"))
    return run


@pytest.fixture(autouse=True)
def signals_as_before() -> Iterator[None]:
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def test_a_run_ends_with_a_checkpoint_and_a_line_in_its_log(trained: Path) -> None:
    run, _ = Run.load(trained / train.CHECKPOINT, "cpu")
    assert run.step == 40
    (line,) = (trained / train.LOG).read_text().splitlines()
    record = json.loads(line)
    assert record["step"] == 40
    assert record["rate"] == 0
    assert {"loss", "clean_gain_db", "damaged_gain_db"} <= record.keys()


def test_a_run_goes_on_where_it_ended_with_the_same_weights(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = train.Session(train.parse(arguments(folder, tmp_path / "a", "--steps", "6")))
    session.work()
    first = train.Session(train.parse(arguments(folder, tmp_path / "b", "--steps", "6")))
    train_step = first.run.train_step

    def three_steps(*arguments: Any, **named: Any) -> float:
        if first.run.step == 2:
            first.stop()
        return train_step(*arguments, **named)

    monkeypatch.setattr(first.run, "train_step", three_steps)
    first.work()
    assert first.run.step == 3
    train.main(arguments(folder, tmp_path / "b", "--steps", "6"))
    unbroken, _ = Run.load(tmp_path / "a" / train.CHECKPOINT, "cpu")
    resumed, _ = Run.load(tmp_path / "b" / train.CHECKPOINT, "cpu")
    assert resumed.step == unbroken.step == 6
    for name, value in unbroken.average.state_dict().items():
        assert torch.equal(value, resumed.average.state_dict()[name]), name


def test_a_folder_of_another_recipe_is_refused(folder: Path, trained: Path) -> None:
    with pytest.raises(SystemExit, match="another recipe"):
        train.main(arguments(folder, trained, "--steps", "50", "--seed", "8"))


def test_a_run_without_an_end_is_refused(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        train.parse(arguments(folder, tmp_path))
    assert "--until" in capsys.readouterr().err


def test_a_run_whose_time_is_up_takes_no_step(folder: Path, tmp_path: Path) -> None:
    train.main(arguments(folder, tmp_path, "--minutes", "0"))
    assert Run.load(tmp_path / train.CHECKPOINT, "cpu")[0].step == 0


def test_held_out_pictures_are_not_in_the_training_library(folder: Path, tmp_path: Path) -> None:
    session = train.Session(train.parse(arguments(folder, tmp_path, "--steps", "1")))
    held = {picture.tobytes() for picture in session.held}
    assert len(held) == 2
    assert len(session.library) == 4
    assert not held & {picture.tobytes() for picture in session.library}


@pytest.mark.processes
def test_sigterm_saves_and_ends_and_the_result_can_be_exported(folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "training.train", *arguments(folder, tmp_path, "--minutes", "30")]
    process = subprocess.Popen([*command, "--save-seconds", "0"], cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        eventually(lambda: (tmp_path / train.CHECKPOINT).exists() or process.poll() is not None, seconds=120)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(240) == 0
    finally:
        process.kill()
        process.wait()
    assert not list(tmp_path.glob("*.part"))
    export.main(["--run", str(tmp_path), "--output", str(tmp_path / "weights.safetensors")])
    assert checkpoint.inspect(tmp_path / "weights.safetensors").scale == 4


def test_an_export_holds_the_average_in_half_precision_and_says_what_it_is(trained: Path, tmp_path: Path) -> None:
    output = tmp_path / "weights.safetensors"
    export.main(["--run", str(trained), "--output", str(output), "--data", "pictures of our own"])
    run, _ = Run.load(trained / train.CHECKPOINT, "cpu")
    network, spec = checkpoint.load(output)
    assert (spec.architecture, spec.features, spec.blocks, spec.scale) == ("srvggnet", 8, 2, 4)
    for name, value in run.average.state_dict().items():
        assert torch.equal(value.half().float(), network.state_dict()[name]), name
    with safe_open(output, "pt") as file:
        metadata = file.metadata()
    assert metadata["name"] == "bundled-compact-x4"
    assert metadata["training_steps"] == "40"
    assert metadata["data"] == "pictures of our own"
    assert Recipe(**json.loads(metadata["recipe"])) == run.recipe
    assert output.stat().st_mode & 0o777 == 0o644


def test_weights_that_do_not_fit_half_precision_are_refused(trained: Path, tmp_path: Path) -> None:
    run, _ = Run.load(trained / train.CHECKPOINT, "cpu")
    run.average.body[0].weight.data[0, 0, 0, 0] = 1e6
    with pytest.raises(ValueError, match=r"body\.0\.weight does not fit fp16"):
        export.export(run, tmp_path / "weights.safetensors")
    assert not list(tmp_path.iterdir())


def test_the_evaluation_reports_and_draws(
    folder: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tmp_path / "weights.safetensors"
    export.main(["--run", str(trained), "--output", str(weights)])
    capsys.readouterr()
    sheets = tmp_path / "sheets"
    options = ["--weights", str(weights), "--pictures", str(folder), "--holdout", "2", "--threads", "1"]
    evaluate.main([*options, "--per-picture", "--sheets", str(sheets), "--show", str(folder)])
    report = capsys.readouterr().out
    assert report.count("| luma PSNR, dB |") == 3
    assert report.count(".png PSNR") == 6
    assert report.count("| noise, sigma") == 2
    assert report.count("Steps across the borders of input pixels") == 3
    assert "torch.float16 against float32" in report
    assert {path.name for path in sheets.iterdir()} >= {"clean.png", "damaged.png", "published.png", "picture-0.png"}


def test_the_curve_shows_every_validation(trained: Path, tmp_path: Path) -> None:
    curve.main(["--run", str(trained), "--output", str(tmp_path / "curve.svg")])
    drawing = (tmp_path / "curve.svg").read_text()
    assert drawing.count("<polyline") == 2
    records = [{"step": step, "clean_gain_db": step / 10, "damaged_gain_db": 0.1} for step in range(1, 8)]
    assert curve.draw(records).split('points="')[1].split('"')[0].count(",") == 7
    with pytest.raises(ValueError, match="empty"):
        curve.draw([])
