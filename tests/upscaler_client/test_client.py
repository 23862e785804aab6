"""Both clients against a real service."""

import asyncio
import io
import signal
import subprocess
import sys
import threading
from decimal import Decimal
from pathlib import Path

import pytest
from PIL import Image

from tests.api.conftest import picture
from tests.eventually import eventually
from tests.service import REPOSITORY, SLOW_SIDE, Service
from tests.tiny_models import TINY_MODEL
from tests.upscaler_client.conftest import Ask
from upscaler_client import AsyncClient, Client, Job, JobFailed, Refused, TimedOut
from upscaler_client.shapes import Plan


def test_a_picture_comes_back_larger_with_its_progress(service: Service, ask: Ask, tmp_path: Path) -> None:
    told: list[Job] = []
    source = tmp_path / "grüße.png"
    source.write_bytes(picture(20, 12))
    target = tmp_path / "out.webp"
    made = ask(
        service.base_url, "upscale", source, target, model=TINY_MODEL, format="webp", lossless=True,
        on_progress=told.append,
    )  # fmt: skip
    with Image.open(target) as image:
        assert (image.format, image.size) == ("WEBP", (40, 24))
    assert (made.content, made.path, made.job.raw["filename"]) == (b"", target, "grüße.png")
    assert (told[-1].status, told[-1].fraction) == ("completed", 1.0)
    assert {path.name for path in tmp_path.iterdir()} == {"grüße.png", "out.webp"}


def test_a_results_file_has_the_format_of_its_name(service: Service, client: Client, tmp_path: Path) -> None:
    for name, expected in (("a.jpg", "JPEG"), ("b.WEBP", "WEBP"), ("c.png", "PNG")):
        client.upscale(picture(8, 6), tmp_path / name, model=TINY_MODEL)
        with Image.open(tmp_path / name) as result:
            assert result.format == expected
    client.upscale(picture(8, 6), tmp_path / "d.png", model=TINY_MODEL, format="webp")  # who says otherwise has it so
    with Image.open(tmp_path / "d.png") as result:
        assert result.format == "WEBP"
    with pytest.raises(FileNotFoundError):
        client.upscale(picture(8, 6), tmp_path / "nowhere" / "e.png", model=TINY_MODEL)


@pytest.mark.parametrize("form", ["bytes", "file", "pipe"])
def test_pictures_are_bytes_and_files_too(service: Service, ask: Ask, form: str) -> None:
    content = picture(9, 7)

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    given = {"bytes": content, "file": io.BytesIO(content), "pipe": Pipe(content)}[form]
    made = ask(service.base_url, "upscale", given, model=TINY_MODEL)
    with Image.open(io.BytesIO(made.content)) as image:
        assert image.size == (18, 14)


def test_what_the_service_refuses_is_an_error_with_status_and_code(service: Service, ask: Ask) -> None:
    with pytest.raises(Refused) as refused:
        ask(service.base_url, "upscale", picture(), model="no-such-model")
    assert (refused.value.status, refused.value.code) == (404, "model_not_found")
    assert "no-such-model" in refused.value.detail
    with pytest.raises(Refused) as refused:
        ask(service.base_url, "upscale", b"no picture", model=TINY_MODEL)
    assert (refused.value.status, refused.value.code) == (400, "image_invalid")
    with pytest.raises(Refused) as refused:
        ask(service.base_url, "job", "00000000-0000-0000-0000-000000000001")
    assert refused.value.status == 404


def test_a_repeated_submission_is_one_job(service: Service, ask: Ask) -> None:
    first, second = (
        ask(service.base_url, "submit", picture(), model=TINY_MODEL, idempotency_key=f"{ask.__name__}-once")
        for _ in range(2)
    )
    assert first.job_id == second.job_id
    assert ask(service.base_url, "wait", first.job_id).job_id == first.job_id
    ask(service.base_url, "delete", first.job_id)
    with pytest.raises(Refused) as refused:
        ask(service.base_url, "job", first.job_id)
    assert refused.value.code == "job_not_found"


