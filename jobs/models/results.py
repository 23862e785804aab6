"""Arguments and answers of a job's verbs."""

import uuid
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Finished:
    """The outcome of an accepted attempt. File names are those of the default storage."""

    result_file: str
    result_bytes: int
    result_format: str
    result_width: int
    result_height: int
    result_sha256: str
    tiles_done: int = 0
    tiles_total: int | None = None
    report: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Beat:
    """The answer to a heartbeat. ``held`` is False when the claim is lost or the hard limit has passed."""

    held: bool
    cancel: bool


@dataclass(frozen=True)
class Reclaimed:
    """The jobs that a sweep took from workers that fell silent, counted by what became of them."""

    requeued: int = 0
    failed: int = 0
    cancelled: int = 0
    claims: tuple[tuple[uuid.UUID, uuid.UUID], ...] = field(default=(), compare=False)  # (job, its lost token)
