"""Before the start: what each picture would become, presets, sizes in pixels, pictures by their address."""

import io
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.browser.test_page import card, picture
from tests.chromium import serious_findings, visitor
from tests.service import Service, StartService
from tests.tiny_models import TINY_MODEL


@pytest.fixture
def home(browser: Browser, service: Service) -> Iterator[Page]:
    """The page of somebody who comes for the first time, with the tiny model chosen."""
    context = visitor(browser, at_once=False)
    page = context.new_page()
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.goto(service.base_url)
    expect(page.locator("#model option", has_text=TINY_MODEL)).to_have_count(1)
    page.select_option("#model", TINY_MODEL)
    yield page
    context.close()
    assert not troubles, troubles


def test_pictures_tell_what_they_become_and_wait_for_the_start(home: Page, tmp_path: Path) -> None:
    home.set_input_files("#files", [picture(tmp_path / "hill.png"), picture(tmp_path / "lake.jpg", 30, 90)])
    expect(card(home, "hill.png").locator("[data-facts]")).to_contain_text("64 × 48 → 128 × 96")
    expect(card(home, "lake.jpg").locator("[data-facts]")).to_contain_text("30 × 90 → 60 × 180")
    expect(home.locator("#in-work")).to_be_hidden()
    expect(home.locator("#ready-sum")).to_contain_text("megapixels")
    expect(home.locator("#ready-sum")).not_to_contain_text("€")  # there is no tariff

    home.select_option("#outscale", "3")
    expect(card(home, "hill.png").locator("[data-facts]")).to_contain_text("64 × 48 → 192 × 144")
    card(home, "lake.jpg").get_by_role("button", name="Remove").click()
    home.get_by_role("button", name="Start 1 picture").click()
    expect(card(home, "hill.png")).to_have_attribute("data-state", "completed")
    expect(card(home, "hill.png").locator("[data-facts]")).to_contain_text("64 × 48 → 192 × 144")
    expect(card(home, "lake.jpg")).to_have_count(0)
    expect(home.locator("#ready-section")).to_be_hidden()

    home.set_input_files("#files", picture(tmp_path / "sea.png"))  # a speed is known now
    expect(card(home, "sea.png").locator("[data-stage]")).to_contain_text(re.compile("Takes (about|less than)"))
    expect(home.locator("#ready-sum")).to_contain_text("about")


def test_files_that_a_browser_cannot_measure_are_measured_by_the_service(home: Page, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (20, 10), color) for color in ("red", "green", "blue")]
    frames[0].save(tmp_path / "moving.png", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "paper.tif")
    home.set_input_files("#files", [tmp_path / "moving.png", tmp_path / "paper.tif"])
    for name in ("moving.png", "paper.tif"):
        expect(card(home, name).locator("[data-facts]")).to_contain_text("20 × 10 → 40 × 20")
    with home.expect_request(lambda request: "input_frames=3" in request.url):
        home.select_option("#outscale", "4")
    for name in ("moving.png", "paper.tif"):
        expect(card(home, name).locator("[data-facts]")).to_contain_text("20 × 10 → 80 × 40")


@pytest.mark.parametrize(
    ("choice", "values", "becomes"),
    [
        ("longest_side", {"longest_side": "100"}, "100 × 75"),
        ("box", {"width": "100"}, "100 × 75"),
        ("box", {"width": "1000", "height": "60"}, "80 × 60"),
    ],
)
def test_a_size_in_pixels(home: Page, tmp_path: Path, choice: str, values: dict[str, str], becomes: str) -> None:
    home.set_input_files("#files", picture(tmp_path / "hut.png"))
    home.select_option("#outscale", choice)
    for name, value in values.items():
        home.fill(f"#{name}", value)
    expect(card(home, "hut.png").locator("[data-facts]")).to_contain_text(f"64 × 48 → {becomes}")
    home.locator("#start").click()
    expect(card(home, "hut.png")).to_have_attribute("data-state", "completed")
    expect(card(home, "hut.png").locator("[data-facts]")).to_contain_text(f"64 × 48 → {becomes}")


