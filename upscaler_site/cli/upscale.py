"""``upscaler upscale``: pictures and whole directories, by this process itself."""

import argparse

from upscaler_site.cli import manage, words

_EXAMPLES = """\
examples:
  upscaler upscale photos/ -o larger/ --model bundled-compact-x4
  upscaler upscale old.jpg -o new.png --outscale 2

"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the arguments of the service's own command."""
    manage.borrow(parser, "upscale")
    parser.epilog = _EXAMPLES + words.EXIT_CODES
