"""The work that a call's pictures are: what each counts for in the queue, and against the limits of its caller."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jobs.engine.types import Header
from jobs.models.turn import Turn, cost
from jobs.options import JobOptions
from jobs.storage import file_names
from jobs.storage.files import Staged
from jobs.submission import limits, result_reuse
from jobs.submission.chosen import Chosen
from jobs.submission.request import Submission


@dataclass(frozen=True)
class Picture:
    """An upload that was found good."""

    staged: Staged
    header: Header
    options: JobOptions
    name: str
    job_id: uuid.UUID = field(default_factory=uuid.uuid4)

    @property
    def input_file(self) -> str:
        """The storage name of the picture."""
        return file_names.input_name(self.job_id, self.header.format)


def drafts(pictures: Sequence[Picture]) -> dict[str, Path]:
    """Return the pictures' files by the storage names that they get."""
    return {picture.input_file: picture.staged.path for picture in pictures}


def of(pictures: Sequence[Picture], submission: Submission, model: Chosen) -> list[float]:
    """Return what each picture counts for (Turn), 0.0 where a stored result answers it: that needs no worker.

    A result that is cleaned up in this moment makes one wait after all; nothing is lost by that.
    """
    work = []
    for picture in pictures:
        print_ = result_reuse.fingerprint_of(model, picture.options, picture.staged.sha256)
        answered = submission.reuses and result_reuse.existing(print_, submission.api_key) is not None
        size = picture.header
        work.append(0.0 if answered else cost(size.width, size.height, size.frames, model.name))
    return work


def count(work: Sequence[float]) -> int:
    """Return how many of the pictures need a worker."""
    return sum(each > 0 for each in work)


def turns(submission: Submission, work: Sequence[float]) -> list[float]:
    """Return the pictures' places in the queue; where none has to wait, nothing is taken."""
    if not count(work):
        return [0.0] * len(work)
    share = submission.api_key.share if submission.api_key else 1.0
    return Turn.objects.take(submission.caller, submission.priority, work, share=share)


def demand(pictures: Sequence[Picture], work: Sequence[float]) -> limits.Demand:
    """Return what a call asks for of its caller's limits."""
    pixels = sum(picture.header.pixels for picture, each in zip(pictures, work, strict=True) if each)
    return limits.Demand(count(work), pixels / 1e6, sum(picture.staged.bytes for picture in pictures))
