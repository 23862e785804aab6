"""Files in one directory, which all hosts share: a disk of this host, or a network file system.

A file is written as a draft beside its place, flushed to the disk, then renamed.
"""

import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.core.files.base import File

from modelstore.durable import sync_directory
from modelstore.stores.base import Stat

logger = logging.getLogger(__name__)

MODE = 0o640  # of every file here
PART = ".part"


@dataclass(frozen=True)
class Directory:
    """A store on a file system."""

    root: Path

    def draft(self, name: str) -> Path:
        """Return the place itself: a draft's name is its own, and the rename stays on one disk."""
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def put(self, draft: Path, name: str) -> None:
        """Flush, rename, flush the directory."""
        target = self.draft(name)
        draft.chmod(MODE)
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(target)
        sync_directory(target.parent)

    def write(self, name: str, data: bytes) -> None:
        """Write and rename, without waiting for the disk."""
        target = self.draft(name)
        part = target.with_name(target.name + PART)
        part.write_bytes(data)
        part.chmod(MODE)
        part.replace(target)

    def open(self, name: str) -> "File[bytes]":
        """Open the file itself."""
        return File(self._path(name).open("rb"), name=name)

    @contextmanager
    def local(self, name: str) -> Iterator[Path]:
        """Lend the file itself."""
        path = self._path(name)
        path.stat()
        yield path

    def copy(self, source: str, name: str) -> None:
        """Make a hard link; copy where the disk has none."""
        target = self.draft(name)
        try:
            os.link(self._path(source), target)
        except FileNotFoundError:
            raise
        except OSError:
            part = target.with_name(target.name + PART)
            try:
                shutil.copyfile(self._path(source), part)
                self.put(part, name)
            finally:
                part.unlink(missing_ok=True)

    def stat(self, name: str) -> Stat | None:
        """Look at the inode: a hard link to an old file, or a renamed one, is as young as its name."""
        try:
            found = self._path(name).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Stat(found.st_size, found.st_ctime)

    def present(self, names: Iterable[str]) -> set[str]:
        """Look at each."""
        return {name for name in names if self._path(name).is_file()}

    def list(self, prefix: str, into: Callable[[str], bool]) -> Iterator[tuple[str, Stat]]:
        """Walk. A directory that cannot be read is logged."""
        directory, _, start = prefix.rpartition("/")
        for place, below, entries in os.walk(self.root / directory, onerror=_unreadable):
            below[:] = [] if start else [name for name in below if into(name)]
            for entry in entries:
                if not entry.startswith(start):
                    continue
                name = Path(place, entry).relative_to(self.root).as_posix()
                found = self.stat(name)
                if found is not None:
                    yield name, found

    def delete(self, names: Iterable[str]) -> dict[str, int | None]:
        """Unlink each."""
        return {name: self._delete(name) for name in names}

    def _delete(self, name: str) -> int | None:
        """Delete one file.

        One that cannot be deleted (made immutable, on a disk that became read-only, another user's) is a matter for the
        operator.
        """
        path = self._path(name)
        try:
            size = path.stat().st_size
            path.unlink()
        except FileNotFoundError:
            return 0
        except OSError as error:
            logger.warning("file cannot be deleted path=%s reason=%s", path, error.strerror or type(error).__name__)
            return None
        return size

    def link(self, name: str, *, seconds: int, headers: Mapping[str, str]) -> str:  # noqa: ARG002 - as all stores
        """Return "": the disk serves nobody."""
        return ""

    def free(self) -> int:
        """Ask the disk."""
        self.root.mkdir(parents=True, exist_ok=True)
        return shutil.disk_usage(self.root).free

    def check(self) -> str:
        """Write a file without a name."""
        free = self.free()
        with tempfile.TemporaryFile(dir=self.root, prefix=".ready-") as probe:
            probe.write(b"ready")
            probe.flush()
        return f"writable, {free // 1_000_000} MB free"

    def _path(self, name: str) -> Path:
        return self.root / name


def _unreadable(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # nothing was ever stored there
        logger.warning("directory cannot be read path=%s reason=%s", error.filename, error.strerror)
