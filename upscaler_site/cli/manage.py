"""Django's commands in this program: passed on whole, or one of them with a parser of ours in front."""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from upscaler_site.cli import words

#: Django's own options of every command, which ours do not show; with the values that Django gives them.
_DJANGOS: dict[str, Any] = {
    "verbosity": 1, "settings": None, "pythonpath": None, "traceback": False, "no_color": False, "force_color": False,
    "skip_checks": True,
}  # fmt: skip


def pass_on(arguments: Sequence[str]) -> int:
    """Hand the words to Django as manage.py would."""
    from upscaler_site import manage  # noqa: PLC0415 - Django

    sys.argv = ["upscaler manage", *(arguments or ["help"])]
    manage.main()
    return 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command for help and completion; its words are not parsed here."""
    parser.add_argument("name", metavar="NAME", help="one of those that `upscaler manage help` lists")
    parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="…", help="its own words")
    parser.epilog = words.EXIT_CODES


def set_up() -> None:
    """Load Django with its settings.

    :raises SystemExit: with code 2, naming the setting that makes no sense.
    """
    import django  # noqa: PLC0415 - late, as main.py says
    from django.core.exceptions import ImproperlyConfigured  # noqa: PLC0415 - as above

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "upscaler_site.settings")
    try:
        django.setup()
    except ImproperlyConfigured as error:
        words.complain(f"Error: {error}")
        raise SystemExit(2) from None


@contextmanager
def database(command: str) -> Iterator[None]:
    """Have Django and its database within the block, as manage.py gives it to the command of that name.

    The embedded database gets its tables where the service has never run; an operator's database is left as it is.
    """
    set_up()
    from django.core.management import call_command  # noqa: PLC0415 - late, as main.py says

    from upscaler_site.postgres.embedded import is_wanted  # noqa: PLC0415 - as above
    from upscaler_site.postgres.for_command import database_for  # noqa: PLC0415 - as above

    with ExitStack() as stack:
        ours = is_wanted()
        database_for(["upscaler", command], stack)
        if ours and not is_wanted() and _tables_are_missing():
            call_command("migrate", interactive=False, verbosity=0)
        yield


def _tables_are_missing() -> bool:
    from django.db import connection  # noqa: PLC0415 - late, as main.py says
    from django.db.migrations.executor import MigrationExecutor  # noqa: PLC0415 - as above

    executor = MigrationExecutor(connection)
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def borrow(parser: argparse.ArgumentParser, name: str) -> None:
    """Give ``parser`` the arguments of Django's command ``name``, without Django's own, and make it run that."""
    from django.core.management import get_commands, load_command_class  # noqa: PLC0415 - late, as main.py says

    set_up()
    command: Any = load_command_class(get_commands()[name], name)  # a CommandParser is only a type's wish
    command.add_arguments(parser)
    parser.description = words.pasteable(command.help)
    parser.set_defaults(run=lambda options: _run(name, command, options))


def _run(name: str, command: Any, options: argparse.Namespace) -> int:
    from django.core.management import CommandError  # noqa: PLC0415 - late, as main.py says

    from modelstore.errors import StorageUnavailable  # noqa: PLC0415 - as above

    given = {key: value for key, value in vars(options).items() if key not in ("run", "command", "deed")}
    try:
        with database(name):
            command.execute(**(_DJANGOS | given))
    except CommandError as error:
        words.complain(f"Error: {error}")
        return error.returncode
    except StorageUnavailable as error:
        words.complain(f"Error: {error.for_operators()}")
        return 1
    return 0
