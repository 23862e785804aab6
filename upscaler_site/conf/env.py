"""Typed readers of environment variables with defaults and bounds.

A value that does not fit stops the start with a message that names the variable: a typing error in a limit must not
become a silent default in production. Every reader also accepts ``NAME_FILE``, the path of a file that holds the value,
as container secrets are mounted.
"""

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured


@dataclass(frozen=True)
class Variable:
    """One variable that was read: what the README's configuration table must list."""

    name: str
    default: str
    help: str


#: Every variable that settings.py reads, in reading order; the README test compares its table with this.
VARIABLES: dict[str, Variable] = {}


def _raw(name: str, default: object, help_text: str) -> str | None:
    VARIABLES[name] = Variable(name, "" if default is None else str(default), help_text)
    value = os.environ.get(name)
    file_name = os.environ.get(f"{name}_FILE")
    if value is not None and file_name is not None:
        raise ImproperlyConfigured(f"{name} and {name}_FILE are both set: set one of them")
    if file_name is not None:
        try:
            value = Path(file_name).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ImproperlyConfigured(f"{name}_FILE: cannot read {file_name}: {error}") from error
    return value if value not in (None, "") else None


def text(name: str, default: str = "", *, help: str, choices: Sequence[str] = (), pattern: str = "") -> str:
    """Read a text, one of ``choices`` where these are given; of a ``pattern`` the help tells in words."""
    value = _raw(name, default, help)
    if value is None:
        return default
    if choices and value not in choices:
        raise ImproperlyConfigured(f"{name} is {value!r}; it must be one of {', '.join(choices)}")
    if pattern and not re.fullmatch(pattern, value):
        raise ImproperlyConfigured(f"{name} is {value!r}; it must be {help}")
    return value


def integer(name: str, default: int, *, help: str, minimum: int | None = None, maximum: int | None = None) -> int:
    """Read a whole number within bounds (both included)."""
    value = _raw(name, default, help)
    if value is None:
        return default
    try:
        number = int(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} is {value!r}; it must be a whole number") from None
    _check_bounds(name, number, minimum, maximum)
    return number


def number(
    name: str, default: float, *, help: str, minimum: float | None = None, maximum: float | None = None
) -> float:
    """Read a finite number within bounds (both included)."""
    value = _raw(name, default, help)
    if value is None:
        return default
    try:
        result = float(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} is {value!r}; it must be a number") from None
    if not math.isfinite(result):
        raise ImproperlyConfigured(f"{name} is {value!r}; it must be a finite number")
    _check_bounds(name, result, minimum, maximum)
    return result


def money(name: str, *, help: str) -> Decimal | None:
    """Read an amount of money from 0, such as 0.0004, exactly as it is written; None where unset."""
    value = _raw(name, "", help)
    if value is None:
        return None
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,12})?", value):
        raise ImproperlyConfigured(f"{name} is {value!r}; it must be an amount such as 0.0004")
    return Decimal(value)


def flag(name: str, default: bool, *, help: str) -> bool:
    """Read a switch: 1/true/yes/on or 0/false/no/off, in any case."""
    value = _raw(name, "1" if default else "0", help)
    if value is None:
        return default
    lowered = value.lower()
    if lowered in ("1", "true", "yes", "on"):
        return True
    if lowered in ("0", "false", "no", "off"):
        return False
    raise ImproperlyConfigured(f"{name} is {value!r}; it must be 1 or 0 (true/false, yes/no, on/off)")


def words(name: str, default: Sequence[str] = (), *, help: str) -> list[str]:
    """Read a comma-separated list; blanks around the words and empty words do not count."""
    value = _raw(name, ",".join(default), help)
    if value is None:
        return list(default)
    return [word.strip() for word in value.split(",") if word.strip()]


def rate(name: str, *, help: str) -> tuple[int, int] | None:
    """Read ``COUNT/PERIOD``, such as 60/minute or 5/s: (count, seconds of the period); None where unset."""
    value = _raw(name, "", help)
    if value is None:
        return None
    match = re.fullmatch(r"([1-9][0-9]{0,8})\s*/\s*(s|sec|second|m|min|minute|h|hour|d|day)", value.lower())
    if match is None:
        raise ImproperlyConfigured(f"{name} is {value!r}; it must be like 60/minute (second, minute, hour or day)")
    return int(match[1]), {"s": 1, "m": 60, "h": 3600, "d": 86_400}[match[2][0]]


def directory(name: str, default: Path, *, help: str, shown: str = "") -> Path:
    """Read the path of a directory, made absolute. Created on first use, not here. ``shown``: default in the docs."""
    value = _raw(name, shown or default, help)
    return (Path(value).expanduser() if value is not None else default).absolute()


def file(name: str, default: Path, *, help: str, shown: str = "") -> Path:
    """Read the path of a file that may be missing, made absolute. ``shown``: default in the docs."""
    return directory(name, default, help=help, shown=shown)


def _check_bounds(name: str, value: float, minimum: float | None, maximum: float | None) -> None:
    if minimum is not None and value < minimum:
        raise ImproperlyConfigured(f"{name} is {value}; the least is {minimum}")
    if maximum is not None and value > maximum:
        raise ImproperlyConfigured(f"{name} is {value}; the most is {maximum}")
