"""Licences of weights, as far as their names tell. Importing this imports nothing of Django's or torch's."""

import re

#: "NC" as a word of its own (CC-BY-NC-4.0, CC BY-NC-SA), "non-commercial" in any spelling, licences for research, and
#: those of names that do not say it (S-Lab's allows no commercial use, nor does NVIDIA's source code licence).
_FORBIDS = re.compile(
    r"(?<![a-z])nc(?![a-z])|non[ _-]?commercial|(research|academic|personal)[ _-]?(use|purposes)?[ _-]?only"
    r"|s-?lab[ _-]|nvidia[ _-]source",
    re.IGNORECASE,
)


def forbids_commercial_use(licence: str) -> bool:
    """Return whether the licence of this name forbids commercial use; False also where the name does not tell."""
    return _FORBIDS.search(licence) is not None


def named(licence: str) -> str:
    """Return the licence for people: with a mark where it forbids commercial use, and a word where none is told."""
    if not licence:
        return "not told"
    return f"{licence} (non-commercial)" if forbids_commercial_use(licence) else licence
