"""Files of jobs: inputs, results, previews and pyramids, named by job and claim, in the store of pictures.

A file is written as a draft and gets its name when it is whole. Results carry the claim's token in their name, so a
worker that lost its job can never overwrite the accepted result. Where the files are, the store alone knows
(modelstore/stores): a path is lent for as long as it is needed.
"""

import errno
import hashlib
import logging
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

from django.conf import settings

from jobs.errors import UploadTooLarge
from jobs.storage import file_names
from jobs.storage.file_names import INPUTS, PART, PREVIEWS, PYRAMIDS, RESULTS
from modelstore.errors import StorageUnavailable
from modelstore.stores.chosen import pictures

if TYPE_CHECKING:
    from django.core.files.base import File

    from jobs.models.job import Job
    from modelstore.stores.base import Stat

logger = logging.getLogger(__name__)

#: Errors of a full disk, or of this user's full quota.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_BLOCK = 1 << 20
_SIDE_BY_SIDE = 8
_MODE = 0o640  # of a file that is put


@dataclass(frozen=True)
class Staged:
    """An upload on this host under a name that nobody knows yet."""

    path: Path
    bytes: int
    sha256: str


def draft_of_result(job_id: uuid.UUID, token: uuid.UUID) -> Path:
    """Return where one claim of a job writes its result before it has a name."""
    return pictures().draft(f"{RESULTS}/{job_id.hex[:2]}/{job_id}-{token.hex}{PART}")


def draft_of_pyramid(name: str) -> Path:
    """Return where one making of a pyramid writes it before it has its name: two may be made at once."""
    return pictures().draft(f"{name.partition('.')[0]}.{uuid.uuid4().hex[:8]}{PART}")


def drop(draft: Path) -> None:
    """Delete a draft that may have been put, or never written. One that cannot be deleted is logged."""
    try:
        draft.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("file cannot be deleted path=%s reason=%s", draft, error.strerror or type(error).__name__)


def remove_claim(job_id: uuid.UUID, token: uuid.UUID) -> None:
    """Delete everything that one claim of a job wrote, finished or not."""
    _remove_written(job_id, lambda name: token.hex in name)


def remove_strays(job_id: uuid.UUID, keep: uuid.UUID | None) -> None:
    """Delete what claims other than ``keep`` left: workers that were killed, or that lost the job."""
    _remove_written(job_id, lambda name: keep is None or keep.hex not in name)


def _remove_written(job_id: uuid.UUID, chosen: Callable[[str], bool]) -> None:
    try:
        for kind in (RESULTS, PREVIEWS):
            found = pictures().list(f"{kind}/{job_id.hex[:2]}/{job_id}-", file_names.is_directory_of_ours)
            names = [name for name, _ in found if chosen(name)]
            if names:
                pictures().delete(names)
    except StorageUnavailable as error:
        logger.warning("files stay for the clean-up job=%s reason=%s", job_id, error.cause)


@contextmanager
def staged(upload: Any) -> Iterator[Staged]:
    """Bring an upload onto the drafts' disk and hash it, in blocks; it is gone at the end unless it was `keep`-ed.

    ``upload`` is a Django UploadedFile, a binary file object or a Path. An upload that Django already wrote to this
    disk is linked, not copied.

    :raises UploadTooLarge: beyond MAX_UPLOAD_BYTES; read no further than that.
    """
    path = pictures().draft(f"{INPUTS}/{uuid.uuid4().hex}{PART}")
    try:
        yield _stage(upload, path)
    finally:
        drop(path)


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
    path.chmod(_MODE)
    return Staged(path, size, digest.hexdigest())


def keep_all(drafts: Mapping[str, Path]) -> None:
    """Give written files their storage names, several at a time: a storage far away takes its time for each."""
    if len(drafts) < 2:
        for name, draft in drafts.items():
            keep(draft, name)
        return
    with ThreadPoolExecutor(min(_SIDE_BY_SIDE, len(drafts)), thread_name_prefix="keep") as pool:
        for _ in pool.map(keep, drafts.values(), drafts.keys()):
            pass


