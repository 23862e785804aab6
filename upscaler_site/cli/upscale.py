"""``upscaler upscale``: pictures and whole directories, by this process itself, with one progress over all."""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from upscaler_site.cli import manage, words

if TYPE_CHECKING:
    from jobs.cli.inputs import Item
    from jobs.engine.types import Header
    from jobs.management.commands.upscale import Made, Run

_EXAMPLES = """\
examples:
  upscaler upscale photos/ -o larger/ --model bundled-compact-x4
  upscaler upscale photos/ -o larger/ --name '{stem}_{scale}x.{ext}'
  upscaler upscale old.jpg -o new.png --outscale 2 --model weights.pth
  curl https://example.org/a.jpg | upscaler upscale - -o - -f png > a.png
  upscaler upscale photos/ -o larger/ --json | jq -r .result

A directory is taken with everything below it, and its tree is kept. A result
that exists is kept, too (--overwrite replaces it). A picture that fails is
reported and the others go on. - is stdin as the only INPUT, stdout as OUT.

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
    parser.add_argument("--json", action="store_true", help="one JSON object per picture on stdout, for programs")
    loud = parser.add_mutually_exclusive_group()
    loud.add_argument("-v", "--verbose", action="store_true", help="tell what computed each picture, and why")
    loud.add_argument("-q", "--quiet", action="store_true", help="tell failures only, without progress")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    given = vars(options) | {"verbosity": 2 if options.verbose else 1}
    given["name"] = given["name"].removesuffix(".{ext}")  # every result has its format's suffix
    to_stdout = options.output == _STDIN
    if _STDIN in options.inputs and len(options.inputs) > 1:
        return _misused("- (stdin) must be the only INPUT")
    if to_stdout and options.json:
        return _misused("--json and -o - would both write to stdout")
    with manage.database("upscale"), ExitStack() as stack:
        from django.core.management import CommandError  # noqa: PLC0415 - late, as main.py says

        if options.inputs == [_STDIN] or to_stdout:
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="upscaler-")))
            _through_files(given, scratch)
        try:
            return _Batch(given, to_stdout=to_stdout).run()
        except CommandError as error:
            words.complain(f"Error: {error}")
            return error.returncode


def _misused(why: str) -> int:
    words.complain(f"Error: {why}")
    return 2


def _through_files(given: dict[str, Any], scratch: Path) -> None:
    """Let files in ``scratch`` stand for stdin and stdout."""
    if given["inputs"] == [_STDIN]:
        source = scratch / "stdin"
        with source.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        given["inputs"] = [source]
    if given["output"] == _STDIN:
        given["output"] = scratch / "results"


class _Batch:
    """All pictures of one call."""

    def __init__(self, given: dict[str, Any], *, to_stdout: bool) -> None:
        self.given = given
        self.to_stdout = to_stdout
        self.count = {"done": 0, "kept": 0, "failed": 0}
        self.targets: set[Path] = set()

    def run(self) -> int:
        """Upscale them all; return the exit code.

        :raises CommandError: nothing can be done as it was asked for.
        """
        from django.core.management import CommandError  # noqa: PLC0415 - late, as main.py says
        from tqdm import tqdm  # noqa: PLC0415 - as above

        from jobs.engine.errors import DeviceUnavailable, WeightsRejected  # noqa: PLC0415 - as above

        items, run = self._prepared()
        if self.to_stdout and len(items) > 1:
            raise CommandError("-o - takes one picture only")
        planned = [(item, self._planned(run, item)) for item in items]
        total = sum(plan[0].pixels for _, plan in planned if plan)
        # None: no bar where stderr is no terminal. Pixels, not pictures: the time left is then right for mixed sizes.
        quiet = True if self.given["quiet"] else None
        with tqdm(total=total, unit="px", unit_scale=True, disable=quiet, file=sys.stderr, dynamic_ncols=True) as bar:
            for number, (item, plan) in enumerate(planned, start=1):
                bar.set_description(f"{number} of {len(items)}")
                if plan is not None:
                    try:
                        self._one(run, item, plan, bar)
                    except (WeightsRejected, DeviceUnavailable) as error:  # the next picture would fail likewise
                        raise CommandError(str(error)) from None
        self._sum_up(len(items))
        return 1 if self.count["failed"] else 0

    def _prepared(self) -> "tuple[list[Item], Run]":
        from django.core.management import CommandError  # noqa: PLC0415 - late, as main.py says

        from jobs.management.commands.upscale import Command  # noqa: PLC0415 - as above

        try:
            return Command().prepared(self.given)
        except CommandError as error:
            raise CommandError(f"{error}{self._near()}") from None

    def _near(self) -> str:
        """Return a suggestion where the model is known nowhere."""
        from django.db import DatabaseError  # noqa: PLC0415 - late, as main.py says

        from modelstore import catalog  # noqa: PLC0415 - as above
        from modelstore.models import Model  # noqa: PLC0415 - as above

        known = [catalog.BUNDLED_NAME, *catalog.OFFICIAL]
        with suppress(DatabaseError):  # it was never made: only the catalogue's are known
            known += Model.objects.listed().values_list("name", flat=True)
        model = self.given["model"]
        return "" if model in known or Path(model).suffix else words.suggestion(model, known)

    def _planned(self, run: "Run", item: "Item") -> "tuple[Header, Path] | None":
        from jobs.cli.inputs import GatheringError  # noqa: PLC0415 - late, as main.py says
        from jobs.engine.errors import EngineError  # noqa: PLC0415 - as above

        try:
            header, target = run.plan(item)
            if target in self.targets:
                raise GatheringError(
                    f"its result {target} would replace that of another picture; tell them apart: "
                    "--name '{stem}_{model}_x{scale}_{ext}'"
                )
        except (EngineError, GatheringError, OSError) as error:
            self._failed(item, error)
            return None
        self.targets.add(target)
        return header, target

    def _one(self, run: "Run", item: "Item", plan: "tuple[Header, Path]", bar: Any) -> None:
        from jobs.engine.errors import DeviceUnavailable, EngineError, WeightsRejected  # noqa: PLC0415 - as main.py says

        header, target = plan
        before = bar.n
        if target.exists() and not run.overwrite:
            self.count["kept"] += 1
            bar.total -= header.pixels
            self._tell(item, "kept", {"result": str(target)}, f"{item.label}: kept {target}")
            return
        try:
            made = run.upscale(item, header, target, _moves(bar, before, header.pixels))
            if self.to_stdout:
                with target.open("rb") as file:
                    shutil.copyfileobj(file, sys.stdout.buffer)
        except (WeightsRejected, DeviceUnavailable):
            raise
        except BrokenPipeError:
            raise
        except (EngineError, OSError) as error:
            self._failed(item, error)
            return
        finally:
            bar.update(before + header.pixels - bar.n if bar.total >= before + header.pixels else 0)
        self.count["done"] += 1
        self._tell(item, "done", _facts(made, target), f"{item.label} → {target}: {made.told(run.verbosity)}")

    def _failed(self, item: "Item", error: Exception) -> None:
        self.count["failed"] += 1
        if self.given["json"]:
            self._tell(item, "failed", {"error": str(error)}, "")
        self._above_the_bar(f"{item.label}: {error}", sys.stderr)

    def _tell(self, item: "Item", status: str, facts: dict[str, Any], text: str) -> None:
        if self.given["json"]:
            line = json.dumps({"input": str(item.source), "status": status, **facts}, ensure_ascii=False)
            self._above_the_bar(line, sys.stdout)
        elif not self.given["quiet"] and not self.to_stdout:
            self._above_the_bar(text, sys.stdout)

    def _above_the_bar(self, text: str, file: Any) -> None:
        from tqdm import tqdm  # noqa: PLC0415 - late, as main.py says

        tqdm.write(words.pasteable(text), file=file)
        file.flush()

    def _sum_up(self, items: int) -> None:
        if self.given["json"]:
            words.say(json.dumps(self.count))
        elif not self.to_stdout and not self.given["quiet"] and (items > 1 or self.count["kept"]):
            kept = " (--overwrite replaces them)" if self.count["kept"] else ""
            done, kept_, failed = self.count.values()
            words.say(f"{done} upscaled, {kept_} kept{kept}, {failed} failed")


def _facts(made: "Made", target: Path) -> dict[str, Any]:
    return {
        "result": str(target), "width": made.size[0], "height": made.size[1], "seconds": round(made.seconds, 3),
        "device": made.report.device, "precision": made.report.precision, "notes": list(made.notes),
    }  # fmt: skip


def _moves(bar: Any, before: int, pixels: int) -> Callable[[int, int], None]:
    """Return a callback that moves the bar by a picture's tiles; the end of the file's writing moves it to the end."""

    def on_tile(done: int, total: int) -> None:
        bar.update(before + int(0.99 * pixels * done / total) - bar.n)

    return on_tile
