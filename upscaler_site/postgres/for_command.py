"""Gives a ``manage.py`` command its database when nobody else did."""

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack

from django.conf import settings

from upscaler_site.postgres.embedded import EmbeddedPostgres, exists_in, is_wanted
from upscaler_site.postgres.server import EmbeddedPostgresError
from upscaler_site.postgres.url import database_from

#: Commands that do not use the database.
WITHOUT_DATABASE = {
    "check", "collectstatic", "compilemessages", "diffsettings", "findstatic", "help", "makemessages",
    "spectacular", "version",
}  # fmt: skip

#: Commands that only read what the service stored: without its data directory there is nothing to read.
DATABASE_IF_THERE = {"upscale"}


def database_for(argv: Sequence[str], stack: ExitStack) -> None:
    """Point settings and DATABASE_URL at the embedded Postgres until ``stack`` ends, where the command needs it."""
    command = next((word for word in argv[1:] if not word.startswith("-")), "help")
    if not is_wanted() or command in WITHOUT_DATABASE or {"--help", "-h", "--version"} & set(argv[1:]):
        return
    data_dir = settings.DATA_DIR
    if command in DATABASE_IF_THERE and not exists_in(data_dir):
        return
    try:
        use(stack.enter_context(EmbeddedPostgres(data_dir)))
    except EmbeddedPostgresError as error:
        sys.exit(f"Error: {error}")


def use(url: str) -> None:
    """Make ``url`` the database of this process and of its children; to be called before the first connection."""
    os.environ["DATABASE_URL"] = url
    settings.DATABASES["default"].update(database_from(url))