def keep(draft: Path, name: str) -> None:
    """Give a written file its storage name, whole and durable, or not at all."""
    pictures().put(draft, name)


def write(name: str, data: bytes) -> None:
    """Write a small file that can be done without: whole for whoever opens it, but not waited for to reach the disk."""
    pictures().write(name, data)


def copy(source: str, name: str) -> None:
    """Make ``name`` another name of ``source``'s content: neither is lost with the other.

    :raises FileNotFoundError: the source was cleaned up meanwhile.
    """
    pictures().copy(source, name)


def exists(name: str) -> bool:
    """Return whether there is a file of that storage name; "" names none."""
    return bool(name) and pictures().stat(name) is not None


def present(names: Iterable[str]) -> set[str]:
    """Return which of these storage names have a file."""
    return pictures().present(name for name in names if name)


def local(name: str) -> AbstractContextManager[Path]:
    """Lend the file of a storage name as one of this host, to be read within the block.

    :raises FileNotFoundError: it is not there, or not any more.
    """
    return pictures().local(name)


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
        elif size:  # 0: it was gone already
            self.files += 1
            self.bytes += size


def remove(names: Iterable[str]) -> Removed:
    """Delete files by storage name; what is gone already is fine, and what cannot be deleted keeps nothing else."""
    removed = Removed()
    wanted = [name for name in names if name]
    if wanted:
        for size in pictures().delete(wanted).values():
            removed.add(size)
    return removed


def sizes(names: Iterable[str]) -> Removed:
    """Return what `remove` would."""
    found = Removed()
    for name in names:
        stat = pictures().stat(name)
        if stat is not None:
            found.add(stat.bytes)
    return found


def made_of(job: "Job") -> list[str]:
    """Return the storage names of what may have been made on demand of a job's pictures: it goes with the job."""
    return [*file_names.pyramids_of(job.pk, job.input_sha256, job.result_sha256)]


def ours(kind: str) -> Iterator[tuple[str, "Stat"]]:
    """Yield storage names of our own files of one of file_names.DIRECTORIES, with what is known of each."""
    for name, stat in pictures().list(f"{kind}/", file_names.is_directory_of_ours):
        if file_names.is_ours(name):
            yield name, stat


def link(name: str, *, seconds: int, headers: Mapping[str, str]) -> str:
    """Return an address at which the storage itself serves the file for so long; "" where it does not."""
    return pictures().link(name, seconds=seconds, headers=headers)


def pyramid_bytes() -> int:
    """Return the bytes of all pyramids, which no row counts."""
    return sum(stat.bytes for _, stat in ours(PYRAMIDS))


def free_bytes() -> int | None:
    """Return the free room of what keeps the files; None where it has no end that we could know."""
    return pictures().free()


def check() -> str:
    """Return in words that files can be written now. :raises OSError: they cannot."""
    return pictures().check()


def open_stored(name: str) -> "File[bytes]":
    """Open the file of a storage name, readable from any place. The caller closes it.

    :raises FileNotFoundError: it is not there, or not any more.
    """
    return pictures().open(name)


def open_input(job: "Job") -> "File[bytes]":
    """Open the picture as it was uploaded. The caller closes it.

    :raises FileNotFoundError: when it is gone, or was deleted when the job ended.
    """
    if not job.has_input:
        raise FileNotFoundError(f"the input of job {job.id} was deleted")
    return open_stored(job.input_file)


def open_result(job: "Job") -> "File[bytes]":
    """Open the accepted result. The caller closes it.

    :raises FileNotFoundError: when there is none, or it was cleaned up meanwhile.
    """
    if not job.result_file:
        raise FileNotFoundError(f"job {job.id} has no result")
    return open_stored(job.result_file)


def open_preview(job: "Job") -> "File[bytes]":
    """Open the small rendition of the result. The caller closes it.

    :raises FileNotFoundError: when there is none.
    """
    if not job.preview_file:
        raise FileNotFoundError(f"job {job.id} has no preview")
    return open_stored(job.preview_file)