def test_what_the_service_would_refuse_is_said_before_and_does_not_start(home: Page, tmp_path: Path) -> None:
    home.set_input_files("#files", [picture(tmp_path / "wide.png", 200, 20), picture(tmp_path / "narrow.png", 50, 20)])
    home.select_option("#outscale", "longest_side")
    home.fill("#longest_side", "100")
    expect(card(home, "wide.png").locator("[data-error]")).to_contain_text("can become 200 to 3200 px, not 100")
    home.get_by_role("button", name="Start 1 picture").click()
    expect(card(home, "narrow.png")).to_have_attribute("data-state", "completed")
    expect(card(home, "wide.png")).to_have_attribute("data-state", "chosen")
    home.fill("#longest_side", "400")
    expect(card(home, "wide.png").locator("[data-error]")).to_be_hidden()
    home.get_by_role("button", name="Start 1 picture").click()
    expect(card(home, "wide.png").locator("[data-facts]")).to_contain_text("400 × 40")


def test_an_empty_size_is_asked_for_and_nothing_starts(home: Page, tmp_path: Path) -> None:
    home.set_input_files("#files", picture(tmp_path / "empty.png"))
    home.select_option("#outscale", "box")
    home.locator("#start").click()
    expect(home.locator("#width:invalid")).to_be_focused()
    expect(card(home, "empty.png")).to_have_attribute("data-state", "chosen")


def test_what_is_wrong_with_a_size_is_said_in_the_browsers_words(home: Page, tmp_path: Path) -> None:
    home.set_input_files("#files", picture(tmp_path / "odd.png"))
    home.select_option("#outscale", "longest_side")
    for wrong in ("0", "1.5", ""):
        home.fill("#longest_side", wrong)
        expect(home.locator("#ready-sum")).to_contain_text("Longest side in pixels: ")
    home.fill("#longest_side", "100")
    home.keyboard.press("Enter")  # is no start
    expect(card(home, "odd.png").locator("[data-facts]")).to_contain_text("64 × 48 → 100 × 75")
    expect(card(home, "odd.png")).to_have_attribute("data-state", "chosen")


def test_a_format_that_cannot_hold_the_result_is_said_before(home: Page, tmp_path: Path) -> None:
    home.set_input_files("#files", picture(tmp_path / "thread.png", 4000, 2))
    home.select_option("#outscale", "8")
    home.select_option("#format", "webp")
    expect(card(home, "thread.png").locator("[data-error]")).to_contain_text("16383 px per side")
    expect(card(home, "thread.png").locator("[data-stage]")).to_have_text("Not possible so")
    expect(home.locator("#start")).to_be_hidden()
    home.select_option("#format", "png")
    expect(card(home, "thread.png").locator("[data-facts]")).to_contain_text("→ 32000 × 16")


def test_a_file_that_is_no_picture_is_looked_at_once(home: Page, tmp_path: Path) -> None:
    (tmp_path / "text.tif").write_text("no picture")
    sent: list[str] = []
    home.on("request", lambda request: sent.append(request.url) if "dry_run" in request.url else None)
    home.set_input_files("#files", [tmp_path / "text.tif", picture(tmp_path / "good.png")])
    expect(card(home, "text.tif").locator("[data-error]")).to_be_visible()
    for factor in ("2", "3", "4"):
        home.select_option("#outscale", factor)
        width = 64 * int(factor)
        expect(card(home, "good.png").locator("[data-facts]")).to_contain_text(f"→ {width} ×")  # behind it in the list
    expect(card(home, "text.tif").locator("[data-error]")).to_be_visible()
    assert len(sent) == 1


def test_presets_choose_model_and_scale_and_show_it(home: Page, tmp_path: Path) -> None:
    fast, best, scan = (home.get_by_role("button", name=name) for name in ("Photo, fast", "Photo, best", "Old scan"))
    fast.click()
    expect(home.locator("#model")).to_have_value("bundled-compact-x4")  # the better one is not on this server
    expect(fast).to_have_attribute("aria-pressed", "true")
    scan.click()
    expect(home.locator("#model")).to_have_value("RealESRGAN_x4plus")
    expect(home.locator("#outscale")).to_have_value("2")
    expect(best).to_have_attribute("aria-pressed", "false")
    expect(home.locator("[data-model-download]")).to_be_visible()
    home.select_option("#outscale", "")
    expect(best).to_have_attribute("aria-pressed", "true")
    expect(scan).to_have_attribute("aria-pressed", "false")
    for sample in home.locator("#presets img").all():
        assert sample.evaluate("image => image.complete && image.naturalWidth") == 232

    fast.click()
    home.reload()
    expect(fast).to_have_attribute("aria-pressed", "true")
    expect(home.locator("#model")).to_have_value("bundled-compact-x4")


