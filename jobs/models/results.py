"""What the verbs of a job are given and what they answer."""

import uuid
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Finished:
    """What an accepted attempt leaves behind. File names are those of the default storage."""

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
    """What the sweep did with jobs whose worker fell silent."""

    requeued: int = 0
    failed: int = 0
    cancelled: int = 0
    claims: tuple[tuple[uuid.UUID, uuid.UUID], ...] = field(default=(), compare=False)  # (job, its lost token)
