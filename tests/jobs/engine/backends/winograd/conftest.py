"""Each variant of the kernels in turn."""

from pathlib import Path

import pytest

from jobs.engine.backends.winograd.library import Library, load, runnable
from jobs.engine.backends.winograd.variants import variants


@pytest.fixture(scope="session", params=[variant.name for variant in variants()])
def library(request: pytest.FixtureRequest, built: Path) -> Library:
    """Each variant in turn."""
    if request.param not in [variant.name for variant in runnable()]:
        pytest.skip(f"this processor does not run {request.param}")
    return load(built, only=request.param)
