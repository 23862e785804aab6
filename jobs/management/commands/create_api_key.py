"""manage.py create_api_key NAME [--scope upscale --scope manage] [--days N] …: makes a key and shows it once."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError
from django.utils import timezone

from audit.commands import RecordedCommand
from jobs.auth import api_keys
from jobs.cli import limits
from jobs.models.api_key import Scope
from jobs.webhooks.signing import secrets_for


class Command(RecordedCommand):
    help = "Make an API key. It is shown once: the service keeps only its hash."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="who or what uses the key")
        parser.add_argument(
            "--scope",
            action="append",
            choices=[str(scope) for scope in Scope],
            help="what the key allows, repeatable; upscale when not given",
        )
        parser.add_argument("--days", type=int, help="days until the key expires; never when not given")
        limits.add_arguments(parser)
        parser.add_argument(
            "--retain-hours",
            type=int,
            help=f"hours that its ended jobs stay, at most {settings.MAX_RETAIN_HOURS}; as usual when not given",
        )
        parser.add_argument("--quiet", action="store_true", help="print the key alone, for scripts")

    def handle(self, *_: Any, **options: Any) -> None:
        name = options["name"].strip()
        if not 1 <= len(name) <= 100:
            raise CommandError("the name must have 1 to 100 characters")
        days = options["days"]
        if days is not None and not 1 <= days <= 36_500:
            raise CommandError("--days must be from 1 to 36500")
        hours, most = options["retain_hours"], settings.MAX_RETAIN_HOURS
        if hours is not None and not 1 <= hours <= most:
            raise CommandError(f"--retain-hours must be from 1 to {most}")
        expires_at = None if days is None else timezone.now() + timedelta(days=days)
        try:
            values = limits.values_of(options)
            key, text = api_keys.issue(
                name, options["scope"] or [Scope.UPSCALE], expires_at=expires_at, retain_hours=hours, **values
            )
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        if options["quiet"]:
            self.stdout.write(text)
            return
        self.stdout.write(
            f"API key of {key.name} (scopes: {', '.join(key.scopes)}), shown this once:\n\n    {text}\n\n"
        )
        self.stdout.write("Send it as `Authorization: Bearer <key>` or `X-API-Key: <key>`.\n")
        self.stdout.write(f"Its jobs' webhooks are signed with: {secrets_for(key.pk)[0]}\n")
