"""Every page of the admin is tried without collectstatic."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from jobs.models import Job


@pytest.fixture(autouse=True)
def static_files_as_they_lie(plain_static_files: None) -> None:
    """No test needs to ask for them."""


def address(job: "Job", rest: str = "change/") -> str:
    """A job's page in the admin."""
    return f"/admin/jobs/job/{job.pk}/{rest}"
