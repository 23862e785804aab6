"""What the web server's processes are started with."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from tests.eventually import eventually
from tests.upscaler_site.web.conftest import StartWeb
from upscaler_site.web import server as web_server

pytestmark = pytest.mark.processes


def test_it_raises_its_limit_on_open_files() -> None:
    code = (
        "import resource; hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))\n"
        "from upscaler_site.web import server; server.raise_open_file_limit()\n"
        "soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]\n"
        "assert soft > 256 or hard == 256, (soft, hard)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_its_connections_send_small_answers_at_once() -> None:
    """asyncio sets TCP_NODELAY only on a socket that names its protocol; without it each answer waits 40 ms."""
    with web_server.listening_socket("127.0.0.1", 0) as listening:
        listening.listen()
        with socket.create_connection(listening.getsockname()), listening.accept()[0] as accepted:
            assert accepted.proto == socket.IPPROTO_TCP


def test_a_port_that_cannot_be_had_is_said_in_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "upscaler_site.web.server"]
        done = subprocess.run(
            command, env={**os.environ, "PORT": port}, capture_output=True, text=True, check=False, timeout=120
        )
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith(f"cannot listen address=127.0.0.1 port={port} error=")


def test_a_process_that_died_is_replaced_and_one_that_is_frozen_too(start_web: StartWeb) -> None:
    server = start_web(WEB_WORKERS="2")
    eventually(lambda: len(server.serving_processes()) == 2, say="both processes")
    killed, frozen = server.serving_processes()
    killed.send_signal(signal.SIGKILL)
    frozen.send_signal(signal.SIGSTOP)

    def replaced() -> bool:
        now = server.serving_processes()
        return len(now) == 2 and killed not in now and frozen not in now

    eventually(replaced, seconds=180, say="two new processes")
    eventually(server.answers, say="an answer")
