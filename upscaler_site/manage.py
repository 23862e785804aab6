"""Django's command line. Where DATABASE_URL is unset, a command starts or joins the embedded Postgres."""

import os
import sys
from contextlib import ExitStack

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

from modelstore.errors import StorageUnavailable
from upscaler_site.postgres.for_command import database_for
from upscaler_site.process import utf8_mode


def main() -> None:
    """Run one command, with its database."""
    utf8_mode.ensure()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "upscaler_site.settings")
    try:
        with ExitStack() as stack:
            database_for(sys.argv, stack)
            execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        if "--traceback" in sys.argv:
            raise
        sys.exit(f"Error: {error}")
    except StorageUnavailable as error:
        if "--traceback" in sys.argv:
            raise
        sys.exit(f"Error: {error.for_operators()}")


if __name__ == "__main__":
    main()
