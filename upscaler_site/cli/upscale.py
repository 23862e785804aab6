"""``upscaler upscale``: pictures and whole directories, by this process itself or by a running service."""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from upscaler_site.cli import manage, words

if TYPE_CHECKING:
    from jobs.cli.inputs import Item
    from jobs.cli.plans import Plan
    from jobs.cli.run import Run
    from upscaler_site.cli.batch import Batch

_EXAMPLES = """\
examples:
  upscaler upscale photos/ -o larger/ --model bundled-compact-x4
  upscaler upscale photos/ -o larger/ --name '{stem}_{scale}x.{ext}'
  upscaler upscale old.jpg -o new.png --outscale 2 --model weights.pth
  curl https://example.org/a.jpg | upscaler upscale - -o - -f png > a.png
  upscaler upscale photos/ -o larger/ --json | jq -r .result
  upscaler upscale photos/ -o larger/ --server http://upscaler.example.org
  upscaler upscale --watch scans/ -o larger/

A directory is taken with everything below it, and its tree is kept. A result
that exists is kept, too (--overwrite replaces it). A picture that fails is
reported and the others go on. - is stdin as the only INPUT, stdout as OUT.

--server has a running service compute: its models, limits and options apply,
and --device, --backend and weights files are not for it. The key stands in
the file of --api-key-file or in UPSCALER_API_KEY. Ctrl-C cancels the jobs.

--watch takes each picture that comes into a directory, those that are there
first, as soon as it is whole, until Ctrl-C.

--json prints one object per picture: "input", "status" (done, kept, failed),
then "result", "width", "height", "seconds", "device", "precision", "notes", or
"error"; and at the end {"done": …, "kept": …, "failed": …}.

"""
_STDIN = Path("-")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the arguments of the service's own command, and those of this one."""
    manage.borrow(parser, "upscale")
    parser.description = "Make pictures larger."
    parser.epilog = _EXAMPLES + words.EXIT_CODES
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to change an argument that is there
        if action.dest == "inputs":
            action.nargs, action.required = "*", False  # --watch stands for them
    parser.add_argument("--watch", type=Path, metavar="DIR", help="take what comes into this directory, until Ctrl-C")
    parser.add_argument("--server", metavar="URL", help="let this running service compute")
    parser.add_argument("--api-key-file", type=Path, metavar="FILE", help="the service's API key (or UPSCALER_API_KEY)")
    parser.add_argument(
        "--max-device-seconds", type=_seconds, metavar="S",
        help="with --server: refuse pictures that would keep its device for longer",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="one JSON object per picture on stdout, for programs")
    loud = parser.add_mutually_exclusive_group()
    loud.add_argument("-v", "--verbose", action="store_true", help="tell what computed each picture, and why")
    loud.add_argument("-q", "--quiet", action="store_true", help="tell failures only, without progress")
    parser.set_defaults(run=_run)


def _seconds(text: str) -> float:
    """Return a number of seconds from 0, as argparse wants it."""
    seconds = float(text)
    if not 0 <= seconds <= 1e9:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds from 0")
    return seconds


def _run(options: argparse.Namespace) -> int:
    given = vars(options) | {"verbosity": 2 if options.verbose else 1}
    given["name"] = given["name"].removesuffix(".{ext}")  # every result has its format's suffix
    wrong = _misuse(options)
    if wrong:
        words.complain(f"Error: {wrong}")
        return 2
    to_stdout = options.output == _STDIN
    with ExitStack() as stack:
        if options.inputs == [_STDIN] or to_stdout:
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="upscaler-")))
            _through_files(given, scratch)
        if options.watch is not None:
            given["inputs"] = [options.watch]
        return _by_server(given, to_stdout) if options.server else _by_itself(given, to_stdout)


def _misuse(options: argparse.Namespace) -> str | None:
    """Return why the words make no sense together."""
    to_stdout, watch = options.output == _STDIN, options.watch
    if bool(options.inputs) == (watch is not None):
        return "Give either INPUT or --watch DIR"
    if _STDIN in options.inputs and len(options.inputs) > 1:
        return "- (stdin) must be the only INPUT"
    if to_stdout and options.json:
        return "--json and -o - would both write to stdout"
    if options.api_key_file and not options.server:
        return "--api-key-file is for --server"
    if options.max_device_seconds is not None and not options.server:
        return "--max-device-seconds is for --server"
    if options.server and not options.server.lower().startswith(("http://", "https://")):
        return f"--server {options.server}: an address begins with http:// or https://"
    ways = [options.outscale, options.longest_side, options.width or options.height]
    if sum(way is not None for way in ways) > 1:
        return "Give --outscale, or --longest-side, or --width and --height: not several of them"
    if watch is not None:
        if not watch.is_dir():
            return f"--watch {watch}: there is no such directory"
        if to_stdout or watch.resolve().is_relative_to(options.output.resolve()):
            return "--watch wants results in another directory, such as one within DIR: they must not be taken again"
    return None


