"""A restorer before the enlarger on the page: offered where one is ready, one job, remembered."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.test_page import card, home, picture
from tests.chromium import serious_findings, visitor
from tests.service import Service
from tests.tiny_models import TINY_MODEL, write_tiny_weights

__all__ = ["home"]


@pytest.fixture
def restorer(service: Service, tmp_path: Path) -> Iterator[str]:
    """A model that keeps the size; gone after the test."""
    service.import_model(write_tiny_weights(tmp_path / "clean.safetensors", scale=1, seed=3), "1x-clean")
    yield "1x-clean"
    assert httpx.delete(f"{service.base_url}/api/v1/models/1x-clean").status_code == 204


def test_without_a_restorer_there_is_nothing_to_choose(home: Page) -> None:
    home.select_option("#model", TINY_MODEL)
    expect(home.locator("[data-restorer-field]")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_picture_is_restored_and_then_enlarged_as_one_job(
    browser: Browser, service: Service, restorer: str, tmp_path: Path, scheme: str
) -> None:
    """On a telephone's screen, by keyboard."""
    context = visitor(
        browser,
        color_scheme=scheme,
        viewport={"width": 390, "height": 844},
        bypass_csp=True,  # for axe alone
    )
    page = context.new_page()
    page.goto(service.base_url)
    page.select_option("#model", TINY_MODEL)
    field = page.get_by_label("First restore with")
    expect(field).to_be_visible()
    assert field.locator("option").all_text_contents() == ["Nothing", restorer]
    field.focus()
    page.keyboard.press("ArrowDown")
    expect(field).to_have_value(restorer)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
    assert serious_findings(page) == []
    page.set_input_files("#files", picture(tmp_path / f"noisy-{scheme}.png"))
    done = card(page, f"noisy-{scheme}.png")
    expect(done).to_have_attribute("data-state", "completed")
    expect(done.locator("[data-facts]")).to_contain_text("64 × 48 → 128 × 96")
    expect(done.locator("[data-facts]")).to_contain_text(f"{restorer}+{TINY_MODEL}")
    newest = httpx.get(f"{service.base_url}/api/v1/jobs", params={"limit": 1}).json()["jobs"][0]
    assert newest["model"] == f"{restorer}+{TINY_MODEL}"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
    context.close()


def test_the_restorer_of_the_last_visit_is_there_again(page: Page, service: Service, restorer: str) -> None:
    page.goto(service.base_url)
    page.select_option("#model", TINY_MODEL)
    page.select_option("#restorer", restorer)
    page.reload()
    expect(page.locator("#restorer")).to_have_value(restorer)
    page.select_option("#restorer", "")
    page.reload()
    expect(page.locator("#restorer option")).to_have_count(2)
    expect(page.locator("#restorer")).to_have_value("")


def test_before_a_restorer_none_is_offered(page: Page, service: Service, restorer: str, tmp_path: Path) -> None:
    """What was chosen before another model comes back with it, and is not sent meanwhile."""
    page.goto(service.base_url)
    page.select_option("#model", TINY_MODEL)
    page.select_option("#restorer", restorer)
    page.select_option("#model", restorer)
    expect(page.locator("[data-restorer-field]")).to_be_hidden()
    page.set_input_files("#files", picture(tmp_path / "alone.png"))
    expect(card(page, "alone.png")).to_have_attribute("data-state", "completed")
    newest = httpx.get(f"{service.base_url}/api/v1/jobs", params={"limit": 1}).json()["jobs"][0]
    assert newest["model"] == restorer
    page.select_option("#model", TINY_MODEL)
    expect(page.locator("#restorer")).to_have_value(restorer)
