"""Answers to the model store about jobs and workers, before it deletes a model; registered when the app is ready."""

from jobs.models.job import Job
from jobs.models.worker import Worker
from jobs.states import TERMINAL, Status
from modelstore.usage import LoadedIn

_UNFINISHED = [status for status in Status if status not in TERMINAL]


def unfinished_jobs(model: str) -> int:
    """Count the jobs that wait for the model or are computed with it, alone or in a chain."""
    return Job.objects.with_model(model).filter(status__in=_UNFINISHED).count()


def loaded_in(model: str) -> list[LoadedIn]:
    """Return the live workers that hold the model's network in memory."""
    workers = Worker.objects.alive().filter(loaded_models__contains=[model]).order_by("pk")
    return [LoadedIn(worker.pk, worker.device) for worker in workers]
