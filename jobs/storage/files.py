"""Files of jobs: inputs, results, previews and pyramids in the default storage, named by job and claim.

A file is written as ``name.part``, flushed to the disk, then renamed: a name without ``.part`` is always whole. Results
carry the claim's token in their name, so a worker that lost its job can never overwrite the accepted result.
"""

import errno
import hashlib
import logging
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

from django.conf import settings
from django.core.files.storage import default_storage

from jobs.errors import UploadTooLarge
from jobs.storage import file_names
from jobs.storage.file_names import INPUTS, PART, PREVIEWS, PYRAMIDS, RESULTS
from modelstore.storage.partial_file import sync_directory

if TYPE_CHECKING:
    from django.core.files.base import File

    from jobs.models.job import Job

logger = logging.getLogger(__name__)

#: Errors of a full disk, or of this user's full quota.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_BLOCK = 1 << 20
MODE = 0o640  # of every file here


@dataclass(frozen=True)
class Staged:
    """An upload on our disk under a name that nobody knows yet."""

    path: Path
    bytes: int
    sha256: str


def part_of_result(job_id: uuid.UUID, token: uuid.UUID) -> Path:
    """Return where one claim of a job writes its result before it has a name."""
    path = path_of(f"{RESULTS}/{job_id.hex[:2]}/{job_id}-{token.hex}{PART}")
    _make_directory(path.parent)
    return path


def delete(path: Path) -> int | None:
    """Delete one file; return the bytes that were freed, 0 where it was gone already, None where it cannot be deleted.

    A file that cannot be deleted (made immutable, on a disk that became read-only, another user's) is a matter for the
    operator: the log names it, and whoever clears up goes on with the rest.
    """
    try:
        size = path.stat().st_size
        path.unlink()
    except FileNotFoundError:
        return 0
    except OSError as error:
        logger.warning("file cannot be deleted path=%s reason=%s", path, error.strerror or type(error).__name__)
        return None
    return size


def remove_claim(job_id: uuid.UUID, token: uuid.UUID) -> None:
    """Delete everything that one claim of a job wrote, finished or not."""
    for path in _written_for(job_id):
        if token.hex in path.name:
            delete(path)


def remove_strays(job_id: uuid.UUID, keep: uuid.UUID | None) -> None:
    """Delete what claims other than ``keep`` left: workers that were killed, or that lost the job."""
    for path in _written_for(job_id):
        if keep is None or keep.hex not in path.name:
            delete(path)


def _written_for(job_id: uuid.UUID) -> list[Path]:
    found: list[Path] = []
    for kind in (RESULTS, PREVIEWS):
        directory = path_of(f"{kind}/{job_id.hex[:2]}")
        with suppress(FileNotFoundError):
            found += [Path(entry.path) for entry in os.scandir(directory) if entry.name.startswith(f"{job_id}-")]
    return found


def path_of(name: str) -> Path:
    """Return the path at which the storage keeps ``name``."""
    return Path(default_storage.path(name))


