"""Free memory of the host, read at the moment of use. Nothing is imported or cached for it."""

import ctypes
from contextlib import suppress
from pathlib import Path


def free_host_bytes() -> int:
    """Return the bytes that this process may still allocate on the host: the kernel's estimate, or less in a cgroup.

    0 when the system does not say (not Linux): the caller then falls back to a fixed tile.
    """
    free = _meminfo("MemAvailable")
    limit, used = _cgroup()
    if limit is not None:
        free = min(free, max(0, limit - used)) if free else max(0, limit - used)
    return free


def trim_host_memory() -> None:
    """Return freed memory that the C library keeps for later to the system."""
    with suppress(OSError, AttributeError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def _meminfo(name: str) -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return 0


def _cgroup() -> tuple[int | None, int]:
    """Return (limit, used) in bytes, of cgroup v2 or v1; page cache that can be dropped does not count as used."""
    for limit, used, stat in (
        ("memory.max", "memory.current", "memory.stat"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
    ):
        root = Path("/sys/fs/cgroup")
        try:
            text = (root / limit).read_text().strip()
            if text == "max" or int(text) > 1 << 60:
                return None, 0
            cache = 0
            for line in (root / stat).read_text().splitlines():
                name, _, value = line.partition(" ")
                if name in ("inactive_file", "total_inactive_file"):
                    cache = int(value)
            return int(text), max(0, int((root / used).read_text()) - cache)
        except (OSError, ValueError):
            continue
    return None, 0
