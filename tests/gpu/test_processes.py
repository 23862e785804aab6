"""Processes and devices: a worker that was forked, and more than one card."""

import subprocess
import sys

import pytest
import torch

from jobs.engine.types import UpscaleOptions, Weights
from tests.gpu.conftest import REPOSITORY, on_gpu
from tests.jobs.engine.conftest import difference, photo, picture

#: As the service does it: a parent that has imported everything and touched no device forks, and the child computes.
#: Nothing is taken from this folder's conftest.py: it asks for the device, after which no child can use one.
FORKED = """
import multiprocessing, queue, sys, traceback
sys.path.insert(0, sys.argv[1])
import torch
from pathlib import Path
from jobs.engine.backends.network_cache import NetworkPool
from jobs.engine.types import Runtime, UpscaleOptions, Weights
from jobs.engine.upscaler import Upscaler
from tests.jobs.engine.conftest import photo, picture

def work(path, precision, answers):
    try:
        engine = Upscaler(NetworkPool(Runtime(device="cuda", backend="torch", precision=precision)))
        for _ in range(2):
            made, report = engine.upscale(
                picture(photo(300, 250)), Weights("n", Path(path)), UpscaleOptions(tile_size=32)
            )
        answers.put((report.device, report.notes, int(made.frames[0].color.astype(int).sum())))
    except BaseException:
        answers.put(traceback.format_exc())

if __name__ == "__main__":
    assert not torch.cuda.is_initialized(), "importing the engine must not touch the device"
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    children = [
        context.Process(target=work, args=(sys.argv[2], sys.argv[3], answers), daemon=True) for _ in range(2)
    ]
    for child in children:
        child.start()
    said = []
    for _ in children:
        try:
            said.append(answers.get(timeout=240))
        except queue.Empty:
            sys.exit(f"no answer from {[(child.pid, child.exitcode) for child in children]}, only {said}")
    for child in children:
        child.join(240)
        assert child.exitcode == 0, said
    assert said[0] == said[1], said
    assert said[0][:2] == ("cuda:0", ()), said[0]
    assert not torch.cuda.is_initialized()
    print("both children computed", said[0][2])
"""


@pytest.mark.needs_card
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_forked_workers_compute(networks: dict[str, Weights], precision: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORKED, str(REPOSITORY), str(networks["animevideov3"].path), precision],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=REPOSITORY,
    )
    assert done.returncode == 0, done.stderr
    assert "both children computed" in done.stdout


@pytest.mark.needs_card
@pytest.mark.parametrize("graphs", [True, False])
def test_every_device_gives_the_same_picture(networks: dict[str, Weights], graphs: bool) -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("one CUDA device only")
    pixels = photo(600, 500)
    engines = [on_gpu("fp32", graphs=graphs, device=f"cuda:{index}") for index in range(torch.cuda.device_count())]
    results = []
    for _ in range(3):  # by turns: streams and recordings belong to their own device
        for index, engine in enumerate(engines):
            made, report = engine.upscale(picture(pixels), networks["animevideov3"], UpscaleOptions(tile_size=64))
            assert (report.device, report.notes) == (f"cuda:{index}", ())
            results.append(made.frames[0].color)
    assert torch.cuda.current_device() == 0
    for other in results[1:]:
        assert difference(results[0], other) <= 1
