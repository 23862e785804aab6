"""The data directory: which one, and one line of plain words where it cannot be used."""

import errno
import os
import tempfile
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from upscaler_site.conf import env, places

VARIABLE = "UPSCALER_DATA_DIR"
#: Bytes written as a test: some file systems accept an empty file on a full disk, none accepts this much.
_PROBE_BYTES = 64 * 1024
#: Errors of writing to an open file, which do not name the file.
_WITHOUT_NAME = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


def chosen() -> Path:
    """Return the operator's choice; nothing is created here. Known before the settings, which make secrets in it."""
    return env.directory(
        VARIABLE, places.data_directory(), shown="var", help="Everything the service keeps: database, models, pictures"
    )


def prepare(path: Path, variable: str = VARIABLE) -> None:
    """Make the directory where it is missing, and write into it once.

    :raises ImproperlyConfigured: naming the variable, the path and the reason.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as probe:
            probe.write(bytes(_PROBE_BYTES))
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        raise ImproperlyConfigured(unusable(path, error, variable)) from error


def unusable(path: Path, why: OSError | str, variable: str = VARIABLE) -> str:
    """Return the line for the operator about an unusable directory."""
    if isinstance(why, OSError):
        why = _reason(path, why)
    return f"{variable}: {path} cannot be used: {why}"


def _reason(path: Path, error: OSError) -> str:
    reason = error.strerror or str(error)
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        in_the_way = next(
            (each for each in (*reversed(path.parents), path) if each.exists() and not each.is_dir()), path
        )
        return f"{in_the_way} is a file, not a directory"
    # A file inside is more telling than its directory: it may be another user's, for instance.
    where = error.filename if isinstance(error.filename, str) else ""
    inside = where and error.errno != errno.ENAMETOOLONG and Path(where) != path
    return f"{reason} ({where})" if inside else reason


def named(error: OSError, place: Path) -> str:
    """Describe an error of the system, in terms of the variable where it concerns ``place``, the directory."""
    if isinstance(error.filename, str):
        concerned = Path(error.filename).is_relative_to(place)
    else:
        concerned = error.errno in _WITHOUT_NAME
    return unusable(place, error) if concerned else str(error)
