"""Load on a whole service, over the loopback: ``python -m benchmarks.service [SCENARIO …]``.

Each scenario starts a service of its own, with a directory and a database of its own, and is bounded by what it sends:

- overhead: sync calls one after the other, what they take beside the engine's own seconds: decode, compute, encode;
- throughput: small pictures with 1, 2 and 4 inference processes;
- callers: so many sync calls at once;
- batch: sync calls one after the other while a batch of 100 is upscaled, and the batch with and without them;
- upload: the memory of the web process before, and at most, while 400 MB come in;
- rows: lists, statistics and metrics with a million jobs in the table.

Processor seconds stand beside wall time: machines are shared.
"""

import argparse
import asyncio
import io
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

from benchmarks.listing import INSERT
from tests.eventually import eventually
from tests.service import REPOSITORY, Service
from tests.tiny_models import TINY_MODEL, write_tiny_weights

MODEL = "bundled-compact-x4"
#: Seconds for all answers of a scenario.
_PATIENCE = 600.0
_UPLOAD = (7000, 7000)  # 16 bit, four channels: 392 MB as TIFF


def picture(side: int, seed: int) -> bytes:
    """Return a PNG of (side, side) pixels that no other seed gives."""
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


@contextmanager
def started(**environment: str) -> Iterator[Service]:
    """Run a service with the tiny model beside the bundled one, ready to upscale, with its networks loaded."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        service = Service(Path(place) / "data", {"REUSE_RESULTS": "0", "MAX_QUEUED_JOBS": "100000", **environment})
        service.start()
        try:
            service.import_model(write_tiny_weights(Path(place) / "tiny.safetensors"), TINY_MODEL)
            with service.client() as client:
                eventually(lambda: client.get("/api/v1/health/ready").is_success, seconds=240)
                for model in (MODEL, TINY_MODEL):
                    for seed in range(3):
                        upscaled(client, picture(64, seed), model)
            yield service
        finally:
            service.stop()


def upscaled(client: httpx.Client, data: bytes, model: str = MODEL) -> httpx.Response:
    """Post one picture and wait for it."""
    answer = client.post("/api/v1/upscale", files={"image": data}, data={"model": model})
    if answer.status_code != 200:
        raise SystemExit(f"{answer.status_code} {answer.text[:300]}")
    return answer


def quantiles(values: Sequence[float]) -> str:
    """Return median and 95 % of seconds, in ms."""
    ordered = sorted(values)
    return f"p50 {1000 * statistics.median(ordered):.1f} ms, p95 {1000 * ordered[int(len(ordered) * 0.95)]:.1f} ms"


def processor_seconds(service: Service) -> float:
    """Return what all processes of the service have used so far."""
    return sum(sum(process.cpu_times()[:2]) for process in service.processes())


def overhead(calls: int) -> None:
    """Print what sync calls take beside the engine."""
    with started() as service, service.client() as client:
        for model, side in ((TINY_MODEL, 64), (MODEL, 64), (MODEL, 256)):
            beside, whole, used = [], [], processor_seconds(service)
            for seed in range(calls):
                data, begun = picture(side, 100 + seed), time.perf_counter()
                answer = upscaled(client, data, model)
                whole.append(time.perf_counter() - begun)
                report = client.get(f"/api/v1/jobs/{answer.headers['X-Job-ID']}").json()["report"]
                beside.append(whole[-1] - sum(report["seconds"].values()))
            used = (processor_seconds(service) - used) / calls
            print(
                f"overhead    {model}, {side}×{side}: beside the engine {quantiles(beside)}; whole {quantiles(whole)}; "
                f"{1000 * used:.0f} ms of processor each, engine, preview and the look at the job included"
            )


def throughput(pictures: int) -> None:
    """Print pictures a second with 1, 2 and 4 inference processes."""
    cores = len(os.sched_getaffinity(0))
    for workers in (1, 2, 4):
        threads = str(max(1, cores // workers))
        with started(GPU_WORKERS=str(workers), OMP_NUM_THREADS=threads) as service, service.client() as client:
            data = [picture(96, seed) for seed in range(pictures)]
            used, begun = processor_seconds(service), time.perf_counter()
            jobs = []
            for one in data:
                sent = client.post("/api/v1/jobs", files={"image": one}, data={"model": MODEL}).raise_for_status()
                jobs.append(sent.json()["job_id"])
            ended(client, jobs)
            seconds, used = time.perf_counter() - begun, processor_seconds(service) - used
        print(
            f"throughput  {workers} processes of {threads} threads: {pictures / seconds:.1f} pictures/s of 96×96, "
            f"{1000 * used / pictures:.0f} ms of processor each"
        )


def ended(client: httpx.Client, jobs: list[str]) -> None:
    """Wait until all have completed."""
    until = time.monotonic() + _PATIENCE
    for at in range(0, len(jobs), 100):
        some = ",".join(jobs[at : at + 100])
        while time.monotonic() < until:
            found = client.get("/api/v1/jobs", params={"ids": some, "limit": 100}).json()["jobs"]
            if all(job["status"] == "completed" for job in found):
                break
            time.sleep(0.1)


def callers(count: int) -> None:
    """Print how long so many sync calls at once took."""

    async def call(client: httpx.AsyncClient, seed: int) -> tuple[int, float]:
        begun = time.perf_counter()
        answer = await client.post("/api/v1/upscale", files={"image": picture(64, seed)}, data={"model": TINY_MODEL})
        return answer.status_code, time.perf_counter() - begun

    async def together(address: str) -> list[tuple[int, float]]:
        limits = httpx.Limits(max_connections=count)
        async with httpx.AsyncClient(base_url=address, timeout=_PATIENCE, limits=limits) as client:
            return await asyncio.gather(*(call(client, 1000 + seed) for seed in range(count)))

    with started(MAX_WAITING_REQUESTS=str(count)) as service:
        begun = time.perf_counter()
        answers = asyncio.run(together(service.base_url))
        seconds = time.perf_counter() - begun
    told = ", ".join(f"{number} × {status}" for status, number in Counter(status for status, _ in answers).items())
    print(f"callers     {count} at once: {told} in {seconds:.1f} s; {quantiles([took for _, took in answers])}")


def batch(size: int) -> None:
    """Print what a batch and sync calls beside it cost each other."""
    with started() as service, service.client() as client:
        alone = _batch(client, size, 5000, lambda: None)
        taken: list[float] = []

        def call() -> None:
            begun = time.perf_counter()
            upscaled(client, picture(96, 9000 + len(taken)))
            taken.append(time.perf_counter() - begun)

        quiet = []
        for seed in range(10):
            begun = time.perf_counter()
            upscaled(client, picture(96, 8000 + seed))
            quiet.append(time.perf_counter() - begun)
        beside = _batch(client, size, 6000, call)
    print(f"batch       {size} pictures of 96×96: alone {alone:.1f} s, beside {len(taken)} sync calls {beside:.1f} s")
    print(f"            a sync call: alone {quantiles(quiet)}; beside the batch {quantiles(taken)}")


def _batch(client: httpx.Client, size: int, first: int, meanwhile: Callable[[], None]) -> float:
    """Submit a batch; call ``meanwhile`` again and again until it has ended. Return its seconds."""
    files = [("images", (f"{number}.png", picture(96, first + number))) for number in range(size)]
    begun = time.perf_counter()
    sent = client.post("/api/v1/upscale-batch", files=files, data={"model": MODEL}).raise_for_status()
    address = f"/api/v1/batches/{sent.json()['batch_id']}"
    while client.get(address).json()["status"] != "completed":
        meanwhile()
        time.sleep(0.05)
    return time.perf_counter() - begun


def upload() -> None:
    """Print the web process's memory while a picture of some 390 MB comes in for a dry run."""
    width, height = _UPLOAD
    with tempfile.TemporaryDirectory() as place, started(MAX_INPUT_PIXELS="50000000") as service:
        path = Path(place) / "large.tif"
        _write_tiff(path, width, height)
        web = [process for process in service.processes() if "spawn_main" in " ".join(process.cmdline())]
        before = peak = max(process.memory_info().rss for process in web)
        over = threading.Event()

        def look() -> None:
            nonlocal peak
            while not over.wait(0.02):
                peak = max(peak, *(process.memory_info().rss for process in web))

        watcher = threading.Thread(target=look)
        watcher.start()
        begun = time.perf_counter()
        options = {"model": MODEL, "outscale": "1"}
        with service.client() as client, path.open("rb") as file:
            answer = client.post("/api/v1/jobs?dry_run=true", files={"image": file}, data=options).raise_for_status()
        seconds = time.perf_counter() - begun
        over.set()
        watcher.join()
        size = path.stat().st_size / 1e6
    print(
        f"upload      {size:.0f} MB: {answer.status_code} in {seconds:.1f} s; "
        f"web process {before / 1e6:.0f} MB before, {peak / 1e6:.0f} MB at most"
    )


