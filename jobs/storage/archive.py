"""Results of many jobs as one ZIP, streamed: neither the disk nor the memory ever holds the archive."""

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Self
from uuid import UUID

from zipstream import ZIP_STORED, ZipStream

from jobs.states import Status
from jobs.storage import file_names, files

if TYPE_CHECKING:
    from jobs.models.batch_state import BatchState
    from jobs.models.job import Job

MANIFEST = "batch.json"
MISSING = "MISSING.txt"
_BLOCK = 1 << 16


class Whole:
    """The pieces of an archive; ``on_whole`` is called when the answer ends after the last one was sent."""

    def __init__(self, archive: ZipStream, on_whole: Callable[[], None]) -> None:
        self._pieces = iter(archive)
        self._on_whole = on_whole
        self._ended = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        """Return the next piece: the one before it was sent by now."""
        try:
            return bytes(next(self._pieces))
        except StopIteration:
            self._ended = True
            raise

    def close(self) -> None:
        """Tell whether all was sent: called by Django at the response's end, whatever that was."""
        if self._ended:
            self._ended = False
            self._on_whole()


def stream_zip(jobs: Iterable["Job"], manifest: bytes | None = None) -> ZipStream:
    """Return the archive of these jobs' results: an iterable of bytes whose ``len()`` is its size, known beforehand.

    Pictures are stored as they are: they are compressed already. ``manifest`` is put in front as batch.json. A result
    that was cleaned up is left out and named in MISSING.txt; one that vanishes while the archive is being sent breaks
    it off, since its size was promised.
    """
    archive = ZipStream(compress_type=ZIP_STORED, sized=True)
    if manifest is not None:
        archive.add(manifest, MANIFEST)
    missing = []
    jobs = list(jobs)
    present = files.present(job.result_file for job in jobs)
    for job, name in zip(jobs, names_for(jobs).values(), strict=True):
        if job.result_file in present:
            archive.add(_bytes_of(job), name, size=job.result_bytes)
        else:
            missing.append(f"{job.pk} {name}")
    if missing:
        archive.add("These results are no longer stored:\n" + "\n".join(missing) + "\n", MISSING)
    return archive


def archive_of(state: "BatchState") -> ZipStream:
    """Return a ZIP stream of the results and a manifest of every picture of the call, with and without a result."""
    done = [job for job in state.jobs if job.status == Status.COMPLETED]
    names = names_for(done)
    pictures = [
        {
            "index": job.batch_index,
            "filename": job.input_name or None,
            "job_id": str(job.id),
            "status": job.status,
            "result": names.get(job.pk),
            "sha256": job.result_sha256 or None,
            "error": job.error or None,
        }
        for job in state.jobs
    ]
    body = {"batch_id": str(state.batch.id), "jobs": pictures, "rejected": state.batch.rejected}
    return stream_zip(done, json.dumps(body, indent=2, ensure_ascii=False).encode())


def names_for(jobs: Iterable["Job"]) -> dict[UUID, str]:
    """Return the archive's names by job: a repeated name (in any case of letters) gets the job's id."""
    taken = {MANIFEST.casefold(), MISSING.casefold()}
    names: dict[UUID, str] = {}
    for job in jobs:
        name = file_names.download_name(job)
        if name.casefold() in taken:
            path = PurePosixPath(name)
            name = f"{path.stem}_{job.pk}{path.suffix}"
        taken.add(name.casefold())
        names[job.pk] = name
    return names


def _bytes_of(job: "Job") -> Iterator[bytes]:
    """Yield the result's bytes; opened only at its turn, so that a thousand pictures are not a thousand open files."""
    with files.open_result(job) as file:
        while block := file.read(_BLOCK):
            yield block
