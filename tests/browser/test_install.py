"""A phone or a desktop installs the page: Chromium itself says whether it can."""

import httpx
from playwright.sync_api import Page, expect

from tests.service import Service


def test_the_browser_finds_nothing_that_keeps_it_from_installing_the_page(page: Page, service: Service) -> None:
    page.goto(service.base_url)
    expect(page.locator("#model option").first).to_be_attached()
    devtools = page.context.new_cdp_session(page)
    manifest = devtools.send("Page.getAppManifest")
    assert manifest["errors"] == []
    assert manifest["url"] == f"{service.base_url}/manifest.webmanifest"
    errors = {error["errorId"] for error in devtools.send("Page.getInstallabilityErrors")["installabilityErrors"]}
    assert errors <= {"in-incognito"}  # a test's context is one; a visitor's window is not


def test_its_icons_are_there_in_the_sizes_it_names(page: Page, service: Service) -> None:
    page.goto(service.base_url)
    icons = httpx.get(f"{service.base_url}/manifest.webmanifest").json()["icons"]
    sizes = page.evaluate(
        """icons => Promise.all(icons.map(async ({src}) => {
            const image = Object.assign(new Image(), {src});
            await image.decode();
            return `${image.naturalWidth}x${image.naturalHeight}`;
        }))""",
        icons,
    )
    assert [size for size, icon in zip(sizes, icons, strict=True) if icon["sizes"] != "any"] == [
        "192x192", "512x512", "512x512",
    ]  # fmt: skip
    assert (
        httpx.get(f"{service.base_url}/favicon.ico", follow_redirects=True).headers["Content-Type"] == "image/svg+xml"
    )
