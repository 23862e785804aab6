"""A small rendition of a result, for pages: a 400-megapixel PNG is no thumbnail.

It is made when the job counts as completed already: nobody waits for it, and it may fail alone.
"""

import io
import logging
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from PIL import Image

from jobs.engine.types import Picture
from jobs.models.job import Job
from jobs.states import Status
from jobs.storage import file_names, files
from jobs.worker.db_retry import retried

logger = logging.getLogger(__name__)

#: Calls a function with its arguments where the database may be asked, and returns its answer.
Ask = Callable[..., Any]

MAX_SIDE = 1280
_QUALITY = 82


def add_preview(job: Job, picture: Picture, ask: Ask) -> None:
    """Make the preview of a completed job, and of the jobs that took over its result meanwhile.

    :param job: with the token of the claim that completed it, and the ``result_sha256`` of its result.
    :param ask: calls what it is given where the database may be asked, and returns its answer.

    Raises nothing: a job without a preview is a good job.
    """
    assert job.token is not None
    try:
        data, written = render(picture)
        _give(job, file_names.preview_name(job.id, job.token, written), data, ask)
        for twin in ask(_twins, job):
            _give(twin, file_names.preview_name(twin.id, twin.id, written), data, ask)
    except Exception:  # an edge: the caller has the result already, and the worker goes on to the next job
        logger.exception("no preview job=%s", job.id)


def _twins(job: Job) -> list[Job]:
    equal = Job.objects.filter(status=Status.COMPLETED, fingerprint=job.fingerprint, preview_file="")
    return list(equal.filter(result_sha256=job.result_sha256).exclude(pk=job.pk))


def _give(job: Job, name: str, data: bytes, ask: Ask) -> None:
    """Name the file in the row, then write it: a process that is killed leaves no file that nobody would delete."""
    if not ask(retried(Job.objects.add_preview), job, name):
        return
    files.write(name, data)
    if not ask(retried(Job.objects.filter(pk=job.pk).exists)):  # the job was deleted before this file was written
        files.remove([name])


def render(picture: Picture) -> tuple[bytes, str]:
    """Return a preview's bytes and format: the first frame, at most 1280 px a side, 8 bit, with its colour profile.

    JPEG, which is fast; WebP where there is transparency.
    """
    frame = picture.frames[0]
    scale = min(1.0, MAX_SIDE / max(picture.width, picture.height))
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    color = _small(frame.color, size)
    image = Image.fromarray(color[:, :, 0] if color.shape[2] == 1 else color)
    if frame.alpha is not None:
        image = image.convert("RGB")
        image.putalpha(Image.fromarray(_small(frame.alpha[:, :, np.newaxis], size)[:, :, 0]))
    written = "jpeg" if frame.alpha is None else "webp"
    target = io.BytesIO()
    image.save(target, written.upper(), quality=_QUALITY, icc_profile=picture.metadata.icc)
    return target.getvalue(), written


def _small(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Reduce (H, W, C) of 8 or 16 bit to (h, w, C) uint8, contiguous."""
    resized = cv2.resize(plane, size, interpolation=cv2.INTER_AREA) if plane.shape[1::-1] != size else plane
    if resized.ndim == 2:
        resized = resized[:, :, np.newaxis]
    if resized.dtype == np.uint16:
        resized = ((resized.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return np.ascontiguousarray(resized)
