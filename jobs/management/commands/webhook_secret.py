"""manage.py webhook_secret [--key PREFIX]: shows the secret with which receivers verify webhooks."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from jobs.models.api_key import ApiKey
from jobs.webhooks.signing import secrets_for


class Command(BaseCommand):
    help = "Show the secret with which receivers verify webhooks: of jobs without an API key, or of one key's jobs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--key", metavar="PREFIX", help="prefix of an API key, as the admin shows it")

    def handle(self, *_: Any, **options: Any) -> None:
        prefix = options["key"]
        api_key_id = None
        if prefix:
            prefix = prefix.removeprefix("ups_").split("_", maxsplit=1)[0]
            key = ApiKey.objects.filter(prefix=prefix).first()
            if key is None:
                raise CommandError(f"no API key has the prefix {prefix}")
            api_key_id = key.pk
        self.stdout.write(secrets_for(api_key_id)[0])
