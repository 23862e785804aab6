"""The page in the languages that it speaks: as a visitor's browser asks for, and fit for a phone."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.test_page import picture
from tests.chromium import PATIENCE, serious_findings
from tests.service import Service
from tests.tiny_models import TINY_MODEL

Visit = Callable[..., Page]
LANGUAGES = {"de-DE": "de", "fr-FR": "fr", "es-ES": "es", "ja-JP": "ja", "zh-CN": "zh-hans", "en-GB": "en"}


@pytest.fixture
def visit(browser: Browser, service: Service) -> Iterator[Visit]:
    """Open the page as a browser of that language does; the test fails when a script breaks."""
    contexts: list[BrowserContext] = []
    troubles: list[str] = []

    def opened(locale: str, width: int = 1280) -> Page:
        context = browser.new_context(viewport={"width": width, "height": 900}, locale=locale)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.goto(service.base_url)
        expect(page.locator("#model option", has_text=TINY_MODEL)).to_have_count(1)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not troubles


@pytest.mark.parametrize(
    ("locale", "start", "done", "download"),
    [("de-DE", "1 Bild starten", "Fertig", "Herunterladen"), ("ja-JP", "1 枚の画像を開始", "完了", "ダウンロード")],
)
def test_a_picture_is_upscaled_in_the_visitors_language(
    visit: Visit, tmp_path: Path, locale: str, start: str, done: str, download: str
) -> None:
    page = visit(locale)
    page.select_option("#model", TINY_MODEL)
    page.set_input_files("#files", picture(tmp_path / "meadow.png"))
    page.get_by_role("button", name=start).click()
    card = page.locator(".card", has_text="meadow.png")
    expect(card).to_have_attribute("data-state", "completed")
    expect(card.locator("[data-stage]")).to_have_text(done)
    expect(card.get_by_role("button", name=download)).to_be_visible()
    assert serious_findings(page) == []


@pytest.mark.parametrize(("locale", "language"), LANGUAGES.items())
def test_the_page_says_its_language_and_fits_a_phone(visit: Visit, locale: str, language: str) -> None:
    page = visit(locale, width=390)
    expect(page.locator("html")).to_have_attribute("lang", language)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    # A label that is longer than its button is cut off, or hangs over its neighbour.
    over = page.evaluate(
        "[...document.querySelectorAll('button, select, summary, label')].filter(each => each.checkVisibility() && "
        "each.scrollWidth > each.clientWidth + 1 && getComputedStyle(each).display !== 'inline' && "
        "each.tagName !== 'SELECT').map(each => each.textContent.trim())"
    )
    assert over == []


def test_a_refusal_is_in_the_visitors_language(visit: Visit, tmp_path: Path) -> None:
    page = visit("fr-FR")
    page.select_option("#model", TINY_MODEL)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"this is no picture")
    page.set_input_files("#files", broken)
    expect(page.locator(".card", has_text="broken.png").locator("[data-error]")).to_contain_text("un format lu ici")
