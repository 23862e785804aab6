"""Pictures upscaled by this process itself, without the service."""

import contextlib
import os
import time
from dataclasses import replace
from typing import Any

from django.conf import settings

from jobs import chains
from jobs.cli import inputs
from jobs.cli.plans import Made, Plan, Planner
from jobs.cli.weights import Chosen, choose_chain
from jobs.engine.codec import decode, encode
from jobs.engine.errors import FormatUnsupported
from jobs.engine.types import OnTile, Report, Runtime
from jobs.options import engine_limits


class Run:
    """Weights, networks and options of one call, for all its pictures.

    :raises GatheringError, ChainRefused, ModelStoreError, NetworkError: the model or the options cannot be used so.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        from jobs.engine.backends.network_cache import NetworkPool  # noqa: PLC0415 - torch: `manage.py help` lists commands without it
        from jobs.engine.upscaler import Upscaler  # noqa: PLC0415 - as above

        chosen = choose_chain(options["model"], options["denoise_strength"])
        self.weights = [member.weights for member in chosen]
        self.planner = Planner(
            options,
            model=chains.SEPARATOR.join(member.weights.name for member in chosen),
            scales=_scales(chosen),
            limits=engine_limits(),
            strip=settings.STRIP_METADATA_DEFAULT,
        )
        runtime = Runtime(options["device"], options["precision"], options["backend"], settings.MEASUREMENTS_DIR)
        self.upscaler = Upscaler(NetworkPool(runtime, settings.MODEL_MEMORY_MB * 1_000_000))

    def upscale(self, item: inputs.Item, plan: Plan, on_tile: OnTile) -> Made:
        """Do it, and return what came of it. A result is there whole or not at all."""
        started, planner, target = time.perf_counter(), self.planner, plan.target
        picture = decode(item.source, planner.limits)
        result, report = self.upscaler.upscale(picture, self.weights, plan.asked, on_tile)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        provenance = f"{planner.model} {report.scale:g}x, Real-ESRGAN upscaler {settings.UPSCALER_VERSION}"
        try:
            written = encode(result, part, replace(planner.encoding, provenance=provenance))
            if planner.to_file and written.format != inputs.format_of(target):
                raise FormatUnsupported(f"the result is {written.format}, which {target.name} does not say")
            part.replace(target)
        finally:
            with contextlib.suppress(FileNotFoundError):
                part.unlink()
        seconds = time.perf_counter() - started
        size, told = (result.width, result.height), (*report.notes, *written.notes)
        return Made(plan.header, size, seconds, report.device, report.precision, told, _in_detail(report))


def _scales(chosen: tuple[Chosen, ...]) -> list[int]:
    from modelstore.networks.checkpoint import inspect  # noqa: PLC0415 - torch, as above

    return [member.scale or inspect(member.weights.path).scale for member in chosen]


def _in_detail(report: Report) -> str:
    """Return the engine's account in lines of their own, as ``-v 2`` prints it."""
    seconds = ", ".join(f"{span} {value:.2f} s" for span, value in report.seconds.items())
    tiles = f"{report.tiles} of {report.tile_size} px" if report.tile_size else "none, the picture is computed whole"
    backend = report.choice or f"{report.backend} {report.precision}"
    members = "".join(
        f"\n  {member.model}: {member.scale}×, {member.backend} {member.precision}, {member.tiles} tiles, "
        f"{member.seconds['infer']:.2f} s"
        for member in report.members
    )
    return f"\n  device: {report.device_name}\n  backend: {backend}\n  tiles: {tiles}\n  time: {seconds}{members}"
