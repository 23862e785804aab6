"""A result on the disk: encoded under a name that carries the claim's token, which the row does not name yet."""

import hashlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings

from jobs.engine.codec import encode
from jobs.engine.types import EncodeOptions, Picture, Report
from jobs.models.job import Job
from jobs.models.results import Finished
from jobs.storage import file_names, files
from modelstore import tracing
from modelstore.backoff import Backoff
from modelstore.errors import StorageUnavailable

logger = logging.getLogger(__name__)

#: Seconds for which a worker holds a result that cannot be stored.
PATIENCE_SECONDS = 120.0


class StorageError(Exception):
    """The result could not be written."""


def store(
    job: Job, result: Picture, provenance: str, still_wanted: Callable[[], None] = lambda: None
) -> tuple[Finished, tuple[str, ...]]:
    """Write the result of a claimed job; return it, and what its format had no place for.

    :param provenance: what the file says of its making, in words.
    :param still_wanted: asked between two tries of storing it; raises where the job is to end.
    :raises StorageError: the disk refused; :raises StorageUnavailable: what keeps files was away for PATIENCE_SECONDS.
    """
    assert job.token is not None
    options = job.job_options
    wanted = EncodeOptions(
        format=known(options.format) or "auto",
        quality=options.quality,
        lossless=bool(options.lossless),
        strip_metadata=options.strip_metadata or False,
        provenance=provenance,
    )
    try:
        part = files.draft_of_result(job.id, job.token)
        with tracing.span("encode"):
            written = encode(result, part, wanted)
        size, digest = part.stat().st_size, _sha256(part)
        name = file_names.result_name(job.id, job.token, written.format)
        with tracing.span("store", bytes=size):
            _keep(part, name, still_wanted)
    except OSError as error:
        # Pillow's encoders lose the number of an error while they write.
        if error.errno in files.FULL or error.errno is None:
            raise StorageError("the disk is full: the result could not be written") from error
        raise StorageError("the result could not be written on this server; its log says why") from error
    finished = Finished(
        result_file=name,
        result_bytes=size,
        result_format=written.format,
        result_width=result.width,
        result_height=result.height,
        result_sha256=digest,
    )
    return finished, written.notes


def _keep(draft: Path, name: str, still_wanted: Callable[[], None]) -> None:
    """Store a finished result, again and again while the storage is away: it took a device's time to make."""
    until, backoff = time.monotonic() + PATIENCE_SECONDS, Backoff(1.0, 10.0)
    while True:
        try:
            return files.keep(draft, name)
        except StorageUnavailable as error:
            if time.monotonic() > until:
                raise
            logger.warning("result not stored yet name=%s reason=%s", name, error.cause)
        time.sleep(backoff.next())
        still_wanted()


def provenance_of(report: Report) -> str:
    """Return the words that a result's file says of its making."""
    return f"{report.model} {report.scale:g}x, Real-ESRGAN upscaler {settings.UPSCALER_VERSION}"


def known(word: str | None) -> Any:
    """Return a word that the serializer checked; the engine's Literal types are the same words."""
    return word


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
