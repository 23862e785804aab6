"""``manage.py model_catalog [--refresh]``: what your own catalogues list, and everything that is wrong with it."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from modelstore.catalogs.known import known, refresh
from modelstore.formatting import byte_size
from modelstore.imports import registration
from modelstore.licences import named


class Command(BaseCommand):
    help = (
        "Read models.toml and the copy of MODEL_CATALOG_URL, bring the list of models up to date, and say what is "
        "wrong. A running service does so every few minutes."
    )
    requires_system_checks: list[str] = []  # they would say all of it twice

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--refresh", action="store_true", help="fetch MODEL_CATALOG_URL first")

    def handle(self, *_args: Any, **options: Any) -> None:
        if options["refresh"]:
            if not settings.MODEL_CATALOG_URL:
                raise CommandError("MODEL_CATALOG_URL is not set")
            refresh()
        catalogs = known()
        problems = registration.register_listed(catalogs)
        for entry in catalogs.entries:
            size, licence = byte_size(entry.size_bytes), named(entry.licence)
            self.stdout.write(f"{entry.name}: {entry.use.label}, {size}, licence: {licence}, by {entry.author}")
        if problems:
            raise CommandError("\n".join(problems))
        self.stdout.write(self.style.SUCCESS(f"{len(catalogs.entries)} listed, nothing is wrong"))
