"""Sizes as people read them: in the decimal units in which disks and downloads are counted, as everywhere else here."""


def byte_size(value: float) -> str:
    """Format a number of bytes, such as "698 kB" or "67.0 MB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
