"""Commands whose deeds the audit log ascribes to them, and to the operating system's user who started them."""

from typing import Any

from django.core.management.base import BaseCommand

from audit import log


class RecordedCommand(BaseCommand):
    """A command that acts under its own name."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run it."""
        with log.command(type(self).__module__.rpartition(".")[2]):
            return super().execute(*args, **options)
