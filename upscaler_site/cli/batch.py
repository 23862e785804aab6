"""All pictures of one call: counted, told line by line or in JSON, under one progress bar."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

from jobs.cli.inputs import GatheringError, Item
from jobs.cli.plans import Made, Plan, Planner
from jobs.engine.errors import EngineError
from upscaler_site.cli import words


class Hopeless(Exception):
    """The call cannot go on: every further picture would fail likewise."""


class Batch:
    """Counts and tells; whoever upscales calls it for each picture. A context manager, which closes the bar."""

    def __init__(self, given: dict[str, Any], planner: Planner, *, to_stdout: bool) -> None:
        self.given = given
        self.planner = planner
        self.to_stdout = to_stdout
        self.count = {"done": 0, "kept": 0, "failed": 0}
        self.items = 0
        self._begun = 0
        self._targets: set[Path] = set()
        # None: no bar where stderr is no terminal. Pixels, not pictures: the time left is then right for mixed sizes.
        quiet = True if given["quiet"] else None
        self._bar = tqdm(total=0, unit="px", unit_scale=True, disable=quiet, file=sys.stderr, dynamic_ncols=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def add(self, item: Item) -> Plan | None:
        """Take one more picture; return its plan, or None where it failed already."""
        self.items += 1
        try:
            plan = self.planner.plan(item)
            if plan.target in self._targets and not self.given["watch"]:
                raise GatheringError(
                    f"its result {plan.target} would replace that of another picture; tell them apart: "
                    "--name '{stem}_{model}_x{scale}_{ext}'"
                )
        except (EngineError, GatheringError, OSError) as error:
            self.failed(item, error)
            return None
        self._targets.add(plan.target)
        self._bar.total = (self._bar.total or 0) + plan.header.pixels
        return plan

    def keeps(self, item: Item, plan: Plan) -> bool:
        """Return whether the result is there already, and is kept."""
        self._begun += 1
        self._bar.set_description(f"{self._begun} of {self.items}")
        if not plan.target.exists() or self.planner.overwrite:
            return False
        self.count["kept"] += 1
        self._bar.total = (self._bar.total or 0) - plan.header.pixels
        self._tell(item, "kept", {"result": str(plan.target)}, f"{item.label}: kept {plan.target}")
        return True

    @contextmanager
    def share(self, plan: Plan) -> Iterator[Callable[[float], None]]:
        """Give a function that moves the bar by a picture's fraction, 0 to 1; at the end it is moved by all of it."""
        moved = 0

        def to(fraction: float) -> None:
            nonlocal moved
            step = int(plan.header.pixels * fraction) - moved
            if step > 0:
                moved += step
                self._bar.update(step)

        try:
            yield to
        finally:
            to(1.0)

    def done(self, item: Item, plan: Plan, made: Made) -> None:
        """Tell of a result. Raises BrokenPipeError: nobody reads stdout any more."""
        if self.to_stdout:
            with plan.target.open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)
        self.count["done"] += 1
        verbosity = 2 if self.given["verbose"] else 1
        facts = {
            "result": str(plan.target), "width": made.size[0], "height": made.size[1],
            "seconds": round(made.seconds, 3), "device": made.device, "precision": made.precision,
            "notes": list(made.notes),
        }  # fmt: skip
        self._tell(item, "done", facts, f"{item.label} → {plan.target}: {made.told(verbosity)}")

    def failed(self, item: Item, error: Exception) -> None:
        """Tell of a picture that cannot be upscaled; the others go on."""
        self.count["failed"] += 1
        if self.given["json"]:
            self._tell(item, "failed", {"error": str(error)}, "")
        self._above_the_bar(f"{item.label}: {error}", sys.stderr)

    def sum_up(self) -> int:
        """Tell the totals; return the exit code."""
        if self.given["json"]:
            words.say(json.dumps(self.count))
        elif not self.to_stdout and not self.given["quiet"] and (self.items > 1 or self.count["kept"]):
            hint = " (--overwrite replaces them)" if self.count["kept"] else ""
            done, kept, failed = self.count.values()
            words.say(f"{done} upscaled, {kept} kept{hint}, {failed} failed")
        return 1 if self.count["failed"] else 0

    def _tell(self, item: Item, status: str, facts: dict[str, Any], text: str) -> None:
        if self.given["json"]:
            source = "-" if self.given.get("stdin") else str(item.source)  # its file is ours, and goes with the call
            line = json.dumps({"input": source, "status": status, **facts}, ensure_ascii=False)
            self._above_the_bar(line, sys.stdout)
        elif not self.given["quiet"] and not self.to_stdout:
            self._above_the_bar(text, sys.stdout)

    def _above_the_bar(self, text: str, file: Any) -> None:
        # A file's name may hold bytes that are no text: that must not end the call.
        tqdm.write(words.pasteable(text).encode("utf-8", "replace").decode(), file=file)
        file.flush()
