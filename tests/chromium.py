"""A real browser: Debian's chromium, driven by Playwright's Python package.

A plugin of the whole suite, not of one directory's tests: Playwright can be started once in a process.
"""

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

#: How long a page may take for anything, in milliseconds: Playwright's 5 seconds are a quiet machine's.
PATIENCE = 240_000
expect.set_options(timeout=PATIENCE)

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = [
    "--no-sandbox",  # tests may run as root, where the sandbox cannot
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One chromium for a module's tests; each test has a context of its own.

    Not for the session: while Playwright runs, its event loop counts as running, and Django refuses to ask the database
    in tests that come after.
    """
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine: apt-get install chromium, or set CHROMIUM to its path")
    with sync_playwright() as playwright:
        instance = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield instance
        instance.close()


#: What a visitor has chosen before: most tests are about what follows the start.
AT_ONCE = (
    """localStorage.getItem("upscaler.options") ?? localStorage.setItem("upscaler.options", '{"at_once": true}')"""
)


def visitor(browser: Browser, *, at_once: bool = True, **options: Any) -> BrowserContext:
    """A context of its own; ``at_once``: of somebody whose pictures start without being asked."""
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, "locale": "en-GB", **options})
    if at_once:
        context.add_init_script(AT_ONCE)
    return context


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that fails the test if the console showed an error or a script broke."""
    context = visitor(browser)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(f"script error: {error}"))
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.troubles = troubles  # type: ignore[attr-defined]  # a test that provokes an error clears the list itself
    yield page
    context.close()
    assert not troubles, troubles


def serious_findings(page: Page) -> list[str]:
    """What axe-core finds of serious or critical impact: one line each, with the first place."""
    from axe_playwright_python.sync_playwright import Axe

    # Without preload: axe would write imported style sheets into the page, and the content policy would object.
    found = Axe().run(page, options={"preload": False}).response["violations"]
    return [
        f"{each['id']}: {each['help']} at {each['nodes'][0]['target']}"
        for each in found
        if each["impact"] in ("serious", "critical")
    ]
