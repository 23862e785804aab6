"""Jobs as rows, and keys."""

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from jobs.models import ApiKey, Job


@pytest.fixture
def make_job(db: None) -> "Callable[..., Job]":
    """Writes a waiting job."""
    from django.db.models.functions import Now

    from jobs.models import Job  # this file is loaded before Django is set up

    def make(**fields: Any) -> Job:
        values: dict[str, Any] = {
            "model": "tiny-x2",
            "input_file": f"inputs/{uuid.uuid4()}.png",
            "input_sha256": "0" * 64,
            "input_bytes": 100,
            "input_format": "png",
            "input_width": 8,
            "input_height": 8,
            "created_at": Now(),
            "queued_at": Now(),
        }
        return Job.objects.create(**(values | fields))

    return make


@pytest.fixture
def make_key(db: None) -> "Callable[..., tuple[ApiKey, dict[str, str]]]":
    """Makes a key of these scopes; returns it and the header that carries it."""
    from jobs import keys

    def make(*scopes: str, **fields: Any) -> "tuple[ApiKey, dict[str, str]]":
        key, text = keys.issue("test", scopes or ["upscale"], **fields)
        return key, {"Authorization": f"Bearer {text}"}

    return make
