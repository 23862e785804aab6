"""Names of jobs' files: in the storage, by job and claim; and for the caller who saves a result. Pure text."""

import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobs.models.job import Job

INPUTS, RESULTS, PREVIEWS, PYRAMIDS = "inputs", "results", "previews", "pyramids"
#: The directory of request bodies and files while they arrive (settings.FILE_UPLOAD_TEMP_DIR).
UPLOADS = "uploads"
#: The directories whose files belong to jobs.
KINDS = (INPUTS, RESULTS, PREVIEWS, PYRAMIDS)
DIRECTORIES = (*KINDS, UPLOADS)
PART = ".part"

#: File suffix of each format that the engine writes or reads.
SUFFIXES = {"jpeg": "jpg", "tiff": "tif"}

#: Everything that is ever written below DIRECTORIES: uploads as `tempfile` names them, staged uploads, and files of
#: jobs by their id, with the claim's token where a worker wrote them. Any other file there is not ours: a snapshot of
#: the file system, an NFS client's `.nfs…`, an operator's note.
_OURS = re.compile(
    rf"{UPLOADS}/tmp[a-z0-9_]{{8}}\.upload"  # noqa: S108 - the name that `tempfile` made
    rf"|{INPUTS}/[0-9a-f]{{32}}\{PART}"
    rf"|({'|'.join(KINDS)})/[0-9a-f]{{2}}/(?P<job>[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}})"
    rf"(-[0-9a-f]{{32}})?(\.[a-z0-9]{{1,10}}){{1,2}}"
)


def input_name(job_id: uuid.UUID, image_format: str) -> str:
    """Return the storage name of a job's input."""
    return f"{INPUTS}/{job_id.hex[:2]}/{job_id}.{suffix(image_format)}"


def result_name(job_id: uuid.UUID, token: uuid.UUID, image_format: str) -> str:
    """Return the storage name of the result of one claim of a job."""
    return f"{RESULTS}/{job_id.hex[:2]}/{job_id}-{token.hex}.{suffix(image_format)}"


def preview_name(job_id: uuid.UUID, token: uuid.UUID, image_format: str) -> str:
    """Return the storage name of the preview made by one claim of a job."""
    return f"{PREVIEWS}/{job_id.hex[:2]}/{job_id}-{token.hex}.{suffix(image_format)}"


def pyramid_name(job_id: uuid.UUID, sha256: str) -> str:
    """Return the storage name of the tiles of a job's picture with that digest (jobs/storage/pyramid)."""
    return f"{PYRAMIDS}/{job_id.hex[:2]}/{job_id}-{sha256[:32]}.zip"


def pyramids_of(job_id: uuid.UUID, *digests: str) -> tuple[str, ...]:
    """Return the names that the pyramids of a job with these pictures have, where they were made."""
    return tuple(pyramid_name(job_id, digest) for digest in digests if digest)


def names_of(job: "Job") -> tuple[str, ...]:
    """Return the names of all files of a job that its row names; those made on demand have `pyramids_of`."""
    return tuple(name for name in (job.input_file, job.result_file, job.preview_file) if name)


def is_ours(name: str) -> bool:
    """Return whether a path below the storage's root has the form of a name that this module gives."""
    return _OURS.fullmatch(name) is not None


def is_directory_of_ours(name: str) -> bool:
    """Return whether a directory below one of KINDS has the form of those that jobs' files lie in."""
    return re.fullmatch("[0-9a-f]{2}", name) is not None


def job_id_of(name: str) -> uuid.UUID | None:
    """Return the job that a storage name of ours belongs to; None for an upload that was being staged."""
    match = _OURS.fullmatch(name)
    return uuid.UUID(match["job"]) if match is not None and match["job"] else None


def suffix(image_format: str) -> str:
    """Return the usual file suffix of a format."""
    return SUFFIXES.get(image_format, image_format)


def last_part(path: str) -> str:
    """Return the file's name of a caller's path, for people to read: printable characters only, at most 255 of them.

    Slashes of both kinds end a directory. "" where nothing is left that names a file.
    """
    name = "".join(c for c in path.replace("\\", "/").rpartition("/")[2] if c.isprintable())
    return "" if name in (".", "..") else name[-255:]


def download_name(job: "Job") -> str:
    """Return the name under which a result is saved: the caller's name, the model and the scale, a fitting suffix.

    ``holiday.jpg`` upscaled 4 times becomes ``holiday_RealESRGAN_x4plus_x4.jpg``. Only the last part of the caller's
    path is used, without characters that mean something to a file system or a header. It keeps within the 255 bytes
    that file systems allow where the caller's name is ASCII, however long the chain of models is.
    """
    stem = Path(last_part(job.input_name)).stem
    stem = "".join(c for c in stem if c not in '<>:"/\\|?*;').strip(". ")[:100] or "upscaled"
    factor = f"_x{_factor(job)}" if job.result_width else ""
    return f"{stem}_{job.model[:120]}{factor}.{suffix(job.result_format or job.input_format)}"


def _factor(job: "Job") -> str:
    return f"{(job.result_width or 0) / max(job.input_width, 1):.2f}".rstrip("0").rstrip(".")
