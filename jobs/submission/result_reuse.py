"""The same bytes with the same options and the same weights need not be computed twice."""

from collections.abc import Sequence

from jobs.models import job_changes
from jobs.models.api_key import ApiKey
from jobs.models.job import Job
from jobs.options import JobOptions
from jobs.states import Status
from jobs.storage import file_names, files
from jobs.submission.chosen import Chosen


def fingerprint_of(chosen: Chosen, options: JobOptions, input_sha256: str) -> str:
    """Return a fingerprint that is equal for equal work. Weights count by content: an import may reuse a name."""
    return options.fingerprint(model=chosen.content, input_sha256=input_sha256)


def existing(fingerprint: str, api_key: ApiKey | None) -> Job | None:
    """Return the caller's newest job that did this work, if its result still exists."""
    equal = Job.objects.filter(fingerprint=fingerprint, status=Status.COMPLETED, api_key=api_key)
    source = equal.order_by("-finished_at").first()
    return source if source is not None and files.exists(source.result_file) else None


def answer_from_existing(job: Job, made: list[str]) -> bool:
    """Complete an unsaved job with the result of an equal one of the same caller. False: it has to be computed.

    The files have names of their own, so either job can be cleaned up alone. ``made`` receives their names. A
    preview that is not there yet is given to both jobs by the worker that makes it.
    """
    source = existing(job.fingerprint, job.api_key)
    if source is None:
        return False
    token = job.id
    result = file_names.result_name(job.id, token, source.result_format)
    preview = (
        file_names.preview_name(job.id, token, source.preview_file.rpartition(".")[2]) if source.preview_file else ""
    )
    try:
        made.append(result)
        files.copy(source.result_file, result)
    except FileNotFoundError:  # cleaned up at this moment
        return False
    if preview:
        try:
            made.append(preview)
            files.copy(source.preview_file, preview)
        except FileNotFoundError:  # it may fail alone
            preview = ""
    job.begin_completed(source, result_file=result, preview_file=preview)
    return True


def announce(jobs: Sequence[Job]) -> None:
    """Tell webhooks and waiters of those among ``jobs`` that were saved with their end; in their transaction.

    All jobs of a call at once, after the last one was written: whether a batch has ended is known only then.
    """
    ended = [job for job in jobs if job.status == Status.COMPLETED]
    for job in ended:
        job_changes.announce(job, may_end_batch=job is ended[-1])
