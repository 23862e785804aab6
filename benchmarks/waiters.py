"""Speed of /health while many callers wait for pictures: ``python -m benchmarks.waiters --waiters 200``.

Starts a service of its own, freezes its inference worker (whose lease outlasts the measurement), lets so many callers
post a picture and wait, and times /health meanwhile. Then the worker goes on, and every caller must get a picture.
"""

import argparse
import io
import statistics
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import httpx
import psutil
from PIL import Image

from tests.eventually import eventually
from tests.service import Service
from tests.tiny_models import TINY_MODEL, write_tiny_weights


def milliseconds(client: httpx.Client, times: int) -> list[float]:
    """Time /health so many times, one call after the other; sorted."""
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        client.get("/api/v1/health").raise_for_status()
        taken.append((time.perf_counter() - begun) * 1000)
    return sorted(taken)


def row(name: str, taken: list[float]) -> str:
    """Return one line of the report."""
    return f"{name:14} median {statistics.median(taken):6.1f} ms   p95 {taken[int(len(taken) * 0.95)]:6.1f} ms"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--waiters", type=int, default=200)
    parser.add_argument("--calls", type=int, default=200)
    given = parser.parse_args()
    picture = io.BytesIO()
    Image.new("RGB", (16, 16), (90, 120, 40)).save(picture, "PNG")
    with tempfile.TemporaryDirectory() as place:
        service = Service(
            Path(place) / "data", {"MAX_WAITING_REQUESTS": str(given.waiters), "JOB_LEASE_SECONDS": "600"}
        )
        Path(place).chmod(0o755)
        service.start()
        try:
            service.import_model(write_tiny_weights(Path(place) / "tiny.safetensors"), TINY_MODEL)
            measure(service, picture.getvalue(), given.waiters, given.calls)
        finally:
            service.stop()


def measure(service: Service, picture: bytes, waiters: int, calls: int) -> None:
    """Freeze, wait, time, thaw."""
    client = service.client()
    eventually(lambda: client.get("/api/v1/health/ready").status_code == 200, seconds=120)
    print(row("nobody waits", milliseconds(client, calls)))
    # The launcher and the main process as well: they would kill silent workers.
    frozen = [
        each
        for main in service.cluster_mains("gpu")
        for each in (*main.parents()[:1], main, *main.children(recursive=True))
    ]
    for process in frozen:
        process.suspend()
    answers: Counter[int] = Counter()

    def wait() -> None:
        with service.client() as own:
            files = {"image": ("a.png", picture)}
            answers[own.post("/api/v1/upscale", files=files, data={"model": TINY_MODEL}).status_code] += 1

    threads = [threading.Thread(target=wait) for _ in range(waiters)]
    for thread in threads:
        thread.start()
    eventually(lambda: client.get("/api/v1/jobs?limit=1").json()["total"] == waiters, seconds=120)
    print(row(f"{waiters} wait", milliseconds(client, calls)))
    for process in frozen:
        if psutil.pid_exists(process.pid):
            process.resume()
    for thread in threads:
        thread.join()
    print("answers by status:", dict(answers))


if __name__ == "__main__":
    main()
