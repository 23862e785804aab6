"""``upscaler cleanup``: the clean-up of old jobs, now."""

import argparse

from upscaler_site.cli import manage, words


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the arguments of the service's own command."""
    manage.borrow(parser, "cleanup_jobs")
    parser.epilog = "example:\n  upscaler cleanup --hours 6 --dry-run\n\n" + words.EXIT_CODES
