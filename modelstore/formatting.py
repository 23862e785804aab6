"""Words for people, the same in every room: sizes, states, and the name that was probably meant."""

import difflib
from collections.abc import Iterable

from django.utils.html import format_html
from django.utils.safestring import SafeString


def byte_size(value: float) -> str:
    """Format a number of bytes, such as "698 kB" or "67.0 MB": decimal, as disks and downloads are counted."""
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def closest(wrong: str, known: Iterable[str]) -> str | None:
    """Return the name of ``known`` that a mistyped one is near to, whatever its case, or None."""
    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(wrong.lower()[:60], by_lower, n=1, cutoff=0.6)
    return by_lower[near[0]] if near else None


def badge(state: str, label: str) -> SafeString:
    """Render a state as a coloured word (templates/static/staff/staff.css); the colour is not the only sign."""
    return format_html('<span class="badge badge-{}">{}</span>', state, label)
