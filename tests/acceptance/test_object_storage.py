"""Hosts that share a database and a bucket, and nothing else: everything works, and nothing is lost with a host.

The storage is a server process of other people: npm's s3rver, which is killed, or moto's, which is hidden instead.
"""

import io
import os
import signal
import time
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.acceptance.cables import HERE, Cable, can_be_laid
from tests.eventually import eventually
from tests.jobs.conftest import database_url
from tests.modelstore.stores.conftest import client_for
from tests.modelstore.stores.servers import KEY, SECRET, S3Server, s3rver
from tests.modelstore.stores.weather import Weather
from tests.service import Service, StartService
from tests.tiny_models import TINY_MODEL

pytestmark = pytest.mark.processes
PREFIX = "up/scaled/"


class Site:
    """A bucket behind the weather, and hosts that use it."""

    def __init__(self, server: S3Server, start: StartService, root: Path) -> None:
        self.server = server
        self.bucket = f"site-{uuid.uuid4().hex[:8]}"
        self.s3 = client_for(server.url)
        self.s3.create_bucket(Bucket=self.bucket)
        self.address = "127.0.0.1"
        self.weather = Weather(server.port, "0.0.0.0")
        self._start = start
        self._root = root

    def host(self, name: str, *only: str, cable: Cable | None = None, **environment: str) -> Service:
        """Start one with a data directory of its own, and at the end of a cable a network of its own."""
        service = Service(self._root / name, self.environment() | environment)
        if cable is not None:
            service.command = [*cable.prefix, *service.command]
            service.base_url = f"http://{cable.address}:{service.port}"
            service.environment |= {"LISTEN_ADDRESS": "0.0.0.0"}
        service.command += [word for part in only for word in ("--only", part)]
        service.start(wait="web" in only or not only)
        return service

    def environment(self) -> dict[str, str]:
        return {
            "DATABASE_URL": database_url(),
            "SECRET_KEY": "the same on all hosts, and long enough to be one of them: 0123456789abcdef",
            "STORAGE": f"s3://{self.bucket}/{PREFIX}?endpoint=http://{self.address}:{self.weather.port}&region=us-east-1",
            "STORAGE_TIMEOUT_SECONDS": "2",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "JOB_LEASE_SECONDS": "5",
            "SWEEP_SECONDS": "1",
            "MIN_FREE_DISK_MB": "0",
            "OMP_NUM_THREADS": "1",
            "ENGINE_BACKEND": "torch",
        }

    def go_away(self) -> None:
        """Kill the storage; one that would forget everything refuses everybody instead."""
        if self.server.kind == "s3rver":
            self.server.stop()
        self.weather.rule = lambda _: "refuse" if self.server.kind == "moto" else ""

    def come_back(self) -> None:
        """Start it again."""
        self.weather.rule = lambda _: ""
        if self.server.kind == "s3rver":
            self.server.start()

    def stored(self, kind: str = "") -> list[str]:
        """The names of the bucket's objects below the prefix, without marker and models."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=PREFIX + kind)
        names = [entry["Key"][len(PREFIX) :] for page in pages for entry in page.get("Contents", ())]
        return sorted(name for name in names if not name.startswith((".", "models/")))


@pytest.fixture
def site(
    start_service: StartService, transactional_db: None, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    kind = "s3rver" if s3rver() else "moto"  # s3rver keeps its objects on the disk: it can be killed
    server = S3Server(kind, tmp_path_factory.mktemp(kind))
    server.start()
    made = Site(server, start_service, tmp_path)
    yield made
    made.weather.close()
    server.stop()


@pytest.fixture
def hosts(site: Site) -> Iterator[list[Service]]:
    """Every host that a test starts; they are gone after it."""
    started: list[Service] = []
    begin = site.host

    def noted(name: str, *only: str, **more: Any) -> Service:
        service = begin(name, *only, **more)
        started.append(service)
        return service

    site.host = noted  # type: ignore[method-assign]  # for this test
    yield started
    for service in started:
        service.kill()


def png(seed: int, width: int = 24) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (16, width, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def send(client: httpx.Client, seed: int, call: str = "upscale") -> httpx.Response:
    return client.post(f"/api/v1/{call}", files={"image": ("a.png", png(seed))}, data={"model": TINY_MODEL})


def local_files(host: Service) -> list[Path]:
    return [path for path in (host.data_dir / "files").rglob("*") if path.is_file()]


def test_every_way_of_a_picture_through_a_bucket(site: Site, hosts: list[Service], tiny_weights: Path) -> None:
    """Upload, result, preview, tiles, range, ETag, archive, reuse, deletion, clean-up, orphans: by the API alone."""
    host = site.host("one")
    host.import_model(tiny_weights, TINY_MODEL)
    with host.client() as client:
        answer = send(client, 1)
        assert answer.status_code == 200, answer.text
        job = answer.headers["X-Job-ID"]
        result = client.get(f"/api/v1/jobs/{job}/result")
        assert result.content == answer.content
        assert Image.open(io.BytesIO(result.content)).size == (48, 32)
        part = client.get(f"/api/v1/jobs/{job}/result", headers={"Range": "bytes=10-19"})
        assert (part.status_code, part.content) == (206, result.content[10:20])
        tag = {"If-None-Match": result.headers["ETag"]}
        assert client.get(f"/api/v1/jobs/{job}/result", headers=tag).status_code == 304
        head = client.head(f"/api/v1/jobs/{job}/result")
        assert (head.status_code, head.content) == (200, b"")
        assert int(head.headers["Content-Length"]) == len(result.content)
        assert client.get(f"/api/v1/jobs/{job}/input").content == png(1)
        preview = eventually(lambda: _ok(client.get(f"/api/v1/jobs/{job}/preview")), seconds=60)
        assert Image.open(io.BytesIO(preview.content)).size == (48, 32)
        eventually(lambda: _ok(client.get(f"/api/v1/jobs/{job}/pyramid")), seconds=60)
        assert _ok(client.get(f"/api/v1/jobs/{job}/pyramid/tile?level=0&column=0&row=0"))
        assert [name.split("/")[0] for name in site.stored()] == ["inputs", "previews", "pyramids", "results"]

        again = send(client, 1)
        assert again.headers["X-Job-ID"] != job
        assert again.content == result.content
        assert len(site.stored("results")) == 2
        ids = f"{job},{again.headers['X-Job-ID']}"
        archive = client.get(f"/api/v1/jobs/archive?ids={ids}")
        with zipfile.ZipFile(io.BytesIO(archive.content)) as unpacked:
            assert [unpacked.read(name) for name in unpacked.namelist()] == [result.content] * 2

        assert client.delete(f"/api/v1/jobs/{job}").status_code in (200, 204)
        assert len(site.stored()) == 3
        assert client.get(f"/api/v1/jobs/{again.headers['X-Job-ID']}/result").content == result.content
        orphan = f"results/ab/{uuid.uuid4()}-{uuid.uuid4().hex}.png"
        site.s3.put_object(Bucket=site.bucket, Key=PREFIX + orphan, Body=b"left by a worker that was killed")
        site.s3.put_object(Bucket=site.bucket, Key=f"{PREFIX}results/notes.txt", Body=b"an operator's")
        host.manage("cleanup_jobs", "--hours", "0", "--orphan-seconds", "0", check=False)
        client.post("/api/v1/cleanup?hours=0")
        assert [name for name in site.stored() if name != orphan] == ["results/notes.txt"]
        assert client.get("/api/v1/health/ready").json()
    assert local_files(host) == [], "nothing stays on the host"


def _ok(answer: httpx.Response) -> Any:
    assert answer.status_code in (200, 202), answer.text
    return answer if answer.status_code == 200 else None


def test_a_host_is_killed_and_the_storage_goes_away_in_the_middle_of_a_batch_and_nothing_is_lost(
    site: Site, hosts: list[Service], tiny_weights: Path
) -> None:
    """Sixty pictures, two hosts that share a database and a bucket, and not even weights."""
    first = site.host("one")
    first.import_model(tiny_weights, TINY_MODEL)
    second = site.host("two", "gpu")
    with first.client() as client:
        eventually(lambda: _workers(client) >= 2, seconds=240, say=second.output())
        files = [("images", (f"{number}.png", png(number, 200))) for number in range(60)]
        answer = client.post("/api/v1/upscale-batch", files=files, data={"model": TINY_MODEL})
        assert answer.status_code in (200, 202), answer.text
        batch = answer.json()["batch_id"]
        eventually(lambda: _done(client, batch) >= 5, seconds=240)
        eventually(lambda: "fetched weights to this host" in second.output(), seconds=60)
        assert second.process is not None
        os.killpg(second.process.pid, signal.SIGKILL)
        second.kill()
        before = _done(client, batch)
        assert before < 60
        site.go_away()
        eventually(lambda: "does not answer" in client.get("/api/v1/health/ready").text, seconds=60)
        assert send(client, 1000).status_code == 503
        time.sleep(5)
        site.come_back()
        state = eventually(
            lambda: _ended(client.get(f"/api/v1/batches/{batch}").json()), seconds=500, say=first.output()[-3000:]
        )
        assert {job["status"] for job in state["jobs"]} == {"completed"}
        archive = client.get(f"/api/v1/batches/{batch}/results")
        with zipfile.ZipFile(io.BytesIO(archive.content)) as unpacked:
            pictures = [name for name in unpacked.namelist() if name != "batch.json"]
            assert len(pictures) == 60
            for name in pictures:
                assert Image.open(io.BytesIO(unpacked.read(name))).size == (400, 32)


@pytest.fixture
def cables(hosts: list[Service]) -> Iterator[list[Cable]]:
    """Two cables; they are taken away when the hosts at their ends are gone."""
    if not can_be_laid():
        pytest.skip("network namespaces want Linux, root and iproute2")
    laid = [Cable(), Cable()]
    yield laid
    for service in hosts:
        service.kill()
    for cable in laid:
        cable.remove()


def test_a_host_that_is_cut_off_from_the_storage_gives_its_jobs_back(
    site: Site, hosts: list[Service], cables: list[Cable], tiny_weights: Path
) -> None:
    """Its cable is pulled out in the middle of sixty pictures, and then it is killed."""
    site.address = HERE
    first = site.host("one", cable=cables[0])
    first.import_model(tiny_weights, TINY_MODEL)
    second = site.host("two", "gpu", cable=cables[1])
    with first.client() as client:
        eventually(lambda: _workers(client) >= 2, seconds=240, say=second.output())
        files = [("images", (f"{number}.png", png(number, 200))) for number in range(60)]
        batch = client.post("/api/v1/upscale-batch", files=files, data={"model": TINY_MODEL}).json()["batch_id"]
        eventually(lambda: second.output().count("job completed") >= 2, seconds=240)
        cables[1].cut()
        assert _done(client, batch) < 60
        eventually(
            lambda: "job put aside, the storage is away" in second.output() or "not stored yet" in second.output(),
            seconds=240,
            say=second.output()[-3000:],
        )
        second.kill()
        state = eventually(
            lambda: _ended(client.get(f"/api/v1/batches/{batch}").json()), seconds=500, say=first.output()[-3000:]
        )
        assert [job["status"] for job in state["jobs"]] == ["completed"] * 60
        assert sorted(file.split("/")[0] for file in site.stored("results")) == ["results"] * 60


def _workers(client: httpx.Client) -> int:
    return sum(worker["cluster"] == "gpu" for worker in client.get("/api/v1/system").json()["workers"])


def _done(client: httpx.Client, batch: str) -> int:
    return sum(job["status"] == "completed" for job in client.get(f"/api/v1/batches/{batch}").json()["jobs"])


def _ended(state: dict[str, Any]) -> Any:
    return state if state["status"] == "completed" else None