def _write_tiff(path: Path, width: int, height: int) -> None:
    """Write an uncompressed TIFF of (height, width, 4) 16-bit samples, a row at a time: no library does it so."""
    size, begin = width * height * 8, 8
    bits_at = begin + size
    tags = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 4, bits_at), (259, 3, 1, 1), (262, 3, 1, 2),
        (273, 4, 1, begin), (277, 3, 1, 4), (278, 4, 1, height), (279, 4, 1, size), (284, 3, 1, 1), (338, 3, 1, 2),
    ]  # fmt: skip
    row = np.random.default_rng(1).integers(0, 65_536, width * 4, dtype="<u2").tobytes()
    with path.open("wb") as file:
        file.write(b"II*\0" + struct.pack("<I", bits_at + 8))
        for _ in range(height):
            file.write(row)
        file.write(struct.pack("<4H", 16, 16, 16, 16))
        file.write(struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4))


def rows(count: int) -> None:
    """Print how long lists, statistics and metrics take with so many jobs."""
    with started(METRICS_ACCESS="open") as service:
        _sql(service, INSERT % {"rows": count, "batch": "NULL", "busy": "NULL", "idle": "NULL"})
        # A million jobs of one moment; in a service that grew they are folded into figures, and tidied up, all along.
        fold = "from monitoring import ledger; from jobs.models import UsageEntry"
        service.manage("shell", "-c", f"{fold}; ledger.upkeep(); UsageEntry.objects.fold()")
        _sql(service, "VACUUM ANALYZE;")
        with service.client() as client:
            for path in ("/api/v1/jobs?limit=100", "/api/v1/jobs?limit=100&status=failed", "/api/v1/stats", "/metrics",
                         "/api/v1/health/ready"):  # fmt: skip
                taken = []
                for _ in range(15):
                    begun = time.perf_counter()
                    client.get(path).raise_for_status()
                    taken.append(time.perf_counter() - begun)
                print(f"rows        {count:,} jobs, GET {path}: {quantiles(taken[1:])}; first {1000 * taken[0]:.0f} ms")


