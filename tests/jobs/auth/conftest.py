"""Jobs as rows, and keys."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.job_rows import waiting_job

if TYPE_CHECKING:
    from jobs.models import ApiKey, Job


@pytest.fixture
def make_job(db: None) -> "Callable[..., Job]":
    """Writes a waiting job."""
    return waiting_job


@pytest.fixture
def make_key(db: None) -> "Callable[..., tuple[ApiKey, dict[str, str]]]":
    """Makes a key of these scopes; returns it and the header that carries it."""
    from jobs.auth import api_keys

    def make(*scopes: str, **fields: Any) -> "tuple[ApiKey, dict[str, str]]":
        key, text = api_keys.issue("test", scopes or ["upscale"], **fields)
        return key, {"Authorization": f"Bearer {text}"}

    return make
