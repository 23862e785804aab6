"""Is a file what it was when it was accepted? Read once; then believed while size, time and inode stay the same."""

import hashlib
import os
import threading
from pathlib import Path

_Signature = tuple[int, int, int]

_lock = threading.Lock()
#: Path → (signature, digest) of files that this process has read. A handful of entries: one per model file.
_read: dict[Path, tuple[_Signature, str]] = {}


def _signature(status: os.stat_result) -> _Signature:
    return status.st_size, status.st_mtime_ns, status.st_ino


def digest_of(path: Path) -> str:
    """Return the SHA-256 of the file's bytes, read now. :raises OSError: when it cannot be read."""
    with path.open("rb") as file:
        before = _signature(os.fstat(file.fileno()))
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        after = _signature(os.fstat(file.fileno()))
    with _lock:
        if before == after:
            _read[path] = (after, digest)
        else:  # another process wrote into it meanwhile
            _read.pop(path, None)
    return digest


def may_be_genuine(path: Path, size_bytes: int, sha256: str) -> bool:
    """Return True unless the file is known to be wrong: for callers that hash what they load. Seldom reads it.

    A file that this process has read is read again when it changed since; another need only have the size.
    """
    with _lock:
        known = path in _read
    if known:
        return is_genuine(path, size_bytes, sha256)
    try:
        return path.stat().st_size == size_bytes
    except OSError:
        return False


def is_genuine(path: Path, size_bytes: int, sha256: str, *, reread: bool = False) -> bool:
    """Return True if the file is there with these bytes.

    :param reread: read it even when it looks untouched since the last time: finds silent damage on the disk.
    """
    try:
        signature = _signature(path.stat())
        if signature[0] != size_bytes:
            return False
        with _lock:
            known = _read.get(path)
        if known is not None and known[0] == signature and not reread:
            return known[1] == sha256
        return digest_of(path) == sha256
    except OSError:
        return False
