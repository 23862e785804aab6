"""`manage.py cleanup_jobs`: removes ended jobs that are older than their time, and files that belong to no job."""

from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from audit.commands import RecordedCommand
from jobs.storage import retention


class Command(RecordedCommand):
    help = (
        "Removes ended jobs with their pictures, and orphaned files older than an hour. Running jobs are never touched."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--hours",
            type=float,
            default=None,
            help=f"remove jobs that ended more than so many hours ago (RESULT_TTL_HOURS: {settings.RESULT_TTL_HOURS})",
        )
        parser.add_argument("--dry-run", action="store_true", help="only say what would be removed")

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            report = retention.cleanup(options["hours"], dry_run=options["dry_run"])
        except ValueError as error:
            raise CommandError(str(error)) from error
        done = "would be removed" if options["dry_run"] else "removed"
        self.stdout.write(
            f"{report.jobs} jobs with {report.files} files and {report.orphans} orphaned files {done}, "
            f"{report.bytes / 1e6:.1f} MB"
        )
        if report.complaint:
            raise CommandError(report.complaint)
