"""Words that all commands have in common: errors, suggestions, hints that can be pasted, the texts below each help."""

import re
import sys
from collections.abc import Iterable
from contextlib import suppress

from modelstore.formatting import closest

EXIT_CODES = """\
exit codes:
  0    everything was done
  1    something failed; what, is said on stderr
  2    the command was not understood, or a setting makes no sense
  130  Ctrl-C; 143 SIGTERM: ended in order, nothing half-made is left
"""

GENERAL = (
    """\
`upscaler COMMAND --help` tells all of a command.

examples:
  upscaler upscale photos/ -o larger/ --model bundled-compact-x4
  upscaler models download RealESRGAN_x4plus
  upscaler serve

environment:
  UPSCALER_DATA_DIR  where models, pictures and the database are
                     (default: ~/.local/share/upscaler, in a checkout: var/)
  and every setting of docs/configuration.md

"""
    + EXIT_CODES
)

#: Commands of manage.py as this program has them; the others are `upscaler manage NAME`.
_OURS = {
    "download_models": "models download",
    "import_model": "models import",
    "verify_models": "models verify",
    "create_api_key": "keys create",
    "cleanup_jobs": "cleanup",
    "upscale": "upscale",
}
_HINT = re.compile(r"(?:[\w./-]*python )?manage\.py (\w+)")


def pasteable(text: str) -> str:
    """Return ``text`` with every command of manage.py that it names as one of this program."""
    return _HINT.sub(lambda match: f"upscaler {_OURS.get(match[1], 'manage ' + match[1])}", text)


def complain(text: str) -> None:
    """Print for the person at the terminal, who may have gone."""
    with suppress(OSError):
        print(pasteable(text), file=sys.stderr, flush=True)  # noqa: T201 - a command prints


def say(text: str) -> None:
    """Print a line of the command's answer."""
    print(pasteable(text), flush=True)  # noqa: T201 - a command prints


def suggestion(wrong: str, known: Iterable[str]) -> str:
    """Return ' Did you mean "…"?' where one of ``known`` is near, else ""."""
    near = closest(wrong, known)
    return f' Did you mean "{near}"?' if near else ""
