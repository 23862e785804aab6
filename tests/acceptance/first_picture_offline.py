"""Runs inside a network namespace that has loopback only: the service's first start, and the README's first picture."""

import socket
import sys
from pathlib import Path

import httpx

from tests.eventually import eventually
from tests.service import REPOSITORY, Service


def main(data_dir: Path, output: Path) -> None:
    """Start a new service, upscale the sample with the bundled model, write the answer to ``output``."""
    try:
        socket.create_connection(("192.0.2.1", 80), timeout=2).close()  # TEST-NET-1 (RFC 5737): nobody is there anyway
    except OSError as error:
        print(f"cut off: {error}")
    service = Service(data_dir)
    service.start()
    try:
        eventually(lambda: httpx.get(f"{service.base_url}/api/v1/health/ready").status_code == 200, seconds=120)
        with service.client() as client, (REPOSITORY / "samples" / "sample.png").open("rb") as sample:
            answer = client.post("/api/v1/upscale", files={"image": sample}, data={"model": "bundled-compact-x4"})
        answer.raise_for_status()
        output.write_bytes(answer.content)
    finally:
        service.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
