"""`manage.py queue`: tells how the queues are, pauses them for maintenance, and lets them go on."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from jobs.models import Job, Worker
from jobs.queue import pauses
from jobs.states import Status


class Command(BaseCommand):
    help = (
        "Pauses the workers of every host, or lets them go on. What runs is finished, what comes is accepted and "
        "waits. "
        "gpu: pictures; io: downloads, webhooks and clean-up."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("do", nargs="?", choices=["status", "pause", "resume"], default="status")
        parser.add_argument("kind", nargs="?", choices=[*pauses.KINDS, "all"], default="gpu", help="default: gpu")
        parser.add_argument("--reason", default="", help="why, for callers and colleagues; 200 characters at most")

    def handle(self, *_args: Any, **options: Any) -> None:
        if len(options["reason"]) > pauses.LONGEST_REASON:
            raise CommandError(
                f"--reason has {len(options['reason'])} characters; {pauses.LONGEST_REASON} at most", returncode=2
            )
        kinds = list(pauses.KINDS) if options["kind"] == "all" or options["do"] == "status" else [options["kind"]]
        for kind in kinds:
            if options["do"] == "pause":
                pauses.pause(kind, reason=options["reason"])
            elif options["do"] == "resume":
                pauses.resume(kind)
        paused = pauses.on()
        for kind in kinds:
            pause = paused.get(kind)
            workers = Worker.objects.alive().filter(cluster=kind).count()
            state = f"paused since {pause.since:%Y-%m-%d %H:%M} UTC" if pause else "working"
            if pause and (pause.reason or pause.by):
                state += f" ({': '.join(filter(None, (pause.by, pause.reason)))})"
            self.stdout.write(f"{kind:4} {state}; {workers} workers, for {pauses.KINDS[kind]}")
        waiting, running = (Job.objects.filter(status=status).count() for status in (Status.QUEUED, Status.PROCESSING))
        self.stdout.write(f"{waiting} jobs wait, {running} run")