def test_plans_and_models(service: Service, ask: Ask) -> None:
    plan = ask(service.base_url, "plan", picture(20, 12), model=TINY_MODEL, longest_side=30)
    assert (plan.output_width, plan.output_height, plan.scale) == (30, 18, 1.5)
    estimate = ask(service.base_url, "estimate", 20, 12, model=TINY_MODEL)
    assert (estimate.output_width, estimate.output_height) == (40, 24)
    assert (plan.price, plan.currency) == (None, None), "this service has no tariff"
    told = {**plan.raw, "device_seconds": 1.5, "price": "0.000600", "currency": "EUR"}
    dear = Plan.read(told)
    assert (dear.device_seconds, dear.price, dear.currency) == (1.5, Decimal("0.000600"), "EUR")
    older = Plan.read({name: value for name, value in told.items() if name not in ("device_seconds", "price")})
    assert (older.device_seconds, older.price) == (None, None), "a service before these fields"
    models = {model.name: model for model in ask(service.base_url, "models")}
    assert (models[TINY_MODEL].available, models[TINY_MODEL].scale) == (True, 2)
    assert ask(service.base_url, "model", TINY_MODEL) == models[TINY_MODEL]
    assert [one.name for one in ask(service.base_url, "download_models", TINY_MODEL)] == [TINY_MODEL]


def test_a_wait_ends_in_its_time_and_the_job_can_be_cancelled(
    service: Service, client: Client, slow_model: str
) -> None:
    accepted = client.submit(picture(SLOW_SIDE, SLOW_SIDE), model=slow_model, tile_size=64)
    with pytest.raises(TimedOut):
        client.wait(accepted.job_id, timeout=0.5)
    client.cancel(accepted.job_id)
    with pytest.raises(JobFailed) as failed:
        client.wait(accepted.job_id)
    assert (failed.value.code, failed.value.job_id) == ("job_cancelled", accepted.job_id)


def test_a_cancelled_task_cancels_its_job(service: Service, client: Client, slow_model: str, tmp_path: Path) -> None:
    async def run() -> str:
        begun, told = asyncio.Event(), []

        def on_progress(job: Job) -> None:
            told.append(job.job_id)
            begun.set()

        async with AsyncClient(service.base_url) as asynchronous:
            task = asyncio.create_task(
                asynchronous.upscale(
                    picture(SLOW_SIDE, SLOW_SIDE),
                    tmp_path / "out.png",
                    model=slow_model,
                    tile_size=64,
                    on_progress=on_progress,
                )
            )
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return told[0]

    job_id = asyncio.run(run())
    eventually(lambda: client.job(job_id).status == "cancelled", seconds=60)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_cancels_the_job(service: Service, client: Client, slow_model: str, tmp_path: Path) -> None:
    (tmp_path / "in.png").write_bytes(picture(SLOW_SIDE, SLOW_SIDE))
    program = (
        "import sys\nfrom upscaler_client import Client\n"
        "Client(sys.argv[1]).upscale(sys.argv[2], sys.argv[3], model=sys.argv[4], tile_size=64,\n"
        "                            on_progress=lambda job: print(job.job_id, flush=True))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, service.base_url, tmp_path / "in.png", tmp_path / "out.png", slow_model],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        job_id = process.stdout.readline().strip()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=240)
    finally:
        process.kill()
    assert process.returncode != 0
    eventually(lambda: client.job(job_id).status == "cancelled", seconds=60)
    assert [path.name for path in tmp_path.iterdir()] == ["in.png"]


def test_one_client_serves_several_threads(service: Service, client: Client) -> None:
    sizes: list[int | None] = []
    threads = [
        threading.Thread(
            target=lambda side=side: sizes.append(client.upscale(picture(side, 8), model=TINY_MODEL).job.result_width)
        )
        for side in (10, 11, 12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(240)
    assert sorted(size or 0 for size in sizes) == [20, 22, 24]


def test_it_needs_nothing_of_the_service() -> None:
    program = "import sys, upscaler_client\nprint(sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    heavy = ("django", "torch", "numpy", "PIL", "jobs", "modelstore", "monitoring", "upscaler_site")
    assert not [name for name in heavy if f"'{name}'" in loaded.stdout]


_SHOW = "import upscaler_client as u\nprint(u.Client.upscale.__doc__, u.__file__)"


def test_it_is_a_package_of_its_own(tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet", "-w", str(tmp_path),
         str(REPOSITORY / "client")],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    (wheel,) = tmp_path.glob("upscaler_client-*.whl")
    sys_path = f"import sys\nsys.path[:0] = [{str(wheel)!r}]\n"
    done = subprocess.run(
        [sys.executable, "-P", "-c", sys_path + _SHOW],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.startswith("Upscale a picture"), done.stderr
    assert str(wheel) in done.stdout
