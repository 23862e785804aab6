"""A model of the operator's own catalogue on the page: its licence first, then the download, then a picture."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Browser, Page, expect

from benchmarks.family_seeds import seeded
from modelstore.networks.families import registry
from tests.browser.test_page import card, picture
from tests.chromium import serious_findings, visitor
from tests.modelstore.catalogs.listing import entry, written
from tests.modelstore.liar import Liar
from tests.service import Service

NAME = "2x-listed-span"
pytestmark = pytest.mark.skipif(not registry.available(), reason="spandrel is not installed; `make families` does it")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose models.toml lists a SPAN for text and a network of scale 1, neither of them downloaded."""
    directory = tmp_path_factory.mktemp("shop")
    data = directory / "data"
    data.mkdir()
    torch.save(seeded("SPAN"), directory / "span.pth")
    span = (directory / "span.pth").read_bytes()
    with Liar() as liar:
        listed = entry(
            name=NAME,
            sources=[liar.put("/span.pth", span)],
            size=len(span),
            sha256=hashlib.sha256(span).hexdigest(),
            licence="CC-BY-NC-4.0",
            use="text",
            homepage="https://openmodeldb.info/models/2x-listed-span",
            example="https://openmodeldb.info/examples/span.png",
            description="2x for letters",
        )
        (data / "models.toml").write_bytes(written(listed, entry(name="1x-listed", use="restore")))
        service = Service(data, {"MODEL_ALLOW_PRIVATE": "1"})
        try:
            service.start()
            yield service
            service.stop()
        finally:
            service.kill()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_beside_the_licence(browser: Browser, shop: Service, scheme: str) -> None:
    context = visitor(
        browser,
        color_scheme=scheme,
        viewport={"width": 390, "height": 844},
        bypass_csp=True,  # axe injects itself as an inline script, which our policy rightly refuses
    )
    page = context.new_page()
    page.goto(shop.base_url)
    expect(page.locator("#model option", has_text="1x-listed")).to_have_count(1)
    page.select_option("#model", "1x-listed")
    expect(page.locator("[data-model-licence]")).to_be_visible()
    assert serious_findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
    context.close()


def test_a_listed_model_shows_its_licence_is_downloaded_and_upscales(page: Page, shop: Service, tmp_path: Path) -> None:
    page.goto(shop.base_url)
    expect(page.locator("#model option", has_text=NAME)).to_have_count(1)
    groups = page.locator("#model optgroup")
    labels = groups.evaluate_all("all => all.map((group) => group.label)")
    assert labels == [
        "Photos",
        "Photos, not downloaded yet",
        "Illustrations, not downloaded yet",
        "Text, not downloaded yet",
        "Restoration, not downloaded yet",
    ]
    page.select_option("#model", NAME)
    licence = page.locator("[data-model-licence]")
    expect(licence).to_have_text("Licence: CC-BY-NC-4.0 Non-commercial · by Somebody · About it · Example")
    expect(licence.get_by_role("link", name="About it")).to_have_attribute(
        "href", "https://openmodeldb.info/models/2x-listed-span"
    )
    assert page.locator("#outscale option").first.text_content() == "The model's own"
    page.locator("[data-model-download]").click()
    expect(page.locator("[data-model-offer]")).to_be_hidden(timeout=240_000)
    expect(page.locator("[data-model-about]")).to_have_text("2x for letters · seam-free · Non-commercial")
    assert groups.evaluate_all("all => all.map((group) => group.label)") == [
        "Photos", "Text", "Photos, not downloaded yet", "Illustrations, not downloaded yet",
        "Restoration, not downloaded yet",
    ]  # fmt: skip
    assert page.locator("#outscale option").first.text_content() == "2× (the model's own)"
    page.set_input_files("#files", picture(tmp_path / "letters.png"))
    letters = card(page, "letters.png")
    expect(letters).to_have_attribute("data-state", "completed")
    expect(letters.locator("[data-facts]")).to_contain_text("64 × 48 → 128 × 96")
