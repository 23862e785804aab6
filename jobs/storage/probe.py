"""A file on trial in the store of pictures: written, read, listed and deleted as pictures are, for `manage.py doctor`.

Its name is an input's of a job that never was. Where the trial is killed, clean-up takes it for what it is: an orphan.
"""

import os
import uuid
from contextlib import suppress

from jobs.storage import file_names
from modelstore.stores.chosen import pictures


class Probe:
    """One file of random bytes. All raise OSError where the store refuses."""

    def __init__(self, size: int) -> None:
        """:param size: in bytes."""
        self._name = file_names.input_name(uuid.uuid4(), "png")
        self._data = os.urandom(size)

    def write(self) -> None:
        """Store it, whole and durable."""
        draft = pictures().draft(self._name + file_names.PART)
        try:
            draft.write_bytes(self._data)
            pictures().put(draft, self._name)
        finally:
            draft.unlink(missing_ok=True)

    def is_whole(self) -> bool:
        """Read it, from the disk and not from memory where the system allows; return whether it is what was written."""
        with pictures().open(self._name) as file:
            with suppress(OSError, AttributeError):  # not a file of this host, or not Linux
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            return bool(file.read() == self._data)

    def is_listed(self) -> bool:
        """Return whether the store lists it under its directory."""
        directory = self._name.rpartition("/")[0]
        return any(name == self._name for name, _ in pictures().list(f"{directory}/", file_names.is_directory_of_ours))

    def delete(self) -> bool:
        """Delete it; return whether it is gone."""
        return pictures().delete([self._name])[self._name] is not None and pictures().stat(self._name) is None
