"""Files from people, before they are known to be models: under a name of our own, bounded, hashed on the way."""

import hashlib
import logging
import os
import re
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from modelstore.durable import sync_directory
from modelstore.errors import ImportRefused
from modelstore.storage.paths import incoming_directory

#: Uploads whose row is gone, and parts of downloads that nobody resumed, are removed after so long.
LEFTOVER_SECONDS = 7 * 24 * 3600
#: Names of uploads (below) and of parts (partial_file.py); in the quarantine also of files that nobody examined.
_LEFTOVER = re.compile(r"[0-9a-f]{32}\.upload|.+\.[0-9a-f]{32}\.part")
_UNEXAMINED = re.compile(r"catalog-.+-[0-9a-f]{12}\.(pth|safetensors)")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Incoming:
    """A complete file in the quarantine."""

    path: Path
    size_bytes: int
    sha256: str


def receive(blocks: Iterable[bytes]) -> Incoming:
    """Write the blocks to a new file.

    :raises ImportRefused: it is empty, or larger than MAX_MODEL_UPLOAD_MB; nothing is kept.
    """
    limit = settings.MAX_MODEL_UPLOAD_MB * 1_000_000
    directory = incoming_directory()
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{uuid.uuid4().hex}.upload"
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("xb") as file:
            for block in blocks:
                size += len(block)
                if size > limit:
                    raise ImportRefused(f"the file is larger than {settings.MAX_MODEL_UPLOAD_MB} MB")
                digest.update(block)
                file.write(block)
            if size == 0:
                raise ImportRefused("the file is empty")
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return Incoming(path, size, digest.hexdigest())


def settle(source: Path, destination: Path) -> None:
    """Move an accepted file to its place, in one step for everybody who looks."""
    source.replace(destination)
    sync_directory(destination.parent)


def remove_leftovers() -> int:
    """Delete what crashes left behind: old uploads and old parts of downloads. Returns how many files went.

    Only files whose names are of our own making: an operator may keep others in the models directory. What cannot be
    deleted is logged, and keeps nothing else.
    """
    removed = 0
    oldest = time.time() - LEFTOVER_SECONDS
    for directory in (incoming_directory(), Path(settings.MODELS_DIR), Path(settings.MODEL_CACHE_DIR)):
        if not directory.is_dir():
            continue
        for entry in os.scandir(directory):
            unexamined = directory == incoming_directory() and _UNEXAMINED.fullmatch(entry.name)
            if not unexamined and not _LEFTOVER.fullmatch(entry.name):
                continue
            try:
                if entry.is_file(follow_symlinks=False) and entry.stat().st_mtime < oldest:
                    Path(entry.path).unlink()
                    removed += 1
            except FileNotFoundError:
                continue  # somebody else cleans up at the same time
            except OSError as error:
                logger.warning("leftover cannot be deleted path=%s reason=%s", entry.path, error.strerror)
    return removed