@contextmanager
def staged(upload: Any) -> Iterator[Staged]:
    """Bring an upload onto the files' disk and hash it, in blocks; it is gone at the end unless it was `keep`-ed.

    ``upload`` is a Django UploadedFile, a binary file object or a Path. An upload that Django already wrote to this
    disk is linked, not copied.

    :raises UploadTooLarge: beyond MAX_UPLOAD_BYTES; read no further than that.
    """
    path = path_of(f"{INPUTS}/{uuid.uuid4().hex}{PART}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield _stage(upload, path)
    finally:
        delete(path)


def _stage(upload: Any, path: Path) -> Staged:
    digest, size = hashlib.sha256(), 0
    source = upload if isinstance(upload, Path) else None
    if hasattr(upload, "temporary_file_path"):
        source = Path(upload.temporary_file_path())
        upload.flush()
    if source is not None and not isinstance(upload, Path):
        with suppress(OSError):  # another disk: copied below
            os.link(source, path)
    linked = path.exists()
    reader: IO[bytes] = source.open("rb") if source is not None else upload
    try:
        if source is None and hasattr(upload, "seek"):
            with suppress(OSError, ValueError):  # a body that is still arriving cannot be wound back
                upload.seek(0)
        with path.open("ab") as writer:
            while block := reader.read(_BLOCK):
                digest.update(block)
                size += len(block)
                if size > settings.MAX_UPLOAD_BYTES:
                    raise UploadTooLarge(f"Upload file exceeds maximum size: {settings.MAX_UPLOAD_MB} MB")
                if not linked:
                    writer.write(block)
    finally:
        if source is not None:
            reader.close()
    path.chmod(MODE)
    return Staged(path, size, digest.hexdigest())


def keep(path: Path, name: str) -> None:
    """Give a written file its storage name, whole and on the disk, or not at all."""
    target = path_of(name)
    _make_directory(target.parent)
    path.chmod(MODE)
    with path.open("rb") as file:
        os.fsync(file.fileno())
    path.replace(target)
    sync_directory(target.parent)


def write(name: str, data: bytes) -> None:
    """Write a small file that can be done without: whole for whoever opens it, but not waited for to reach the disk."""
    target = path_of(name)
    _make_directory(target.parent)
    part = target.with_name(target.name + PART)
    part.write_bytes(data)
    part.chmod(MODE)
    part.replace(target)


def copy(source: str, name: str) -> None:
    """Make ``name`` another name of ``source``'s content: a hard link, or a copy where the disk has none.

    :raises FileNotFoundError: the source was cleaned up meanwhile.
    """
    target = path_of(name)
    _make_directory(target.parent)
    try:
        os.link(path_of(source), target)
    except FileNotFoundError:
        raise
    except OSError:
        part = target.with_name(target.name + PART)
        try:
            shutil.copyfile(path_of(source), part)
            keep(part, name)
        finally:
            part.unlink(missing_ok=True)


@dataclass
class Removed:
    """The counts of a removal of files."""

    files: int = 0
    bytes: int = 0
    failed: int = 0  # files that are still there

    def __iadd__(self, other: Self) -> Self:
        self.files += other.files
        self.bytes += other.bytes
        self.failed += other.failed
        return self

    def add(self, size: int | None) -> None:
        """Count one file by the result of `delete`."""
        if size is None:
            self.failed += 1
        else:
            self.files += 1
            self.bytes += size


def remove(names: Iterable[str]) -> Removed:
    """Delete files by storage name; what is gone already is fine, and what cannot be deleted keeps nothing else."""
    removed = Removed()
    for name in names:
        if name:
            removed.add(delete(path_of(name)))
    return removed


def made_of(job: "Job") -> list[str]:
    """Return the storage names of what was made on demand of a job's pictures: it goes with the job."""
    names = file_names.pyramids_of(job.pk, job.input_sha256, job.result_sha256)
    return [name for name in names if path_of(name).exists()]


def pyramid_bytes() -> int:
    """Return the bytes of all pyramids, which no row counts."""
    total = 0
    for directory, _, names in os.walk(path_of(PYRAMIDS)):
        for name in names:
            with suppress(FileNotFoundError):
                total += Path(directory, name).stat().st_size
    return total


def open_input(job: "Job") -> "File[bytes]":
    """Open the picture as it was uploaded. The caller closes it.

    :raises FileNotFoundError: when it is gone, or was deleted when the job ended.
    """
    if not job.has_input:
        raise FileNotFoundError(f"the input of job {job.id} was deleted")
    return default_storage.open(job.input_file, "rb")


def open_result(job: "Job") -> "File[bytes]":
    """Open the accepted result. The caller closes it.

    :raises FileNotFoundError: when there is none, or it was cleaned up meanwhile.
    """
    if not job.result_file:
        raise FileNotFoundError(f"job {job.id} has no result")
    return default_storage.open(job.result_file, "rb")


def open_preview(job: "Job") -> "File[bytes]":
    """Open the small rendition of the result. The caller closes it.

    :raises FileNotFoundError: when there is none.
    """
    if not job.preview_file:
        raise FileNotFoundError(f"job {job.id} has no preview")
    return default_storage.open(job.preview_file, "rb")


def _make_directory(path: Path) -> None:
    path.mkdir(parents=True, exist_ok=True)
