"""Measurements, kept in a file for the next process: numbers by the name of what they belong to.

A file that cannot be read or written costs the measurement again, and no more. Processes that write at the same time
may lose each other's numbers, never spoil the file.
"""

import json
import logging
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger(__name__)

_NAME = "backends.json"
#: More than any host's networks; a file beyond it is not ours.
_MOST_BYTES = 1_000_000
#: Seconds for some pixels, dB, and days since 1970 lie well between these.
_LEAST, _MOST = 1e-6, 1e5


class Kept:
    """Numbers in memory, and in a folder's file where there is one."""

    def __init__(self, folder: Path | None) -> None:
        self._path = folder / _NAME if folder else None
        self._values: dict[str, dict[str, float]] = {}
        self._complained = False

    def get(self, name: str) -> dict[str, float] | None:
        """Return the numbers kept under a name, None where there are none."""
        if name not in self._values:
            self._values = {**self._read(), **self._values}
        return self._values.get(name)

    def put(self, name: str, numbers: dict[str, float]) -> None:
        """Keep positive, finite numbers under a name."""
        self._values = {**self._read(), **self._values, name: numbers}
        if self._path is None:
            return
        text = json.dumps(self._values, indent=1, sort_keys=True)
        if len(text) > _MOST_BYTES:  # of versions and weights long gone; whoever still needs some measures again
            self._values = {name: numbers}
            text = json.dumps(self._values)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            _write(self._path, text)
        except OSError as error:
            logger.warning("measurements not kept path=%s error=%s", self._path, error)

    def _read(self) -> dict[str, dict[str, float]]:
        """Return what the file holds; nothing, and one line in the log, where it is not ours."""
        if self._path is None:
            return {}
        try:
            found = self._path.stat()
            if not stat.S_ISREG(found.st_mode):  # reading a pipe would wait for ever
                raise ValueError("not a file")
            if found.st_size > _MOST_BYTES:
                raise ValueError("too large")
            content = json.loads(self._path.read_text())
            return {str(name): _numbers(values) for name, values in content.items()}
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (OSError, ValueError, AttributeError, TypeError, OverflowError, RecursionError) as error:
            if not self._complained:
                logger.warning("measurements not read path=%s error=%s", self._path, error)
            self._complained = True
            return {}


def _write(path: Path, text: str) -> None:
    """Replace a file as a whole; whoever reads meanwhile sees the old one. :raises OSError: and leaves nothing."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{_NAME}-", delete=False) as file:
        part = Path(file.name)
    try:
        part.write_text(text)
        part.chmod(0o644)  # other users' processes read it too
        part.replace(path)
    except OSError:
        with suppress(OSError):
            part.unlink()
        raise


def _numbers(values: dict[str, object]) -> dict[str, float]:
    """:raises TypeError: for anything but numbers by name. :raises ValueError: for one that nothing can have."""
    made = {}
    for name, value in values.items():
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            raise TypeError(f"{name} is no number")
        if not _LEAST < float(value) < _MOST:
            raise ValueError(f"{name} is {value}")
        made[str(name)] = float(value)
    return made
