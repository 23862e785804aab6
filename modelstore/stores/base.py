"""The verbs of a store. A name is relative, of parts with slashes between, and made by us: never by a caller.

A name holds a whole file or none: who writes it shows nothing before the end. Names are written once; who writes one
again writes equal bytes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from django.core.files.base import File


@dataclass(frozen=True)
class Stat:
    """The facts of a stored file that need no reading of it."""

    bytes: int
    changed: float  # seconds since the epoch, when this name got its content


class Store(Protocol):
    """Files by name. All raise OSError where the disk refuses, FileNotFoundError where a name is not there."""

    def draft(self, name: str) -> Path:
        """Return where on this host a file is to be written that will be `put`; its directory is there."""
        ...

    def put(self, draft: Path, name: str) -> None:
        """Give a written file its name: whole and durable, or not at all. The draft may be gone afterwards."""
        ...

    def write(self, name: str, data: bytes) -> None:
        """Store a small file that can be done without: whole for whoever opens it, but perhaps lost in a crash."""
        ...

    def open(self, name: str) -> "File[bytes]":
        """Open a file for reading; it can be read from any place, and knows its size. The caller closes it."""
        ...

    def local(self, name: str) -> AbstractContextManager[Path]:
        """Lend the whole file as one of this host, to be read only, and only in the block."""
        ...

    def copy(self, source: str, name: str) -> None:
        """Store what ``source`` holds under another name as well; either may be deleted alone."""
        ...

    def stat(self, name: str) -> Stat | None:
        """Return what is known of a file; None where there is none."""
        ...

    def present(self, names: Iterable[str]) -> set[str]:
        """Return which of these are there."""
        ...

    def list(self, prefix: str, into: Callable[[str], bool]) -> Iterator[tuple[str, Stat]]:
        """Yield the files whose names begin with ``prefix``.

        :param into: whether to look into a directory of that name below a prefix that ends with a slash; what a person
            put beside ours is not walked through.
        """
        ...

    def delete(self, names: Iterable[str]) -> Mapping[str, int | None]:
        """Delete files; tell for each the bytes that were freed: 0 where it was gone already, None where it stays.

        Raises nothing for a file that cannot be deleted: the log names it, and it keeps no other.
        """
        ...

    def link(self, name: str, *, seconds: int, headers: Mapping[str, str]) -> str:
        """Return an address at which anybody may fetch the file for so long, with these headers; "": there is none."""
        ...

    def free(self) -> int | None:
        """Return the free bytes; None where there is no such number."""
        ...

    def check(self) -> str:
        """Return in words that it can be used now: it was written to. Cheap enough for every second."""
        ...
