"""Parts of a request's time: ``python -m benchmarks.request --weights FILE --weights FILE``.

Starts a service of its own and posts one picture after the other, each a little different so that none is answered
from an earlier result. What the network takes is in the job's report; the rest is the work beside it: the upload, the
queue, decoding, encoding, the digest, the answer.
"""

import argparse
import io
import statistics
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from tests.service import Service

#: In the order in which they happen; "store" is what the worker does beside them, the digest among it.
_PARTS = ("upload", "queued", "load", "decode", "infer", "encode", "store", "answer", "whole", "beside")


def picture(source: Path | None, width: int, height: int, seed: int, kind: str) -> bytes:
    """Return a file of (height, width) pixels, from ``source`` or made: slopes, edges and noise."""
    dice = np.random.default_rng(seed)
    if source:
        pixels = np.asarray(Image.open(source).convert("RGB").resize((width, height), Image.Resampling.LANCZOS)).copy()
    else:
        y, x = np.mgrid[0:height, 0:width]
        planes = [127 + 90 * np.sin(x / (9 + 4 * c)) * np.cos(y / (17 - 3 * c)) for c in range(3)]
        pixels = np.clip(np.stack(planes, 2) + dice.normal(0, 6, (height, width, 3)), 0, 255).astype(np.uint8)
    pixels[:4, :4] = dice.integers(0, 256, (4, 4, 3))
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, quality=92)
    return file.getvalue()


def measure(client: httpx.Client, model: str, pictures: list[bytes], form: dict[str, str]) -> dict[str, list[float]]:
    """Post the pictures one by one; return milliseconds of each part, of all but the first."""
    found: dict[str, list[float]] = {part: [] for part in _PARTS}
    for number, data in enumerate(pictures):
        begun = time.time()
        answer = client.post("/api/v1/upscale", files={"image": data}, data={"model": model, **form})
        ended = time.time()
        whole = ended - begun
        if answer.status_code != 200:
            raise SystemExit(f"{model}: {answer.status_code} {answer.text[:300]}")
        job: dict[str, Any] = client.get(f"/api/v1/jobs/{answer.headers['X-Job-ID']}").json()
        seconds = job["report"]["seconds"]
        if not number:
            print(f"{model}: first request {whole:.3f} s, of that loading {seconds['load']:.3f} s")
            continue
        created, started, completed = (
            datetime.fromisoformat(job[moment]).timestamp() for moment in ("created_at", "started_at", "completed_at")
        )
        in_report = {part: seconds[part] for part in ("load", "decode", "infer", "encode")}
        parts = {
            "upload": created - begun,
            "queued": started - created,
            **in_report,
            "store": completed - started - sum(in_report.values()),
            "answer": ended - completed,
            "whole": whole,
            "beside": whole - seconds["infer"],
        }
        for part, value in parts.items():
            found[part].append(1000 * value)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, action="append", default=[], help="a weights file; again for more")
    parser.add_argument("--image", type=Path, help="a picture, shrunk to the size; else one is made")
    parser.add_argument("--size", default="481x321")
    parser.add_argument("--kind", default="JPEG", help="the format of the upload: JPEG, PNG, WebP")
    parser.add_argument("--format", default="auto", help="the format of the result, as the API names it")
    parser.add_argument("--repeats", type=int, default=9)
    given = parser.parse_args()
    width, height = (int(side) for side in given.size.split("x"))
    pictures = [picture(given.image, width, height, seed, given.kind) for seed in range(given.repeats + 1)]
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        service = Service(Path(place) / "data")
        service.start()
        try:
            models = ["bundled-compact-x4"]
            for file in given.weights:
                name = file.stem.lower().replace("_", "-")
                service.import_model(file.resolve(), name)
                models.append(name)
            with service.client() as client:
                print(f"{width}x{height} {given.kind}, result {given.format}; medians of {given.repeats} in ms")
                form = {} if given.format == "auto" else {"format": given.format}
                rows = {model: measure(client, model, pictures, form) for model in models}
            print(f"{'':24}" + "".join(f"{part:>9}" for part in _PARTS) + "   beside/whole")
            for model, found in rows.items():
                middle = {part: statistics.median(values) for part, values in found.items()}
                share = middle["beside"] / middle["whole"]
                print(f"{model:24}" + "".join(f"{middle[part]:9.1f}" for part in _PARTS) + f"{100 * share:13.0f} %")
        finally:
            service.stop()


if __name__ == "__main__":
    main()
