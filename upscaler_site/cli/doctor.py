"""``upscaler doctor``: examines the installation and says what to do."""

import argparse

from upscaler_site.cli import manage, words


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the arguments of the service's own command."""
    manage.borrow(parser, "doctor")
    parser.epilog = "example:\n  upscaler doctor --prove\n\n" + words.EXIT_CODES
