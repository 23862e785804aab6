"""Rows of waiting jobs, for tests that look at rows and not at how they came to be."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobs.models import Job


def waiting_job(**fields: Any) -> "Job":
    """A waiting job as the database holds it; ``fields`` go before what is written here. It has no file."""
    from django.db.models.functions import Now

    from jobs.models import Job  # conftest files import this one before Django is set up

    job = Job.objects.create(
        **{
            "model": "tiny-x2",
            "input_file": "inputs/x.png",
            "input_name": "x.png",
            "input_sha256": "0" * 64,
            "input_bytes": 100,
            "input_format": "png",
            "input_width": 24,
            "input_height": 16,
            "created_at": Now(),
            "queued_at": Now(),
            **fields,
        }
    )
    job.refresh_from_db()
    return job
