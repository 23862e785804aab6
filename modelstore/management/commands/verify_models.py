"""``manage.py verify_models [NAME…]``: read the weights on the disk again and compare them with what was accepted."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from modelstore.imports import quarantine, registration
from modelstore.models import Model
from modelstore.states import State
from modelstore.storage import weights


class Command(BaseCommand):
    help = (
        "Read every model's file again. Damaged official files are deleted and asked for again; official files that "
        "were put into the models directory by hand are taken; leftovers of broken downloads are removed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("names", nargs="*", metavar="NAME", help="default: all")

    def handle(self, *_args: Any, **options: Any) -> None:
        names = options["names"]
        for name in registration.adopt_present_files():
            self.stdout.write(self.style.SUCCESS(f"{name}: found in the models directory, genuine"))
        ready = Model.objects.filter(state=State.READY)
        if names:
            unknown = set(names) - set(Model.objects.listed().values_list("name", flat=True))
            if unknown:
                raise CommandError(f"no such model: {', '.join(sorted(unknown))}")
            ready = ready.filter(name__in=names)
        damaged = 0
        for model in ready:
            if weights.verify(model):
                self.stdout.write(f"{model.name}: genuine")
            else:
                damaged += 1
                model.refresh_from_db()
                self.stderr.write(self.style.ERROR(f"{model.name}: {model.error} (now {model.get_state_display()})"))
        removed = quarantine.remove_leftovers()
        if removed:
            self.stdout.write(f"{removed} old leftovers of downloads and uploads removed")
        if damaged:
            raise CommandError(f"{damaged} damaged")
