"""The file that a download grows in: ``NAME.TOKEN.part`` beside its destination, hashed while it is written.

Every writer has a file of its own, so a writer that lost its lease and does not know it yet cannot spoil the file of
its successor. The successor copies what an earlier writer left (it must read it anyway, for the digest) and goes on.
"""

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Self

from modelstore.durable import sync_directory

_BLOCK = 1 << 20


class Part:
    """An open ``.part`` file. ``length`` bytes of it are written and hashed."""

    def __init__(self, destination: Path, token: str) -> None:
        """:param token: names this writer; letters and digits only."""
        self.destination = destination
        self.path = destination.with_name(f"{destination.name}.{token}.part")
        destination.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("w+b")
        self._hash = hashlib.sha256()
        self.length = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()

    def adopt(self, at_most: int) -> None:
        """Take over the longest file that an earlier writer left, when it is not longer than ``at_most`` bytes."""
        left = [path for path in leftovers(self.destination) if path != self.path]
        sizes = {}
        for path in left:
            with suppress(OSError):  # another process may clean up at the same time
                sizes[path] = path.stat().st_size
        fitting = [path for path, size in sizes.items() if 0 < size <= at_most]
        if fitting:
            longest = max(fitting, key=sizes.__getitem__)
            with suppress(FileNotFoundError), longest.open("rb") as file:
                while (block := file.read(_BLOCK)) and self.length + len(block) <= at_most:
                    self.write(block)
        for path in left:
            path.unlink(missing_ok=True)

    def write(self, block: bytes) -> None:
        """Append, and hand it to the system at once: a successor finds it even when this process is killed."""
        self._file.write(block)
        self._file.flush()
        self._hash.update(block)
        self.length += len(block)

    def reset(self) -> None:
        """Forget everything written so far."""
        self._file.seek(0)
        self._file.truncate()
        self._hash = hashlib.sha256()
        self.length = 0

    @property
    def sha256(self) -> str:
        """The digest of what is written so far."""
        return self._hash.hexdigest()

    def accept(self) -> None:
        """Make the file durable and give it its final name, in one step for everybody who looks."""
        os.fsync(self._file.fileno())
        self.path.replace(self.destination)
        sync_directory(self.destination.parent)

    def discard(self) -> None:
        """Delete the file."""
        self.path.unlink(missing_ok=True)


def leftovers(destination: Path) -> list[Path]:
    """Return the ``.part`` files of earlier writers of ``destination``."""
    prefix, suffix = f"{destination.name}.", ".part"
    with suppress(FileNotFoundError):
        return [
            path
            for path in destination.parent.iterdir()
            if path.name.startswith(prefix) and path.name.endswith(suffix) and path.is_file()
        ]
    return []
