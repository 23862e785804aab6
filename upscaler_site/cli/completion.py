"""``upscaler completion SHELL``: the shell's completion script, written by shtab from the parsers themselves."""

import argparse
from collections.abc import Iterator

from upscaler_site.cli import main, words

_HOW = """\
examples:
  bash:  upscaler completion bash > ~/.local/share/bash-completion/completions/upscaler
  zsh:   upscaler completion zsh > ~/.zfunc/_upscaler     (a folder of $fpath)
  fish:  upscaler completion fish > ~/.config/fish/completions/upscaler.fish

"""
_SHELLS = ("bash", "zsh", "fish")
#: Arguments that are files or folders, by their names.
_PATHS = {"inputs", "output", "path", "watch", "api_key_file", "root"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the shell's name."""
    parser.add_argument("shell", choices=_SHELLS)
    parser.epilog = _HOW + words.EXIT_CODES
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    import shtab  # noqa: PLC0415 - for this alone

    parser = main.parser_for(list(main.COMMANDS))
    for action in _actions(parser):
        if action.dest in _PATHS:
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # shtab's own
    words.say(shtab.complete(parser, shell=options.shell))
    return 0


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield every argument of the parser and of the parsers below it."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to its arguments; shtab goes the same
        yield action
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - as above
            for below in action.choices.values():
                yield from _actions(below)
