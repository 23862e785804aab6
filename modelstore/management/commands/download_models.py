"""``manage.py download_models NAME… | --all``: bring known models, in this process, with a progress bar."""

import logging
import signal
import threading
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from modelstore.catalog import OFFICIAL, Provider
from modelstore.downloads import runner
from modelstore.errors import OFFLINE_ADVICE
from modelstore.formatting import byte_size
from modelstore.licences import named
from modelstore.models import Model
from modelstore.states import PENDING, Origin, State
from modelstore.storage import weights

#: Seconds between two polls of a download that another process runs.
POLL_SECONDS = 0.5


class Command(BaseCommand):
    help = (
        "Download official models, and those of your own catalogue. Needs no cluster; a download that another process "
        "runs already is followed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "names",
            nargs="*",
            metavar="NAME",
            help="one of: " + ", ".join(OFFICIAL) + "; or a model of your own catalogue",
        )
        parser.add_argument("--all", action="store_true", help="every official model (about 230 MB)")
        parser.add_argument("--provider", choices=[p.value for p in Provider], default="", help="whom to ask first")

    def handle(self, *_args: Any, **options: Any) -> None:
        names = list(OFFICIAL) if options["all"] else list(dict.fromkeys(options["names"]))
        if not names:
            raise CommandError("name one or more models, or --all; the models are: " + ", ".join(OFFICIAL))
        known = set(Model.objects.listed().filter(name__in=names).values_list("name", flat=True))
        unknown = [name for name in names if name not in known]
        if unknown:
            listed = Model.objects.filter(origin=Origin.CATALOG).values_list("name", flat=True)
            more = f"; the catalogue's: {', '.join(listed)}" if listed else ""
            official = ", ".join(OFFICIAL)
            raise CommandError(f"no such model: {', '.join(unknown)}; the official models are: {official}{more}")
        with _quiet_log(options["verbosity"]), _leaving_on_sigterm():
            failed = self._bring_all(names, options["provider"])
        if failed:
            raise CommandError(f"{len(failed)} of {len(names)} models are not here: {', '.join(failed)}")

    def _bring_all(self, names: list[str], provider: str) -> list[str]:
        """Download the models and return the names of those that are missing at the end."""
        failed = []
        for number, name in enumerate(names, start=1):
            if self._bring(name, provider):
                continue
            failed.append(name)
            left = [name for name in names[number:] if not self._is_here(name)]
            if left and Model.objects.get(name=name).error.endswith(OFFLINE_ADVICE):
                self.stderr.write(f"Not tried, since no source can be reached: {', '.join(left)}")
                return [*failed, *left]
        return failed

    def _is_here(self, name: str) -> bool:
        return weights.is_available(Model.objects.get(name=name))

    def _bring(self, name: str, provider: str) -> bool:
        """Download one model. Return True if it is there at the end."""
        model = Model.objects.get(name=name)
        if model.state == State.READY and not weights.is_available(model):
            weights.report_damage(model)
        elif model.state == State.READY:
            self.stdout.write(f"{name}: already here")
            return True
        author = f", by {model.author}" if model.author else ""
        self.stdout.write(f"{name}: {byte_size(model.size_bytes)}, licence: {named(model.licence)}{author}")
        with tqdm(total=model.size_bytes, unit="B", unit_scale=True, desc=name, file=self.stderr) as bar:
            try:
                claim = Model.objects.claim(runner.worker_name(), name=name, provider=provider)
                if claim is not None:
                    runner.work_on(claim, on_progress=lambda here: _show(bar, here))
                else:
                    self._follow(name, bar)
            except KeyboardInterrupt:
                Model.objects.cancel(name)  # else a worker would go on with the download that the user just stopped
                raise
        return self._tell(Model.objects.get(name=name))

    def _follow(self, name: str, bar: "tqdm[Any]") -> None:
        """Show the progress of another process's download until it ends."""
        while (model := Model.objects.get(name=name)).state in PENDING:
            _show(bar, model.received_bytes)
            time.sleep(POLL_SECONDS)
        _show(bar, model.received_bytes)

    def _tell(self, model: Model) -> bool:
        if model.state == State.READY:
            self.stdout.write(self.style.SUCCESS(f"{model.name}: verified, from {model.source}"))
            if model.notes:
                self.stdout.write(f"  {model.notes}")
            return True
        self.stderr.write(self.style.ERROR(f"{model.name}: {model.error or 'the download was cancelled'}"))
        return False


@contextmanager
def _quiet_log(verbosity: int) -> Iterator[None]:
    """Silence log lines that the command prints itself, once and in order; ``-v 2`` shows them as well."""
    log = logging.getLogger("modelstore")
    before = log.level
    if verbosity < 2:
        log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


@contextmanager
def _leaving_on_sigterm() -> Iterator[None]:
    """Release the row on SIGTERM; dying at once would count as a lost worker."""

    def leave(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    if threading.current_thread() is not threading.main_thread():  # called by other code, which handles signals
        yield
        return
    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _show(bar: "tqdm[Any]", here: int) -> None:
    """Print the progress, which can go back when a source's bytes turn out to be wrong."""
    bar.update(here - bar.n)
