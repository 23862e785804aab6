"""A restorer of another family on the page: imported by the API, chosen, told apart, and used."""

from pathlib import Path

import httpx
import pytest
import torch
from playwright.sync_api import Page, expect

from benchmarks.family_seeds import seeded
from modelstore.networks.families import registry
from tests.browser.test_page import card, picture
from tests.service import Service


@pytest.mark.skipif(not registry.available(), reason="spandrel is not installed; `make families` does it")
def test_a_restorer_keeps_the_size_and_says_so(page: Page, service: Service, tmp_path: Path) -> None:
    path = tmp_path / "1x-clean.pth"
    torch.save(seeded("DnCNN"), path)
    with path.open("rb") as file:
        answer = httpx.post(f"{service.base_url}/api/v1/models", files={"file": file}, timeout=300)
    assert answer.status_code == 201, answer.text
    page.goto(service.base_url)
    expect(page.locator("#model option", has_text="1x-clean")).to_have_count(1)
    page.select_option("#model", "1x-clean")
    expect(page.locator("[data-model-about]")).to_have_text("Restoration at the same size (imported) · seam-free")
    assert page.locator("#outscale option").first.text_content() == "The same size"
    page.set_input_files("#files", picture(tmp_path / "noisy.png"))
    noisy = card(page, "noisy.png")
    expect(noisy).to_have_attribute("data-state", "completed")
    expect(noisy.locator("[data-facts]")).to_contain_text("64 × 48 → 64 × 48")
    assert httpx.delete(f"{service.base_url}/api/v1/models/1x-clean").status_code == 204
