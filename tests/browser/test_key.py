"""The page of a server that asks for keys."""

import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_page import card, picture
from tests.service import Service
from tests.tiny_models import TINY_MODEL


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, tiny_weights: Path):  # type: ignore[no-untyped-def]  # a generator
    """A service with keys, and one key that may upscale."""
    running = Service(tmp_path_factory.mktemp("guarded") / "data", {"REQUIRE_API_KEY": "1"})
    try:
        running.start()
        running.import_model(tiny_weights, TINY_MODEL)
        key = running.manage("create_api_key", "someone", "--quiet").stdout.strip()
        yield running, key
        running.stop()
    finally:
        running.kill()


def test_a_key_is_asked_for_once_and_refused_with_words(page: Page, guarded: tuple[Service, str]) -> None:
    service, key = guarded
    page.goto(service.base_url)
    expect(page.get_by_label("This server asks for an API key")).to_be_focused()
    # Nothing was tried yet, so nothing was refused, and nothing else can be done.
    expect(page.locator(".problem:visible")).to_have_count(0)
    expect(page.get_by_text("credentials")).to_have_count(0)
    expect(page.locator("#desk")).to_be_hidden()
    assert page.troubles == []  # type: ignore[attr-defined]  # the page fixture's own list

    page.get_by_label("This server asks for an API key").fill("ups_wrong_key")
    page.get_by_role("button", name="Use this key").click()
    expect(page.locator("#key-problem")).to_have_text("The API key is unknown, expired or revoked")
    expect(page.locator("#desk")).to_be_hidden()
    page.troubles.clear()  # type: ignore[attr-defined]  # the browser logs every 4xx answer as an error

    page.get_by_label("This server asks for an API key").fill(key)
    page.get_by_role("button", name="Use this key").click()
    expect(page.locator("#desk")).to_be_visible()
    expect(page.locator("#key-form")).to_be_hidden()
    page.reload()
    expect(page.locator("#desk")).to_be_visible()

    page.get_by_role("button", name="Forget it").click()
    expect(page.get_by_label("This server asks for an API key")).to_be_visible()
    assert page.evaluate("localStorage.getItem('upscaler.key')") is None


def test_an_archive_is_saved_by_the_browser_itself(page: Page, guarded: tuple[Service, str], tmp_path: Path) -> None:
    service, key = guarded
    page.goto(service.base_url)
    page.get_by_label("This server asks for an API key").fill(key)
    page.get_by_role("button", name="Use this key").click()
    page.select_option("#model", TINY_MODEL)
    names = ["one.png", "two.png"]
    page.set_input_files("#files", [picture(tmp_path / name) for name in names])
    for name in names:
        expect(card(page, name)).to_have_attribute("data-state", "completed")
    with page.expect_download() as caught:
        page.get_by_role("button", name="Download all (ZIP)").click()
    # No blob, which would be the whole archive in the page's memory; no key in an address, which ends in histories.
    assert caught.value.url.startswith(f"{service.base_url}/api/v1/jobs/archive?ids=")
    assert key not in caught.value.url
    assert caught.value.suggested_filename == "upscaled.zip"
    with zipfile.ZipFile(caught.value.path()) as archive:
        assert len(archive.namelist()) == 2


def test_a_picture_in_tiles_is_shown_to_whoever_has_the_key(
    page: Page, guarded: tuple[Service, str], tmp_path: Path
) -> None:
    service, key = guarded
    page.goto(service.base_url)
    page.get_by_label("This server asks for an API key").fill(key)
    page.get_by_role("button", name="Use this key").click()
    page.select_option("#model", TINY_MODEL)
    page.set_input_files("#files", picture(tmp_path / "scan.tif"))
    expect(card(page, "scan.tif")).to_have_attribute("data-state", "completed")
    card(page, "scan.tif").get_by_role("button", name="Compare").click()
    for side in ("before", "after"):
        expect(page.locator(f".ba-{side}")).to_have_attribute("data-state", "full")
