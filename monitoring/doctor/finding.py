"""Findings of the doctor: one fact about the installation, its level, and what to do."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum


class Level(IntEnum):
    """The level of a finding; the greater, the worse."""

    FINE = 0
    NOTE = 1  # could not be examined, or is as somebody wanted it, and worth knowing
    WARNING = 2  # works, but worse than it could, or not for long
    FAULT = 3  # pictures fail, or wait for ever


@dataclass(frozen=True)
class Finding:
    """One fact. ``told`` says what is, with figures; ``advice`` what to do, where anything is to be done."""

    area: str
    level: Level
    told: str
    advice: str = ""


@dataclass(frozen=True)
class Area:
    """One part of the installation. ``examine`` may raise errors of the system: they become a fault."""

    name: str
    examine: Callable[[], Iterator[Finding]]


def fine(area: str, told: str) -> Finding:
    """Return a finding about which nothing is to be done."""
    return Finding(area, Level.FINE, told)


def note(area: str, told: str, advice: str = "") -> Finding:
    """Return a finding that is worth knowing."""
    return Finding(area, Level.NOTE, told, advice)


def warning(area: str, told: str, advice: str) -> Finding:
    """Return a finding that costs time or will cost more."""
    return Finding(area, Level.WARNING, told, advice)


def fault(area: str, told: str, advice: str) -> Finding:
    """Return a finding for which pictures fail or wait."""
    return Finding(area, Level.FAULT, told, advice)
