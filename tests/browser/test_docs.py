"""The API's documentation as a newcomer uses it: "Try it out" and "Execute", nothing filled in, on a fresh install."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.chromium import visitor
from tests.service import Service

#: Operations that cannot succeed untouched, and why.
EXCUSED = {
    "models_import": "needs a weights file, which nobody can draw",
    "models_delete": "on a fresh install there is nothing that may be deleted",
    "models_download": "needs the internet; that it begins is another test's",
}


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A service as it is after the first start."""
    running = Service(tmp_path_factory.mktemp("fresh") / "data")
    try:
        running.start()
        yield running
        running.stop()
    finally:
        running.kill()


@pytest.fixture(scope="module")
def schema(fresh: Service) -> dict[str, Any]:
    """The description as it is served."""
    found: dict[str, Any] = httpx.get(f"{fresh.base_url}/api/schema", timeout=120).json()
    return found


def test_every_operation_succeeds_as_it_stands(browser: Browser, fresh: Service, schema: dict[str, Any]) -> None:
    context = visitor(browser)
    page = context.new_page()
    elsewhere: list[str] = []
    page.on("request", lambda request: elsewhere.append(request.url) if not _ours(request.url, fresh) else None)
    page.goto(f"{fresh.base_url}/api/docs")
    names = {found["operationId"] for item in schema["paths"].values() for found in item.values()}
    assert len(names) > 25
    bad: dict[str, str] = {}
    for name in sorted(names - EXCUSED.keys()):
        block = page.locator(f"[id$='-{name}'].opblock")
        expect(block).to_have_count(1)
        block.locator(".opblock-summary-control").first.click()
        block.get_by_role("button", name="Try it out").click()
        block.get_by_role("button", name="Execute").click()
        status = block.locator(".live-responses-table .response-col_status").last
        expect(status).to_have_text(re.compile(r"\d{3}|Undocumented"))
        if not re.match("2", status.text_content() or ""):
            bad[name] = block.locator(".live-responses-table").inner_text()[:300]
        curl = block.locator(".curl-command code").inner_text()
        assert fresh.base_url in curl, f"{name}: {curl}"
        block.locator(".opblock-summary-control").first.click()
    assert bad == {}
    assert elsewhere == []
    context.close()


def _ours(url: str, service: Service) -> bool:
    return url.startswith((service.base_url, "data:", "blob:"))


def test_redoc_asks_no_foreign_host_and_breaks_nothing(page: Page, fresh: Service) -> None:
    elsewhere: list[str] = []
    page.on("request", lambda request: elsewhere.append(request.url) if not _ours(request.url, fresh) else None)
    page.goto(f"{fresh.base_url}/api/redoc")
    expect(page.get_by_role("heading", name="Quick start")).to_be_visible()
    assert elsewhere == []


@pytest.mark.parametrize(("language", "command"), [("sh", ["sh"]), ("python", [sys.executable]), ("js", ["node"])])
def test_the_quick_start_runs_as_it_stands(
    schema: dict[str, Any], fresh: Service, tmp_path: Path, language: str, command: list[str]
) -> None:
    code = re.search(rf"```{language}\n(.*?)```", schema["info"]["description"], re.DOTALL)
    assert code is not None
    assert fresh.base_url in code[1]
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]} on this machine: apt-get install nodejs")
    script = tmp_path / ("start.mjs" if language == "js" else "start")
    script.write_text(code[1])
    Image.new("RGB", (24, 18), "teal").save(tmp_path / "input.jpg")
    subprocess.run([*command, str(script)], cwd=tmp_path, check=True, timeout=300)
    with Image.open(tmp_path / "output.jpg") as result:
        assert result.size == (96, 72)


def test_the_description_is_sent_compressed(fresh: Service) -> None:
    answer = httpx.get(f"{fresh.base_url}/api/schema", headers={"Accept-Encoding": "gzip"}, timeout=240)
    assert answer.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in answer.headers["Vary"]
    assert answer.num_bytes_downloaded < len(answer.content) / 5


def test_a_description_names_the_host_that_was_asked(fresh: Service) -> None:
    for host in ("upscaler.example", "other.example:8443"):
        text = httpx.get(f"{fresh.base_url}/api/schema", headers={"Host": host}, timeout=240).text
        assert f"http://{host}/api/v1/upscale" in text
        assert "localhost:8000" not in text
