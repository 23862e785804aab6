"""Descriptors beyond the reach of select.select."""

import os
import resource
import socket
from collections.abc import Iterator

import pytest

from jobs.peer import has_left
from jobs.readable import readable

HIGH = 1500


@pytest.fixture
def many_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard <= HIGH:
        pytest.skip(f"only {hard} files may be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (HIGH + 10 if soft <= HIGH else soft, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_high_descriptor_is_heard(many_files: None) -> None:
    read, write = os.pipe()
    os.dup2(read, HIGH)
    try:
        assert not readable([HIGH], 0)
        os.write(write, b"x")
        assert readable([HIGH], 10)
    finally:
        for descriptor in (read, write, HIGH):
            os.close(descriptor)


def test_a_caller_on_a_high_descriptor_is_not_taken_for_gone(many_files: None) -> None:
    ours, theirs = socket.socketpair()
    os.dup2(ours.fileno(), HIGH)
    with ours, theirs, socket.socket(fileno=HIGH) as high:
        assert not has_left({"gunicorn.socket": high})
        theirs.close()
        assert has_left({"gunicorn.socket": high})


def test_the_web_server_raises_its_limit_on_open_files() -> None:
    import subprocess
    import sys

    code = (
        "import resource; hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))\n"
        "from upscaler_site import gunicorn; gunicorn.on_starting(None)\n"
        "soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]\n"
        "assert soft > 256 or hard == 256, (soft, hard)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
