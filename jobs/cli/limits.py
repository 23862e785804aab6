"""The share and the limits of an API key, as options of a command."""

import math
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobs.models.api_key import ApiKey


def _number(kind: Callable[[str], float]) -> Callable[[str], float | str]:
    def read(text: str) -> float | str:
        if text == "default":
            return text
        try:
            value = kind(text)
        except ValueError:
            raise ArgumentTypeError(f"{text} is no number; 0 is no limit, default is the setting's") from None
        if not 0 <= value < 1e15:
            raise ArgumentTypeError(f"{text} is out of bounds; 0 is no limit, default is the setting's")
        return value

    return read


def _share(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):  # the bounds are the model's, which lets NaN through
        raise ValueError(text)
    return value


#: The options: the name of the field, what it counts in, the factor from the option's unit, how it is read.
_OPTIONS: dict[str, tuple[str, float, Callable[[str], float | str], str]] = {
    "max_queued_jobs": ("max_queued_jobs", 1, _number(int), "waiting jobs"),
    "max_running_jobs": ("max_running_jobs", 1, _number(int), "jobs that run at once"),
    "max_stored_gb": ("max_stored_bytes", 1e9, _number(float), "inputs and results, in GB of 1e9 bytes"),
    "max_megapixels_per_day": ("max_megapixels_per_day", 1, _number(float), "megapixels submitted in a day of UTC"),
}


def add_arguments(parser: ArgumentParser) -> None:
    """Add --share and the limits."""
    parser.add_argument(
        "--share", type=_share, metavar="N", help="weight beside other callers that wait, 0.1 to 100; 1 at first"
    )
    parser.add_argument(
        "--high-priority", choices=["yes", "no"], help="whether it may ask for priority=high; no at first"
    )
    for option, (_field, _factor, read, what) in _OPTIONS.items():
        parser.add_argument(
            f"--{option.replace('_', '-')}",
            type=read,
            metavar="N",
            help=f"limit of {what}; 0: none; default: as CALLER_{option.upper()}",
        )


def values_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of the key that were given, with their values."""
    values: dict[str, Any] = {} if options["share"] is None else {"share": options["share"]}
    if options["high_priority"]:
        values["high_priority"] = options["high_priority"] == "yes"
    for option, (field, factor, _read, _what) in _OPTIONS.items():
        given = options[option]
        if given is not None:
            values[field] = None if given == "default" else given if factor == 1 else int(given * factor)
    return values


def shown(key: "ApiKey") -> str:
    """Return the share and the limits of a key as the options would give them."""
    words = [f"share {key.share:g}", f"high-priority {'yes' if key.high_priority else 'no'}"]
    for option, (field, factor, _read, _what) in _OPTIONS.items():
        value = getattr(key, field)
        words.append(f"{option.replace('_', '-')} {'default' if value is None else f'{value / factor:.15g}'}")
    return ", ".join(words)
