"""``upscaler serve``: the whole service in the foreground."""

import argparse

from upscaler_site.cli import words

_PARTS = ("web", "gpu", "io")
_EXAMPLES = """\
examples:
  upscaler serve
  PORT=8001 UPSCALER_DATA_DIR=/srv/upscaler upscaler serve
  LISTEN_ADDRESS=0.0.0.0 REQUIRE_API_KEY=1 upscaler serve

An administrator is made by `upscaler manage createsuperuser`.

"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the service's one option. It is told by settings what to do: docs/configuration.md."""
    parser.add_argument(
        "--only", choices=_PARTS, help="one part: the web server, the inference clusters, the io cluster"
    )
    parser.epilog = _EXAMPLES + words.EXIT_CODES
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from upscaler_site import serve  # noqa: PLC0415 - Django

    return serve.main(["--only", options.only] if options.only else [])
