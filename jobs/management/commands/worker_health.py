"""``manage.py worker_health gpu``: 0 while this host has a living worker of that cluster; for container probes."""

import socket
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from jobs.errors import one_line
from jobs.models.worker import Worker


class Command(BaseCommand):
    help = "Say which workers of one cluster live on this host; the exit code is 1 when there is none."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("cluster", choices=["gpu", "io"])

    def handle(self, *_args: Any, **options: Any) -> None:
        host = socket.gethostname()
        workers = Worker.objects.computing() if options["cluster"] == "gpu" else Worker.objects.alive()
        try:
            alive = list(workers.filter(cluster=options["cluster"], host=host))
        except DatabaseError as error:
            raise CommandError(f"the database does not tell: {one_line(error)}") from error
        if not alive:
            raise CommandError(f"no living worker of cluster {options['cluster']} on {host}")
        for worker in alive:
            self.stdout.write(f"{worker.id} {worker.device_name or 'no device'}, {worker.jobs_done} done")
