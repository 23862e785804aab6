"""A submission that is refused or breaks off leaves nothing behind."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import InterfaceError, OperationalError

from jobs import files
from jobs.errors import StorageFull


@contextmanager
def disk_that_may_be_full() -> Iterator[None]:
    """:raises StorageFull: the disk filled up while the picture was written."""
    try:
        yield
    except OSError as error:
        if error.errno in files.FULL:
            raise StorageFull("the disk is full: the picture could not be stored") from error
        raise


@contextmanager
def undo_files() -> Iterator[list[str]]:
    """Collects names of files, and deletes them when the block ends with an exception: their rows were rolled back.

    Not when the database fell silent: it may have done so after the COMMIT. What no row names is an orphan, which the
    clean-up removes.
    """
    made: list[str] = []
    try:
        yield made
    except (OperationalError, InterfaceError):
        raise
    except BaseException:
        files.remove(made)
        raise
