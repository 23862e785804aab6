"""A data directory per test, and figures that begin at nothing."""

from collections.abc import Iterator

import pytest

from tests.jobs.conftest import data_dir

__all__ = ["data_dir"]


@pytest.fixture(autouse=True)
def fresh_counter() -> Iterator[None]:
    """Requests that other tests made are not this one's."""
    from monitoring.requests import counter

    counter.forget()
    yield
    counter.forget()
