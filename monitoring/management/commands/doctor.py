"""``manage.py doctor``: examines the installation and says what to do; the exit code is 1 where pictures fail."""

import json
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from monitoring.doctor import prove
from monitoring.doctor.examination import AREAS, examine
from monitoring.doctor.finding import Area, Finding, Level

_MARKS = {Level.FINE: "ok     ", Level.NOTE: "note   ", Level.WARNING: "warning", Level.FAULT: "FAULT  "}


def _pictures(text: str) -> int:
    number = int(text)
    if number < prove.FEWEST:
        raise ArgumentTypeError(f"{prove.FEWEST} or more: processes are killed while they are upscaled")
    return number


class Command(BaseCommand):
    help = (
        "Examines settings, database, store, models, workers, devices and the way through the proxy, and says for each "
        "finding what to do. The exit code is 1 where there is a fault: pictures fail, or wait for ever. "
        "Changes nothing."
    )
    requires_system_checks: list[str] = []  # they are a part of the examination

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
        parser.add_argument("--no-devices", action="store_true", help="do not compute on this host's devices")
        parser.add_argument(
            "--prove", action="store_true",
            help="also start a second service with a database and a directory of its own for some minutes, kill its "
            "workers while it upscales, erase a key's data, and print the figures; the running service takes no part",
        )  # fmt: skip
        parser.add_argument(
            "--pictures",
            type=_pictures,
            default=None,
            metavar="N",
            help=f"of --prove, {prove.FEWEST} or more (default: {prove.PICTURES})",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        if options["pictures"] and not options["prove"]:
            raise CommandError("--pictures says how many --prove upscales; give --prove as well", returncode=2)
        areas = [*AREAS]
        if not options["no_devices"]:
            from monitoring.doctor import devices  # noqa: PLC0415 - numpy, and torch where it is there

            areas.insert(-1, Area(devices.AREA, devices.examine))
        if options["prove"]:
            areas.append(Area(prove.AREA, lambda: prove.examine(options["pictures"] or prove.PICTURES)))
        tell: Callable[[Finding], None] = (lambda _: None) if options["json"] else self._tell
        findings = []
        for finding in examine(areas):
            findings.append(finding)
            tell(finding)
        faults, warnings = (sum(one.level == level for one in findings) for level in (Level.FAULT, Level.WARNING))
        if options["json"]:
            shown = [asdict(one) | {"level": one.level.name.lower()} for one in findings]
            self.stdout.write(json.dumps({"faults": faults, "warnings": warnings, "findings": shown}, indent=2))
        counted = f"{warnings} warning{'s' * (warnings != 1)}"
        if faults:
            raise CommandError(f"{faults} fault{'s' * (faults > 1)}, {counted}")
        if not options["json"]:
            self.stdout.write(f"No faults, {counted}")

    def _tell(self, finding: Finding) -> None:
        style = {Level.FAULT: self.style.ERROR, Level.WARNING: self.style.WARNING}.get(finding.level, str)
        self.stdout.write(style(f"{_MARKS[finding.level]}  {finding.area:9} {finding.told}"))
        if finding.advice:
            self.stdout.write(f"{'':20}→ {finding.advice}")
        self.stdout.flush()
