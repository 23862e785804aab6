"""Settings, an app and a driver for jobs that are decoded, encoded and stored, by a device that only takes its time.

Like noop_jobs.py, inside any checkout (benchmarks/pipeline.py). The device writes when it began and ended with each
picture, in monotonic time, as lines into the file FAKE_DEVICE_LOG.
"""

import json
import os
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
from django.apps import AppConfig

from upscaler_site.settings import *  # noqa: F403 - the service's settings, with the differences below
from upscaler_site.settings import INSTALLED_APPS, Q_CLUSTER

INSTALLED_APPS = [*INSTALLED_APPS, "fake_device.FakeDeviceConfig"]
Q_CLUSTER = {**Q_CLUSTER, "workers": 1}


class FakeDeviceConfig(AppConfig):
    """Puts the device into the place of the runtime, and no weights into that of a model's."""

    name = "fake_device"

    def ready(self) -> None:
        if "FAKE_DEVICE_MS" not in os.environ:  # a real model on this machine's own
            return
        import jobs.worker

        runtime = ModuleType("jobs.worker.runtime")
        vars(runtime).update(
            settle_in=lambda: None, give_memory_back=lambda: None, upscale=upscale,
            upscaler=lambda: SimpleNamespace(pool=()),
        )  # fmt: skip
        sys.modules["jobs.worker.runtime"] = runtime
        setattr(jobs.worker, "runtime", runtime)  # noqa: B010 - a stand-in
        try:
            from jobs.worker import attempt
        except ImportError:  # a checkout from before the line of jobs
            setattr(import_module("jobs.worker.execution"), "_weights", lambda *_: ())  # noqa: B010 - as above
        else:
            setattr(attempt.Attempt, "_weights", lambda _self: ())  # noqa: B010 - as above


def upscale(picture: Any, _members: Any, asked: Any, on_tile: Callable[[int, int], None]) -> tuple[Any, Any]:
    """Enlarge by repeating pixels, and take as long as the device is told to."""
    from jobs.engine.types import Report

    began, scale = time.monotonic(), int(asked.outscale)
    frames = tuple(
        replace(frame, color=np.repeat(np.repeat(frame.color, scale, 0), scale, 1)) for frame in picture.frames
    )
    time.sleep(max(0.0, began + float(os.environ["FAKE_DEVICE_MS"]) / 1000 - time.monotonic()))
    on_tile(1, 1)
    with Path(os.environ["FAKE_DEVICE_LOG"]).open("a", encoding="utf-8") as log:
        log.write(f"{began} {time.monotonic()}\n")
    return replace(picture, frames=frames), Report("fake", "fake", "fake", "fake", "fp32", scale, 0, 0, 1, 1)


# --- The driver
def prepare() -> dict[str, float]:
    from django.core.management import call_command

    call_command("migrate", verbosity=0, skip_checks=True)
    return {}


def stream(count: int, source: str, scale: int, written: str, model: str) -> dict[str, float]:
    """Submit ``count`` jobs for one picture and wait for their ends; how long it took, and the device for each."""
    from django.db import transaction
    from django.db.models import Max, Min
    from django.db.models.functions import Now
    from PIL import Image

    from jobs.models import Job
    from jobs.queue import dispatch
    from jobs.storage import files

    with Image.open(source) as image:
        (width, height), kind = image.size, str(image.format).lower()
    Job.objects.all().delete()
    rows = []
    for _ in range(count):
        name = f"inputs/{uuid.uuid4().hex}"
        draft = files.draft_of_pyramid(name)
        os.link(source, draft)
        files.keep(draft, name)
        rows.append(
            Job(model=model, options={"outscale": float(scale), "format": written}, input_file=name,
                input_sha256="0" * 64, input_bytes=1, input_format=kind, input_width=width, input_height=height,
                created_at=Now(), queued_at=Now())
        )  # fmt: skip
    with transaction.atomic():
        Job.objects.bulk_create(rows)
        dispatch.ring()
    limit = time.monotonic() + 600
    while (ended := Job.objects.ended().count()) < count:
        if time.monotonic() > limit:
            raise SystemExit(f"{ended} of {count} jobs have ended")
        time.sleep(0.05)
    times = Job.objects.aggregate(first=Min("started_at"), last=Max("finished_at"))
    done = list(Job.objects.filter(status="completed"))
    infer = sum(job.report["seconds"].get("infer", 0.0) for job in done)
    return {
        "seconds": (times["last"] - times["first"]).total_seconds(), "completed": len(done), "infer": infer,
    }  # fmt: skip


COMMANDS: dict[str, Callable[..., dict[str, float]]] = {"prepare": prepare, "stream": stream}


def main() -> None:
    import django

    sys.path.insert(0, str(Path.cwd()))
    django.setup()
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(json.dumps(COMMANDS[name](*arguments)), flush=True)


if __name__ == "__main__":
    main()