def _sql(service: Service, statements: str) -> None:
    command = [sys.executable, "-m", "upscaler_site.postgres.embedded", str(service.data_dir)]
    subprocess.run(
        [*command, "sh", "-c", 'psql --quiet --set=ON_ERROR_STOP=1 "$DATABASE_URL"'],
        cwd=REPOSITORY, env=service.environment, input=statements, text=True, check=True,
    )  # fmt: skip


def main() -> None:
    """Run the scenarios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="default: all of them")
    parser.add_argument("--calls", type=int, default=60, help="of overhead")
    parser.add_argument("--pictures", type=int, default=200, help="of throughput")
    parser.add_argument("--callers", type=int, default=200)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--rows", type=int, default=1_000_000)
    given = parser.parse_args()
    all_of_them: dict[str, Callable[[], None]] = {
        "overhead": lambda: overhead(given.calls),
        "throughput": lambda: throughput(given.pictures),
        "callers": lambda: callers(given.callers),
        "batch": lambda: batch(given.batch),
        "upload": upload,
        "rows": lambda: rows(given.rows),
    }
    unknown = set(given.scenarios) - set(all_of_them)
    if unknown:
        parser.error(f"no scenario {', '.join(sorted(unknown))}; there are {', '.join(all_of_them)}")
    print(f"load average {os.getloadavg()[0]:.1f}, {len(os.sched_getaffinity(0))} cores")
    for name in given.scenarios or all_of_them:
        all_of_them[name]()


if __name__ == "__main__":
    main()
