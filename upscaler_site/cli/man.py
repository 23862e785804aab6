"""``upscaler man``: manual pages, written by argparse-manpage from the parsers themselves, one for each command.

They are made by the installed program and not with its wheel: most arguments are those of Django's commands, and a
wheel is built where Django is not.
"""

import argparse
import re
from datetime import UTC, datetime
from pathlib import Path

from upscaler_site.cli import main, words
from upscaler_site.conf.version import VERSION

_HOW = """\
examples:
  upscaler man | man -l -
  upscaler man upscale | man -l -
  upscaler man --output ~/.local/share/man     (then: man upscaler-upscale)

"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take a command's name, or a place for all pages."""
    parser.add_argument("page", nargs="?", choices=list(main.COMMANDS), metavar="COMMAND", help="its page instead")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="write every page, into DIR/man1")
    parser.epilog = _HOW + words.EXIT_CODES
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    if options.output is None:
        words.say(_page(options.page or ""))
        return 0
    place = options.output.expanduser() / "man1"
    try:
        place.mkdir(parents=True, exist_ok=True)
        for command in ("", *main.COMMANDS):
            (place / f"{_name(command)}.1").write_text(_page(command) + "\n", encoding="utf-8")
    except OSError as error:
        words.complain(f"Error: {place} cannot be written: {error.strerror}")
        return 1
    words.say(f"{len(main.COMMANDS) + 1} pages in {place}")
    return 0


def _name(command: str) -> str:
    return f"upscaler-{command}" if command else "upscaler"


def _page(command: str) -> str:
    """Return the manual page of a command, or of the program, as roff."""
    from argparse_manpage.manpage import Manpage  # noqa: PLC0415 - for this alone

    parser = main.parser_for([command] if command else [])
    summary = "make pictures larger"
    if command:
        commands = next(one for one in parser._actions if isinstance(one, argparse._SubParsersAction))  # noqa: SLF001 - argparse has no other way to its arguments
        parser, summary = commands.choices[command], main.COMMANDS[command][1]
    text, parser.epilog = parser.epilog or "", None  # argparse-manpage would make one section of all it says
    parser.prog = _name(command)
    facts = {
        "project_name": "upscaler", "version": VERSION, "description": summary[0].lower() + summary[1:], "authors": [],
        "manual_section": "1", "manual_title": "Upscaler",
    }  # fmt: skip
    page = str(Manpage(parser, _data=facts, format="single-commands-section" if command else "pretty"))
    title = f'.TH {_name(command).upper()} "1" "{datetime.now(UTC):%Y-%m-%d}" "upscaler {VERSION}" "Upscaler"'
    body = page.partition("\n")[2].rstrip()
    if command:  # the page has the name with a hyphen, what people type has none
        head, synopsis, rest = body.partition(".SH SYNOPSIS")
        body = head + synopsis + rest.replace(f"upscaler\\-{command}", f"upscaler {command}")
    if not command:  # it names the commands, and would repeat each as a section of its own
        body = re.sub(r"\n\.SH\s+COMMAND .*?(?=\n\.SH|\Z)", "", body, flags=re.DOTALL)
    see = [
        ".SH SEE ALSO",
        ", ".join(f"\\fB{_name(other)}\\fR(1)" for other in ("", *main.COMMANDS) if other != command),
    ]
    return "\n".join([title, body, *_sections(text), *see])


def _sections(text: str) -> list[str]:
    """Return the text below a help as roff: what begins with a word and a colon is a section, as it stands."""
    lines: list[str] = []
    prose: list[str] = []
    for paragraph in filter(None, text.strip("\n").split("\n\n")):
        head, _, rest = paragraph.partition("\n")
        if head.endswith(":") and head[0].isalpha():
            title = {"exit codes:": "EXIT STATUS"}.get(head, head[:-1].upper())
            lines += [f".SH {title}", ".nf", *map(_escaped, rest.split("\n")), ".fi"]
        else:
            prose += [".PP", *map(_escaped, paragraph.split("\n"))]
    return [".SH NOTES", *prose[1:], *lines] if prose else lines


def _escaped(line: str) -> str:
    """Return a line of text as roff: hyphens to be copied, and nothing at its start that reads as a request."""
    escaped = line.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped[:1] in (".", "'") else escaped
