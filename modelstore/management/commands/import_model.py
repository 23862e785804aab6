"""``manage.py import_model PATH [--name NAME]``: verify a weights file and make it usable."""

import time
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from audit.commands import RecordedCommand
from modelstore.downloads import runner
from modelstore.errors import ImportRefused, NameRefused
from modelstore.imports import importing
from modelstore.models import Model
from modelstore.states import PENDING, State, Use
from modelstore.storage import deletion


class Command(RecordedCommand):
    help = (
        "Import weights: an official or listed file (known by its SHA-256, whatever it is called), or a network of any "
        "family that is known here (docs/models.md), as .pth or .safetensors. It is measured: seconds for most, "
        "minutes for the largest. A file that is refused leaves nothing behind."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("path", type=Path, metavar="PATH")
        parser.add_argument("--name", default="", help="name of the model; default: the official one's, or the file's")
        parser.add_argument("--description", default="", help="one line for the list of models")
        parser.add_argument(
            "--use",
            choices=Use.values,
            default="",
            help="pictures that it is for; default: restore at scale 1, else photo",
        )
        parser.add_argument("--licence", default="", help="licence of the weights")

    def handle(self, *_args: Any, **options: Any) -> None:
        path: Path = options["path"]
        if not path.is_file():
            raise CommandError(f"{path} is not a file")
        try:
            model = importing.bring(
                _blocks(path),
                options["name"],
                default_name=path.stem,
                description=options["description"],
                licence=options["licence"],
                use=options["use"],
            )
        except NameRefused as error:
            raise CommandError(f"{error}. Choose one with --name") from None
        except (ImportRefused, OSError) as error:
            raise CommandError(f"{path.name} was not imported: {error}") from None
        if model.state != State.READY:
            model = self._examined(model)
        self.stdout.write(
            self.style.SUCCESS(
                f"{model.name}: {model.architecture} x{model.scale}, {model.size_bytes} bytes, ready to use"
            )
        )
        if model.spec is not None and model.spec.traits is not None:
            self.stdout.write(
                f"Its tiles: {model.spec.joins}; {' and '.join(model.spec.traits.precisions)}; "
                f"{model.spec.mflop_per_pixel:.3g} MFLOP per pixel"
            )

    def _examined(self, model: Model) -> Model:
        claim = Model.objects.claim(runner.worker_name(), name=model.name)
        if claim is not None:
            runner.work_on(claim)
        while (row := Model.objects.filter(pk=model.pk).first()) is not None and row.state in PENDING:
            time.sleep(0.2)  # a worker has claimed the import first: wait for it
        if row is None:
            raise CommandError(f"{model.name} was not imported: it was deleted meanwhile")
        if row.state != State.READY:
            deletion.delete(row.name)
            raise CommandError(f"{model.name} was not imported: {row.error}")
        return row


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            yield block
