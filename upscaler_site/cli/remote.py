"""``upscaler upscale --server``: the same pictures, plans and words, computed by a running service."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

from django.conf import settings

from jobs import chains
from jobs.cli import arrivals
from jobs.cli.inputs import GatheringError, Item
from jobs.cli.plans import Made, Plan, Planner
from jobs.engine.types import Limits
from jobs.errors import ChainRefused
from upscaler_client import AsyncClient, Client, Model, Options, Refused, Result, Unreachable, UpscalerError
from upscaler_site.cli import loops, words
from upscaler_site.cli.batch import Batch, Hopeless

#: Pictures that are under way at once: one is sent and one is fetched while others are computed.
IN_FLIGHT = 4
#: Seconds for one picture, waiting behind the pictures of others included.
_PATIENCE = 7 * 86_400.0
#: The options of a picture that the service takes under the same names.
_SAME = (
    "outscale", "longest_side", "width", "height", "tile_size", "tile_pad", "quality", "denoise_strength",
    "max_device_seconds",
)  # fmt: skip

#: One picture with its plan; None where it failed already.
Entry = tuple[Item, Plan | None]


class Service:
    """The service of one call, asked for its models at once.

    :raises Hopeless: it cannot be reached, does not let us in, or cannot do what is asked for.
    """

    def __init__(self, given: dict[str, Any]) -> None:
        self._server = str(given["server"])
        for name, usual in (("device", settings.DEVICE), ("backend", settings.ENGINE_BACKEND)):
            if given[name] != usual:
                raise Hopeless(f"--{name} is decided by the service; leave it out with --server")
        self._key = _key_of(given)
        try:
            with Client(self._server, api_key=self._key) as client:
                known = {model.name: model for model in client.models()}
        except UpscalerError as error:
            hint = "; give an API key by --api-key-file or UPSCALER_API_KEY" if error.status == 401 else ""
            raise Hopeless(f"{self._server}: {error.detail.rstrip('.')}{hint}") from None
        members = self._members(str(given["model"]), known)
        limits = members[0].limits
        sizes = ("outscale", "longest_side", "width", "height")
        if not all(member.scale for member in members) and all(given[name] is None for name in sizes):
            raise Hopeless(f"{self._server} does not know the scale of {given['model']} yet: give --outscale")
        try:
            self.planner = Planner(
                given,
                model=str(given["model"]),
                scales=[member.scale or 1 for member in members],
                limits=Limits(
                    max_input_pixels=limits["max_input_pixels"],
                    max_output_pixels=limits["max_output_pixels"],
                    max_side=limits["max_side"],
                    max_frames=settings.MAX_FRAMES,
                ),
                strip="none",
            )
        except (GatheringError, KeyError) as error:
            raise Hopeless(str(error)) from None
        self._options = _options(given)

    def _members(self, text: str, known: dict[str, Model]) -> list[Model]:
        try:
            names = chains.parse(text)
        except ChainRefused as error:
            raise Hopeless(str(error)) from None
        for name in names:
            if name not in known:
                hint = words.suggestion(name, known) or f" It has {', '.join(sorted(known))}"
                raise Hopeless(f"Model not found: {name}. {self._server} does not know it.{hint}")
            if not known[name].available:
                raise Hopeless(f"Model not ready: {name}. Its file is not at {self._server}; download it there")
        return [known[name] for name in names]

    def upscale(self, batch: Batch, items: list[Item] | None) -> None:
        """Upscale the pictures, or those that come where ``items`` is None. An interrupt cancels what is under way."""
        loops.run(self._all(batch, _entries(batch, items)))

    async def _all(self, batch: Batch, entries: AsyncIterator[Entry]) -> None:
        places = asyncio.Semaphore(IN_FLIGHT)
        async with AsyncClient(self._server, api_key=self._key, retries=6) as client:
            try:
                async with asyncio.TaskGroup() as group:
                    async for item, plan in entries:
                        if plan is None or batch.keeps(item, plan):
                            continue
                        await places.acquire()
                        task = group.create_task(self._one(client, batch, item, plan))
                        task.add_done_callback(lambda _: places.release())
            except* Hopeless as group_error:
                raise group_error.exceptions[0] from None

    async def _one(self, client: AsyncClient, batch: Batch, item: Item, plan: Plan) -> None:
        options = self._options
        if options.get("format") is None:
            options = cast("Options", {**options, "format": plan.format})
        with batch.share(plan) as move:
            try:
                plan.target.parent.mkdir(parents=True, exist_ok=True)
                result = await client.upscale(
                    item.source,
                    plan.target,
                    on_progress=lambda job: move(0.99 * job.fraction),
                    timeout=_PATIENCE,
                    **options,
                )
                batch.done(item, plan, _made(plan, result))
            except Unreachable as error:
                raise Hopeless(f"{self._server}: {error}") from None
            except Refused as error:
                if error.status in (401, 403):
                    raise Hopeless(f"{self._server}: {error}") from None
                batch.failed(item, error)
            except BrokenPipeError:
                raise
            except (UpscalerError, OSError) as error:
                batch.failed(item, error)


async def _entries(batch: Batch, items: list[Item] | None) -> AsyncIterator[Entry]:
    if items is None:
        async for item in arrivals.awaited(batch.given["watch"], batch.given["output"]):
            yield item, batch.add(item)
    else:
        entries = []
        for item in items:
            entries.append((item, batch.add(item)))
            await asyncio.sleep(0)  # Ctrl-C is heard between two looks into files
        for entry in entries:
            yield entry


def _options(given: dict[str, Any]) -> Options:
    """Return the options as the API names them; what was left out is left to the service."""
    options = {name: given[name] for name in _SAME} | {"model": given["model"], "format": given["format"]}
    options["lossless"] = given["lossless"] or None
    words_of_strip = {"none": False, "location": "location", "all": True}
    options["strip_metadata"] = words_of_strip[given["strip_metadata"]] if given["strip_metadata"] else None
    if given["precision"] not in ("auto", settings.PRECISION):
        options["precision"] = given["precision"]
    return cast("Options", {name: value for name, value in options.items() if value is not None})


def _key_of(given: dict[str, Any]) -> str | None:
    path: Path | None = given["api_key_file"]
    if path is None:
        return os.environ.get("UPSCALER_API_KEY") or None
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Hopeless(f"--api-key-file {path} cannot be read: {error}") from None


def _made(plan: Plan, result: Result) -> Made:
    job = result.job
    report = job.raw.get("report") or {}
    return Made(
        plan.header,
        (job.result_width or 0, job.result_height or 0),
        job.processing_time_seconds or 0.0,
        str(report.get("device", "")),
        str(report.get("precision", "")),
        tuple(report.get("notes", ())),
        f"\n  job: {job.job_id}\n  backend: {report.get('choice') or report.get('backend', '')}",
    )
