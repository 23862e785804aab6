"""A job that goes once it was downloaded, over real connections: whole, broken off, and by a link."""

import io
import socket
import struct
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.eventually import eventually
from tests.service import Service
from tests.tiny_models import TINY_MODEL


def noise(side: int) -> bytes:
    """A picture whose result is far larger than what systems keep in their buffers."""
    pixels = np.random.default_rng(1).integers(0, 256, (side, side, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def break_off(service: Service, path: str) -> None:
    """Ask for it, read its beginning, and cut the line."""
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    line.connect(("127.0.0.1", service.port))
    line.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert line.recv(1000).startswith(b"HTTP/1.1 200")
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, as a line that is cut
    line.close()


@pytest.mark.timeout(600)
def test_it_goes_when_the_whole_result_was_sent_and_not_before(
    start_service: Callable[..., Service], tiny_weights: Path
) -> None:
    service = start_service(DEFAULT_MODEL=TINY_MODEL, DOWNLOAD_GRACE_SECONDS="1", ACCESS_LOG="1", SWEEP_SECONDS="1")
    service.import_model(tiny_weights, TINY_MODEL)
    with service.client() as client:
        sent = client.post(
            "/api/v1/jobs",
            files={"image": ("noise.png", noise(1500))},
            data={"delete_after_download": "true", "format": "png"},
        ).json()
        job = f"/api/v1/jobs/{sent['job_id']}"
        eventually(lambda: client.get(job).json()["status"] == "completed", seconds=240)
        size = client.get(job).json()["result_bytes"]
        assert size > 10_000_000
        break_off(service, f"{job}/result")
        eventually(lambda: f"GET {job}/result" in service.output(), seconds=60, say="the end of the broken download")
        client.head(f"{job}/result")
        told = client.get(job).json()
        ended, goes = (datetime.fromisoformat(told[name]) for name in ("completed_at", "expires_at"))
        assert goes - ended == timedelta(hours=24)  # the usual time: what was sent so far does not count
        stored = [path for path in (service.data_dir / "files").rglob("*") if sent["job_id"] in path.name]
        assert len(stored) >= 2
        assert len(client.get(f"{job}/result").content) == size
        eventually(lambda: client.get(job).status_code == 404, seconds=60)
        eventually(lambda: not any(path.exists() for path in stored), seconds=60)
