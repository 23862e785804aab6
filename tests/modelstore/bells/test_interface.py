"""Descriptors beyond the reach of select.select."""

import os
import resource
from collections.abc import Iterator

import pytest

from modelstore.bells.interface import readable

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