def _through_files(given: dict[str, Any], scratch: Path) -> None:
    """Let files in ``scratch`` stand for stdin and stdout."""
    if given["inputs"] == [_STDIN]:
        source = scratch / "stdin"
        with source.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        given["inputs"], given["stdin"] = [source], True
    if given["output"] == _STDIN:
        given["output"] = scratch / "results"


def _by_server(given: dict[str, Any], to_stdout: bool) -> int:
    from upscaler_site.cli import remote  # noqa: PLC0415 - late, as main.py says
    from upscaler_site.cli.batch import Batch, Hopeless  # noqa: PLC0415 - as above

    try:
        service = remote.Service(given)
        with Batch(given, service.planner, to_stdout=to_stdout) as batch:
            service.upscale(batch, _gathered(given, to_stdout))
        return batch.sum_up()
    except Hopeless as error:
        words.complain(f"Error: {error}")
        return 1


def _by_itself(given: dict[str, Any], to_stdout: bool) -> int:
    with manage.database("upscale"):
        from jobs.cli import arrivals  # noqa: PLC0415 - late, as main.py says
        from jobs.cli.inputs import GatheringError  # noqa: PLC0415 - as above
        from jobs.cli.run import Run  # noqa: PLC0415 - as above
        from jobs.errors import ChainRefused  # noqa: PLC0415 - as above
        from modelstore.errors import ModelStoreError  # noqa: PLC0415 - as above
        from modelstore.networks.errors import NetworkError  # noqa: PLC0415 - as above
        from upscaler_site.cli.batch import Batch, Hopeless  # noqa: PLC0415 - as above

        try:
            items = _gathered(given, to_stdout)
            run = Run(given)
            with Batch(given, run.planner, to_stdout=to_stdout) as batch:
                _all(batch, run, arrivals.watched(given["watch"], given["output"]) if items is None else items)
            return batch.sum_up()
        except (ChainRefused, GatheringError, Hopeless, ModelStoreError, NetworkError) as error:
            words.complain(f"Error: {error}")
        return 1


def _gathered(given: dict[str, Any], to_stdout: bool) -> "list[Item] | None":
    """Return the pictures, or None where they come as they come."""
    from jobs.cli import inputs  # noqa: PLC0415 - late, as main.py says
    from upscaler_site.cli.batch import Hopeless  # noqa: PLC0415 - as above

    if given["watch"] is not None:
        return None
    try:
        items = inputs.gather(given["inputs"], given["output"])
    except inputs.GatheringError as error:
        raise Hopeless(str(error)) from None
    if to_stdout and len(items) > 1:
        raise Hopeless("-o - takes one picture only")
    return items


def _all(batch: "Batch", run: "Run", items: "Iterable[Item]") -> None:
    """Upscale them, one after the other; where all are known, the total is known first."""
    from jobs.engine.errors import DeviceUnavailable, EngineError, WeightsRejected  # noqa: PLC0415 - as main.py says
    from upscaler_site.cli.batch import Hopeless  # noqa: PLC0415 - as above

    entries: Iterable[tuple[Item, Plan | None]] = ((item, batch.add(item)) for item in items)
    for item, plan in entries if batch.given["watch"] else list(entries):
        if plan is None or batch.keeps(item, plan):
            continue
        with batch.share(plan) as move:
            try:
                made = run.upscale(item, plan, _moves(move))
                batch.done(item, plan, made)
            except (WeightsRejected, DeviceUnavailable) as error:  # the next picture would fail likewise
                raise Hopeless(str(error)) from None
            except BrokenPipeError:
                raise
            except (EngineError, OSError) as error:
                batch.failed(item, error)


def _moves(move: Callable[[float], None]) -> Callable[[int, int], None]:
    """Return a callback of a picture's tiles; the end of the file's writing is the last hundredth."""
    return lambda done, total: move(0.99 * done / total)