def test_whoever_wants_it_has_pictures_started_at_once(home: Page, tmp_path: Path) -> None:
    home.get_by_label("Start at once").check()
    home.reload()
    expect(home.locator("#model option", has_text=TINY_MODEL)).to_have_count(1)
    home.set_input_files("#files", picture(tmp_path / "quick.png"))
    expect(card(home, "quick.png")).to_have_attribute("data-state", "completed")


def test_a_phone_begins_with_the_options_and_starts_by_its_thumb(
    browser: Browser, service: Service, tmp_path: Path
) -> None:
    context = visitor(browser, at_once=False, viewport={"width": 390, "height": 844}, has_touch=True, bypass_csp=True)
    page = context.new_page()
    page.goto(service.base_url)
    expect(page.locator("#model option", has_text=TINY_MODEL)).to_have_count(1)
    page.set_input_files("#files", [picture(tmp_path / f"{number}.png") for number in range(6)])
    expect(page.locator("#start")).to_be_in_viewport(ratio=1)
    page.locator(".card").last.scroll_into_view_if_needed()
    expect(page.locator("#start")).to_be_in_viewport(ratio=1)
    top = {name: page.locator(name).bounding_box() for name in ("#options", "#drop", "#ready")}
    assert top["#options"]["y"] < top["#drop"]["y"] < top["#ready"]["y"]  # type: ignore[index]  # all are shown
    expect(page.locator("#format")).to_be_hidden()
    page.get_by_text("More options").tap()
    expect(page.locator("#format")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert serious_findings(page) == []
    context.close()


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """Another host's picture, and its address."""
    out = io.BytesIO()
    Image.new("RGB", (40, 30), "teal").save(out, "PNG")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self.send_header("Content-Length", str(len(out.getvalue())))
            self.end_headers()
            self.wfile.write(out.getvalue())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/pictures/pond.png"
    server.shutdown()


def test_a_picture_by_its_address(browser: Browser, elsewhere: str, start_service: Callable[..., Service]) -> None:
    host = elsewhere.split("/")[2]
    service = start_service(IMAGE_URL_HOSTS=host, WEBHOOK_ALLOW_PRIVATE="1")
    page = visitor(browser, at_once=False).new_page()
    page.goto(service.base_url)
    page.select_option("#model", "bundled-compact-x4")
    address = page.get_by_label("Address of a picture")
    expect(address).to_have_accessible_description(f"From {host}")
    address.fill(elsewhere)
    page.get_by_role("button", name="Add from its address").click()
    expect(card(page, "pond.png").locator("[data-facts]")).to_contain_text("40 × 30 → 160 × 120")
    page.locator("#start").click()
    expect(card(page, "pond.png")).to_have_attribute("data-state", "completed")
    address.fill("http://example.org/other.png")
    page.get_by_role("button", name="Add from its address").click()
    expect(card(page, "other.png").locator("[data-error]")).to_contain_text("is not among those that are allowed here")
    page.context.close()


def test_there_is_no_field_for_addresses_where_no_host_is_allowed(home: Page) -> None:
    expect(home.locator("#address-form")).to_be_hidden()


def test_a_tariff_tells_what_all_pictures_cost(browser: Browser, start_service: StartService, tmp_path: Path) -> None:
    service = start_service(TARIFF_PER_OUTPUT_MEGAPIXEL="12.5", TARIFF_CURRENCY="CHF")
    context = visitor(browser, at_once=False)
    page = context.new_page()
    page.goto(service.base_url)
    page.select_option("#model", "bundled-compact-x4")
    page.set_input_files("#files", picture(tmp_path / "hill.png"))  # becomes 256 × 192
    expect(page.locator("#ready-sum")).to_contain_text("CHF\u00a00.6144")
    page.set_input_files("#files", picture(tmp_path / "lake.png", 64, 96))  # twice as large
    expect(page.locator("#ready-sum")).to_contain_text("CHF\u00a01.84")
    context.close()
