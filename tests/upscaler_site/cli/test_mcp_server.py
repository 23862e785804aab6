"""``upscaler mcp`` as an assistant's program uses it: mcp's own client, over stdio, against a real service."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.service import REPOSITORY, Service
from tests.tiny_models import TINY_MODEL
from tests.upscaler_site.cli.test_main import COMMAND, environment, picture, upscaler

mcp = pytest.importorskip("mcp", reason="the extra upscaler[mcp] is not installed")
pytestmark = pytest.mark.processes

Call = Callable[..., Awaitable[Any]]


def with_tools(service: Service, root: Path, use: Callable[[Any, Call], Awaitable[None]]) -> None:
    """Run ``use`` with a session and a function that calls a tool and returns its answer, or its refusal as text."""

    async def run() -> None:
        parameters = mcp.StdioServerParameters(
            command=sys.executable,
            args=["-m", "upscaler_site.cli.main", "mcp", "--root", str(root), "--server", service.base_url],
            env=environment(root.parent / "data"), cwd=str(REPOSITORY),
        )  # fmt: skip
        async with mcp.Client(parameters) as client:

            async def call(tool: str, **words: Any) -> Any:
                answer = await client.call_tool(tool, words)
                if answer.is_error:
                    return answer.content[0].text
                structured = answer.structured_content
                return structured.get("result", structured) if structured else json.loads(answer.content[0].text)

            await use(client, call)

    asyncio.run(asyncio.wait_for(run(), 240))


def test_an_assistant_upscales_a_picture_and_looks_at_models(service: Service, tmp_path: Path) -> None:
    root = tmp_path / "pictures"
    picture(root / "in.png")

    async def use(client: Any, call: Call) -> None:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        assert tools == {"upscale", "status", "save_result", "cancel", "models"}
        models = {model["name"]: model for model in await call("models")}
        assert (models[TINY_MODEL]["available"], models[TINY_MODEL]["scale"]) == (True, 2)
        made = await call("upscale", path="in.png", output="larger/out.webp", model=TINY_MODEL)
        assert (made["status"], made["width"], made["output"]) == ("completed", 40, str(root / "larger" / "out.webp"))
        with Image.open(made["output"]) as image:
            assert (image.format, image.size) == ("WEBP", (40, 24))

    with_tools(service, root, use)


def test_a_job_is_left_alone_looked_at_saved_and_cancelled(service: Service, tmp_path: Path) -> None:
    root = tmp_path / "pictures"
    picture(root / "in.png")

    async def use(client: Any, call: Call) -> None:
        job = await call("upscale", path=str(root / "in.png"), model=TINY_MODEL, wait=False)
        while (await call("status", job_id=job["job_id"]))["status"] != "completed":  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        assert "which the name out.webp does not say" in await call(
            "save_result", job_id=job["job_id"], output="out.webp"
        )
        saved = await call("save_result", job_id=job["job_id"], output="out.png")
        with Image.open(saved["output"]) as image:
            assert image.size == (40, 24)
        assert "job_state" in await call("cancel", job_id=job["job_id"])

    with_tools(service, root, use)


def test_files_outside_of_the_root_are_out_of_reach(service: Service, tmp_path: Path) -> None:
    root = tmp_path / "pictures"
    picture(root / "in.png")
    secret = picture(tmp_path / "secret.png")
    (root / "link.png").symlink_to(secret)
    (root / "way").symlink_to(tmp_path)

    async def use(client: Any, call: Call) -> None:
        for path in ("../secret.png", str(secret), "link.png", "way/secret.png"):
            assert "is outside of" in await call("upscale", path=path, output="out.png", model=TINY_MODEL), path
        for output in ("../out.png", str(tmp_path / "out.png"), "way/out.png"):
            assert "is outside of" in await call("upscale", path="in.png", output=output, model=TINY_MODEL), output
        assert "exists" in await call("upscale", path="in.png", output="in.png", model=TINY_MODEL)
        assert "cannot be written" in await call("upscale", path="in.png", output="out.exe", model=TINY_MODEL)
        assert "output is missing" in await call("upscale", path="in.png", model=TINY_MODEL)
        assert "model_not_found" in await call("upscale", path="in.png", output="out.png", model="nobody")
        assert "No such file" in await call("upscale", path="gone.png", output="out.png", model=TINY_MODEL)

    with_tools(service, root, use)
    assert {path.name for path in tmp_path.iterdir()} <= {"pictures", "secret.png", "data"}
    assert {path.name for path in root.iterdir()} == {"in.png", "link.png", "way"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it(tmp_path: Path, number: signal.Signals) -> None:
    process = subprocess.Popen(
        [*COMMAND, "mcp", "--root", str(tmp_path)], cwd=REPOSITORY, env=environment(tmp_path / "data"),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write('{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')
        process.stdin.flush()
        assert process.stdout.readline()
        process.send_signal(number)
        assert process.wait(240) == 128 + number
    finally:
        process.kill()
        _, complained = process.communicate()
    assert "Traceback" not in complained


def test_it_wants_a_root(tmp_path: Path) -> None:
    assert upscaler(tmp_path, "mcp").returncode == 2
    gone = upscaler(tmp_path, "mcp", "--root", tmp_path / "gone")
    assert (gone.returncode, "No such file" in gone.stderr) == (2, True)
    file = upscaler(tmp_path, "mcp", "--root", picture(tmp_path / "in.png"))
    assert (file.returncode, "no directory" in file.stderr) == (2, True)
