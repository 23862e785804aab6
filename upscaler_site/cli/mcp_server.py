"""``upscaler mcp``: a running service as tools of the Model Context Protocol, for assistants, on stdin and stdout."""

import argparse
import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from upscaler_site.cli import loops, words
from upscaler_site.conf.version import VERSION

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

    from upscaler_client import AsyncClient, Job, Options

_LOCAL = "http://127.0.0.1:8000"
_HOW = """\
The assistant reads pictures below the directories of --root, and writes results
there and nowhere else; a file that exists is replaced only where it says so.
Tools: upscale, status, save_result, cancel, models.

examples:
  upscaler mcp --root ~/Pictures
  upscaler mcp --root /srv/scans --server http://upscaler.example.org --api-key-file key.txt

configuration:
  {"mcpServers": {"upscaler": {"command": "upscaler", "args": ["mcp", "--root", "/home/me/Pictures"]}}}

"""
_INSTRUCTIONS = (
    "Makes pictures two, four or up to sixteen times larger by neural networks. Ask `models` which there are. "
    "Large pictures take minutes: give wait=false, look with `status`, then `save_result`."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the directories and the service."""
    parser.add_argument(
        "--root", type=Path, action="append", required=True, metavar="DIR",
        help="directory of pictures and results; may be repeated, and paths are relative to the first",
    )  # fmt: skip
    parser.add_argument("--server", default=_LOCAL, metavar="URL", help="the running service (default: %(default)s)")
    parser.add_argument("--api-key-file", type=Path, metavar="FILE", help="the service's API key (or UPSCALER_API_KEY)")
    parser.epilog = _HOW + words.EXIT_CODES
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    try:
        import mcp  # noqa: F401, PLC0415 - an extra, which need not be there
    except ImportError:
        words.complain("Error: The package mcp is missing: pip install 'upscaler[mcp]'")
        return 1
    from upscaler_client import AsyncClient  # noqa: PLC0415 - for this alone

    try:
        roots = [root.expanduser().resolve(strict=True) for root in options.root]
        key = options.api_key_file.read_text(encoding="utf-8").strip() if options.api_key_file else None
    except OSError as error:
        words.complain(f"Error: {error.filename}: {error.strerror}")
        return 2
    files = [root for root in roots if not root.is_dir()]
    if files:
        words.complain(f"Error: --root {files[0]}: this is no directory")
        return 2
    client = AsyncClient(options.server, api_key=key or os.environ.get("UPSCALER_API_KEY") or None)
    loops.run(_server(Tools(client, roots)).run_stdio_async(), first=_stdin_that_can_end())
    return 0


def _stdin_that_can_end() -> Callable[[], None]:
    """Put a pipe in the place of stdin and return what ends it: no thread that waits for stdin can be stopped."""
    source = os.dup(0)
    reading, writing = os.pipe()
    os.dup2(reading, 0)
    os.close(reading)
    pipe = os.fdopen(writing, "wb", buffering=0)

    def pump() -> None:
        with suppress(OSError, ValueError), pipe:  # it was ended
            while piece := os.read(source, 65_536):
                pipe.write(piece)

    threading.Thread(target=pump, daemon=True).start()
    return pipe.close


def _server(tools: "Tools") -> "MCPServer[Any]":
    from mcp.server.mcpserver import Context, MCPServer  # noqa: PLC0415 - an extra

    server: MCPServer[Any] = MCPServer("upscaler", version=VERSION, instructions=_INSTRUCTIONS, log_level="WARNING")

    @server.tool()
    async def upscale(
        context: Context[Any],
        path: str,
        output: str | None = None,
        model: str | None = None,
        outscale: float | None = None,
        longest_side: int | None = None,
        max_device_seconds: float | None = None,
        overwrite: bool = False,
        wait: bool = True,
    ) -> dict[str, Any]:
        """Make a picture larger.

        path: the picture. output: the file to write, such as photo_x4.png; its ending is the format (png, jpg, webp,
        avif, tif, jxl); required unless wait is false. outscale: 1 to 16, or longest_side: pixels of the result;
        neither: the model's own scale. max_device_seconds: refuse the picture if it would take longer. wait:
        false returns the job_id at once.
        """

        async def tell(job: "Job") -> None:
            await context.report_progress(job.fraction, 1.0, job.status)

        options = {
            "model": model, "outscale": outscale, "longest_side": longest_side,
            "max_device_seconds": max_device_seconds,
        }  # fmt: skip
        return await tools.upscale(path, output, options, overwrite=overwrite, wait=wait, tell=tell)

    server.tool()(tools.status)
    server.tool()(tools.save_result)
    server.tool()(tools.cancel)
    server.tool()(tools.models)
    return server


class Tools:
    """The tools, bound to a service and to directories."""

    def __init__(self, client: "AsyncClient", roots: list[Path]) -> None:
        self._client = client
        self._roots = roots

    async def upscale(
        self, path: str, output: str | None, options: dict[str, Any], *, overwrite: bool, wait: bool, tell: Any
    ) -> dict[str, Any]:
        """Upscale a picture below a root; ``tell`` is awaited with the job at each news."""
        source = self._within(path)
        given: Options = {name: value for name, value in options.items() if value is not None}  # type: ignore[assignment]  # the tool's parameters have the options' names
        with _said():
            if not wait:
                return _facts(await self._client.job((await self._client.submit(source, **given)).job_id))
            target, given["format"] = self._target(output, overwrite=overwrite)
            telling: set[asyncio.Task[None]] = set()

            def on_progress(job: "Job") -> None:
                task = asyncio.ensure_future(tell(job))
                telling.add(task)
                task.add_done_callback(telling.discard)

            made = await self._client.upscale(source, target, on_progress=on_progress, **given)
            return _facts(made.job) | {"output": str(target)}

    async def status(self, job_id: str) -> dict[str, Any]:
        """Tell how far a job is: its status, the fraction that is done, and the seconds that are left."""
        with _said():
            return _facts(await self._client.job(job_id))

    async def save_result(self, job_id: str, output: str, overwrite: bool = False) -> dict[str, Any]:
        """Write the result of a completed job into a file; its ending must be the result's format."""
        with _said():
            target, wanted = self._target(output, overwrite=overwrite)
            job = await self._client.job(job_id)
            if job.result_format not in (None, wanted):
                raise _problem(f"The result is {job.result_format}, which the name {target.name} does not say")
            made = await self._client.result(job_id, target)
            return _facts(made.job) | {"output": str(target)}

    async def cancel(self, job_id: str) -> dict[str, Any]:
        """Cancel a job: a waiting one at once, a running one after its present tile."""
        with _said():
            return _facts(await self._client.cancel(job_id))

    async def models(self) -> list[dict[str, Any]]:
        """List the models that the service knows; a job may name those that are available."""
        with _said():
            return [
                {"name": model.name, "scale": model.scale, "use": model.use, "available": model.available,
                 "description": model.description, "licence": model.licence}
                for model in await self._client.models()
            ]  # fmt: skip

    def _within(self, text: str) -> Path:
        """Return the path, links followed, if it lies below a root."""
        path = (self._roots[0] / Path(text).expanduser()).resolve()
        if not any(path.is_relative_to(root) for root in self._roots):
            raise _problem(f"{text} is outside of {', '.join(map(str, self._roots))}")
        return path

    def _target(self, output: str | None, *, overwrite: bool) -> tuple[Path, Any]:
        if not output:
            raise _problem("output is missing: the file to write, such as photo_x4.png")
        target = self._within(output)
        written = _FORMATS.get(target.suffix.lower())
        if written is None:
            raise _problem(f"{target.suffix or target.name} cannot be written: choose one of {', '.join(_FORMATS)}")
        if target.exists() and not overwrite:
            raise _problem(f"{output} exists; choose another name, or say overwrite=true")
        target.parent.mkdir(parents=True, exist_ok=True)
        return target, written


_FORMATS = {
    ".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp", ".avif": "avif", ".tif": "tiff", ".tiff": "tiff",
    ".jxl": "jxl",
}  # fmt: skip


def _facts(job: "Job") -> dict[str, Any]:
    told = {
        "job_id": job.job_id, "status": job.status, "model": job.model, "fraction": job.fraction,
        "eta_seconds": job.eta_seconds, "error": job.error, "width": job.result_width, "height": job.result_height,
        "format": job.result_format,
    }  # fmt: skip
    return {name: value for name, value in told.items() if value is not None}


def _problem(text: str) -> Exception:
    from mcp.server.mcpserver.exceptions import ToolError  # noqa: PLC0415 - an extra

    return ToolError(text)


@contextmanager
def _said() -> Iterator[None]:
    """Hand errors of the service and of files to the assistant in their own words."""
    from upscaler_client import UpscalerError  # noqa: PLC0415 - late, as main.py says

    try:
        yield
    except UpscalerError as error:
        raise _problem(f"{error} ({error.code})") from None
    except OSError as error:
        raise _problem(f"{error.filename}: {error.strerror}") from None
