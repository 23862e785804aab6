"""The kernels, built once for the tests of backends."""

from pathlib import Path

import pytest

from jobs.engine.backends.winograd.build import BuildFailed, build
from jobs.engine.backends.winograd.library import Library, load


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the libraries of this machine's architecture."""
    folder = tmp_path_factory.mktemp("kernels")
    try:
        build(folder)
    except BuildFailed as error:
        pytest.skip(str(error))
    return folder


@pytest.fixture(scope="session")
def best(built: Path) -> Library:
    """The variant that this processor would use."""
    return load(built)
