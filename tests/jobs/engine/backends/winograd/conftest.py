"""The kernels, built once for these tests, and networks of all shapes."""

from pathlib import Path

import pytest

from jobs.engine.backends.winograd.build import BuildFailed, build
from jobs.engine.backends.winograd.library import Library, load, runnable
from jobs.engine.backends.winograd.variants import variants


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the libraries of this machine's architecture."""
    folder = tmp_path_factory.mktemp("kernels")
    try:
        build(folder)
    except BuildFailed as error:
        pytest.skip(str(error))
    return folder


@pytest.fixture(scope="session", params=[variant.name for variant in variants()])
def library(request: pytest.FixtureRequest, built: Path) -> Library:
    """Each variant in turn."""
    if request.param not in [variant.name for variant in runnable()]:
        pytest.skip(f"this processor does not run {request.param}")
    return load(built, only=request.param)


@pytest.fixture(scope="session")
def best(built: Path) -> Library:
    """The variant that this processor would use."""
    return load(built)
