"""``upscaler``: reads the words, loads what the asked-for command needs, and says how it ended by the exit code.

Nothing else is imported at first: help and completion come at once, and Ctrl-C is heard from the first moment on.
"""

import argparse
import importlib
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from upscaler_site.cli import words
from upscaler_site.conf.version import VERSION

DONE, FAILED, MISUSED = 0, 1, 2

#: Each command with its module in this folder and what it is for. Its module has ``add_arguments`` and ``run``.
COMMANDS = {
    "upscale": ("upscale", "Make pictures larger, here or by a running service"),
    "models": ("models", "List, download, import and verify models"),
    "serve": ("service", "Start the service: web page, API and workers"),
    "mcp": ("mcp_server", "Offer a running service to assistants by the Model Context Protocol"),
    "keys": ("keys", "Make, list and revoke API keys"),
    "cleanup": ("cleanup", "Remove old jobs and their pictures"),
    "doctor": ("doctor", "Examine the installation, and say what to do"),
    "manage": ("manage", "Django's own commands, such as createsuperuser"),
    "completion": ("completion", "Print the completion script of a shell"),
    "man": ("man", "Print manual pages, or install them"),
}

#: What ``run`` of a command is: it gets the parsed words and returns the exit code.
Run = Callable[[argparse.Namespace], int]


class _Stopped(BaseException):
    """A signal asked this program to end; derived from BaseException so that nobody takes it for an error of theirs."""


class _Signals:
    """Remembers by which signal this program was asked to end: libraries turn an interrupt into errors of their own."""

    def __init__(self) -> None:
        self.number = 0

    def listen(self) -> None:
        """Take over SIGINT, SIGTERM and SIGHUP; commands that run for themselves set their own again."""
        # A shell script starts its background commands with SIGINT ignored: kill -INT ends this one all the same.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._asked)

    def _asked(self, number: int, _frame: FrameType | None) -> None:
        self.number = number
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise _Stopped

    def ignore(self) -> None:
        """Hear nothing any more: the end is decided, and it is short."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)


def parser_for(commands: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser; of ``commands`` with all their arguments, of the others with their names alone."""
    parser = argparse.ArgumentParser(
        prog="upscaler",
        description="Make pictures two, four or up to sixteen times larger.",
        epilog=words.GENERAL,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"upscaler {VERSION}")
    below = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module, summary) in COMMANDS.items():
        full = name in commands
        one = below.add_parser(
            name,
            help=summary,
            add_help=full,
            description=f"{summary}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if full:
            importlib.import_module(f"upscaler_site.cli.{module}").add_arguments(one)
    return parser


def main() -> NoReturn:
    """Run one command and end this process by its exit code."""
    signals = _Signals()
    signals.listen()
    code = FAILED
    try:
        code = _run(sys.argv[1:])
    except SystemExit as end:
        code = _code_of(end)
    except BaseException as error:  # an interrupt, or what a library made of one
        if not signals.number:
            signals.ignore()
            raise
        if not isinstance(error, KeyboardInterrupt | _Stopped):
            words.complain(f"(it broke off {type(error).__name__})")
    signals.ignore()
    if signals.number:
        code = 128 + signals.number
        words.complain("Interrupted" if signals.number == signal.SIGINT else "Stopped by a signal")
    with suppress(OSError):  # whoever read our output may have gone
        sys.stdout.flush()
    sys.exit(code)


def _run(arguments: Sequence[str]) -> int:
    from upscaler_site.process import utf8_mode  # noqa: PLC0415 - after the signals are ours

    utf8_mode.ensure()
    if arguments[:1] == ["manage"]:  # its words are Django's, which has a parser of its own
        from upscaler_site.cli import manage  # noqa: PLC0415 - Django

        return manage.pass_on(arguments[1:])
    asked = next((word for word in arguments if not word.startswith("-")), "")
    options = parser_for([asked]).parse_args(arguments)
    run: Run = options.run
    try:
        return run(options)
    except BrokenPipeError:  # the reader of our output had enough: `upscaler models list | head -1`
        with suppress(OSError):
            sys.stdout = open("/dev/null", "w")  # noqa: SIM115, PTH123 - until the process ends, which is now
        return FAILED


def _code_of(end: SystemExit) -> int:
    if end.code is None or isinstance(end.code, int):
        return end.code or DONE
    words.complain(str(end.code))
    return FAILED


if __name__ == "__main__":
    main()
