"""What a person does on the upscaling page."""

import io
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.chromium import serious_findings, visitor
from tests.eventually import eventually
from tests.service import Service
from tests.tiny_models import TINY_MODEL


def picture(path: Path, width: int = 64, height: int = 48) -> Path:
    """A small picture with something in it."""
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], axis=-1).astype(np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def home(page: Page, service: Service) -> Page:
    """The page, opened, with the tiny model chosen."""
    page.goto(service.base_url)
    expect(page.locator("#model option", has_text=TINY_MODEL)).to_have_count(1)
    page.select_option("#model", TINY_MODEL)
    return page


def card(page: Page, name: str):  # type: ignore[no-untyped-def]
    """The card of one picture."""
    return page.locator(".card", has_text=name)


def test_a_picture_is_upscaled_compared_and_downloaded(home: Page, tmp_path: Path) -> None:
    home.set_input_files("#files", picture(tmp_path / "meadow.png"))
    meadow = card(home, "meadow.png")
    expect(meadow).to_have_attribute("data-state", "completed")
    expect(meadow.locator("[data-facts]")).to_contain_text("64 × 48 → 128 × 96")

    with home.expect_download() as caught:
        meadow.get_by_role("button", name="Download").click()
    with Image.open(caught.value.path()) as result:
        assert result.size == (128, 96)
    assert caught.value.suggested_filename == f"meadow_{TINY_MODEL}_x2.png"

    meadow.get_by_role("button", name="Compare").click()
    after = home.locator("before-after .ba-after img")
    eventually(lambda: after.evaluate("image => image.complete && image.naturalWidth > 0"))
    before_split = home.locator("before-after .ba-after").evaluate("layer => layer.style.clipPath")
    divider = home.get_by_label("Divider")
    divider.focus()
    for _ in range(10):
        home.keyboard.press("ArrowLeft")
    assert home.locator("before-after .ba-after").evaluate("layer => layer.style.clipPath") != before_split


def test_the_comparison_zooms_and_pans_by_keyboard_wheel_and_drag(home: Page, tmp_path: Path) -> None:
    home.set_input_files("#files", picture(tmp_path / "zoom.png"))
    expect(card(home, "zoom.png")).to_have_attribute("data-state", "completed")
    card(home, "zoom.png").get_by_role("button", name="Compare").click()
    frame, level = home.locator(".ba-frame"), home.locator(".ba-level")
    expect(frame).to_be_focused()
    whole = level.text_content()
    home.keyboard.press("+")
    expect(level).not_to_have_text(whole or "")
    transform = "stage => stage.style.transform"
    zoomed = home.locator(".ba-after .ba-stage").evaluate(transform)
    home.keyboard.press("ArrowRight")
    assert home.locator(".ba-after .ba-stage").evaluate(transform) != zoomed
    places = [home.locator(f".ba-{side} .ba-stage").evaluate(transform) for side in ("before", "after")]
    assert places[0] == places[1]
    home.keyboard.press("0")
    expect(level).to_have_text(whole or "")

    box = frame.bounding_box()
    assert box is not None
    home.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    home.mouse.wheel(0, -400)
    expect(level).not_to_have_text(whole or "")
    home.keyboard.press("0")
    home.mouse.down()
    home.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] / 2)
    home.mouse.up()
    share = float(home.get_by_label("Divider").input_value())
    assert 15 < share < 25


def test_many_pictures_come_back_as_one_zip(home: Page, tmp_path: Path) -> None:
    names = [f"many-{index}.png" for index in range(3)]
    home.set_input_files("#files", [picture(tmp_path / name) for name in names])
    for name in names:
        expect(card(home, name)).to_have_attribute("data-state", "completed")
    with home.expect_download() as caught:
        home.get_by_role("button", name="Download all (ZIP)").click()
    with zipfile.ZipFile(io.BytesIO(Path(caught.value.path()).read_bytes())) as archive:
        assert len(archive.namelist()) == 3
        with Image.open(io.BytesIO(archive.read(archive.namelist()[0]))) as result:
            assert result.size == (128, 96)


def test_the_history_is_there_after_a_reload_and_can_be_cleared(home: Page, tmp_path: Path) -> None:
    home.set_input_files("#files", picture(tmp_path / "kept.png"))
    expect(card(home, "kept.png")).to_have_attribute("data-state", "completed")
    home.reload()
    expect(card(home, "kept.png")).to_have_attribute("data-state", "completed")
    home.get_by_role("button", name="Clear the list").click()
    expect(home.locator(".card")).to_have_count(0)
    home.reload()
    expect(home.get_by_text("Nothing yet.")).to_be_visible()


def test_the_options_of_the_last_visit_are_there_again(home: Page, tmp_path: Path) -> None:
    home.select_option("#format", "webp")
    home.get_by_label("Quality").fill("71")
    home.select_option("#outscale", "3")
    home.reload()
    expect(home.locator("#model")).to_have_value(TINY_MODEL)
    expect(home.locator("#format")).to_have_value("webp")
    expect(home.locator("#outscale")).to_have_value("3")
    expect(home.locator("#quality-value")).to_have_text("71")
    home.set_input_files("#files", picture(tmp_path / "again.png"))
    expect(card(home, "again.png").locator("[data-facts]")).to_contain_text("192 × 144")


@pytest.mark.parametrize("damaged", ["{", "null", '{"format": "bmp", "outscale": 7, "quality": "x", "model": 5}'])
def test_damaged_options_of_the_last_visit_are_passed_over(home: Page, damaged: str) -> None:
    home.evaluate("text => localStorage.setItem('upscaler.options', text)", damaged)
    home.reload()
    expect(home.locator("#model option", has_text=TINY_MODEL)).to_have_count(1)
    expect(home.locator("#format")).to_have_value("")
    expect(home.locator("#outscale")).to_have_value("")
    expect(home.locator("#quality")).to_have_value("90")


def test_a_file_that_is_no_picture_says_so(home: Page, tmp_path: Path) -> None:
    (tmp_path / "fake.jpg").write_text("this is a text")
    home.set_input_files("#files", tmp_path / "fake.jpg")
    fake = card(home, "fake.jpg")
    expect(fake).to_have_attribute("data-state", "failed")
    expect(fake.locator("[data-error]")).to_contain_text(re.compile("image", re.IGNORECASE))
    fake.get_by_text("More").click()
    expect(fake.get_by_role("button", name="Remove from the list")).to_be_visible()
    expect(fake.get_by_role("button", name="Try again")).to_be_hidden()  # it would end alike
    home.troubles.clear()  # type: ignore[attr-defined]  # the browser logs every 4xx answer as an error


def test_a_running_job_can_be_cancelled_and_tried_again(home: Page, tmp_path: Path) -> None:
    big = picture(tmp_path / "slow.png", 1600, 1200)
    home.set_input_files("#files", [picture(tmp_path / f"before-{index}.png", 900, 700) for index in range(3)] + [big])
    slow = card(home, "slow.png")
    slow.get_by_role("button", name="Cancel").click()
    expect(slow).to_have_attribute("data-state", "cancelled")
    slow.get_by_role("button", name="Try again").click()
    expect(slow).to_have_attribute("data-state", "completed")


def test_buttons_answer_while_many_pictures_wait(home: Page, tmp_path: Path) -> None:
    # A browser has six connections for the server: were each card's event stream to keep one, the buttons would hang.
    names = [f"crowd-{index}.png" for index in range(12)]
    home.set_input_files("#files", [picture(tmp_path / name, 1200, 900) for name in names])
    for name in names:
        expect(card(home, name)).to_have_attribute("data-state", re.compile("queued|processing|completed"))
    last = card(home, names[-1])
    last.get_by_role("button", name="Cancel").click()
    expect(last).to_have_attribute("data-state", "cancelled")
    for name in names[:-1]:
        expect(card(home, name)).to_have_attribute("data-state", "completed")


def test_a_finished_picture_stays_finished_when_a_download_stumbles(home: Page, tmp_path: Path) -> None:
    home.set_input_files("#files", picture(tmp_path / "steady.png"))
    steady = card(home, "steady.png")
    expect(steady).to_have_attribute("data-state", "completed")
    home.evaluate("localStorage.setItem('upscaler.key', 'ups_wrong_key')")  # from now on every call is refused
    steady.get_by_role("button", name="Download").click()
    expect(steady.locator("[data-error]")).to_be_visible()
    expect(steady).to_have_attribute("data-state", "completed")
    home.troubles.clear()  # type: ignore[attr-defined]  # the browser logs every 4xx answer as an error


def test_a_missing_model_is_offered_for_download(home: Page) -> None:
    home.select_option("#model", "RealESRGAN_x4plus")
    expect(home.get_by_role("button", name=re.compile("Download .*67"))).to_be_visible()
    expect(home.get_by_text("This model is not on this server yet.")).to_be_visible()


def test_noise_removal_is_offered_with_the_partners_weights_only(page: Page, service: Service, tmp_path: Path) -> None:
    def pair_with(partner: str) -> None:
        change = f"Model.objects.filter(name='{TINY_MODEL}').update(denoise_partner='{partner}')"
        service.manage("shell", "-c", f"from modelstore.models import Model; {change}")

    try:
        pair_with("RealESRGAN_x2plus")  # which is not here
        page.goto(service.base_url)
        page.select_option("#model", TINY_MODEL)
        expect(page.locator("#denoise-download")).to_be_visible()
        expect(page.locator("#denoise-field")).to_be_hidden()
        page.set_input_files("#files", picture(tmp_path / "noisy.png"))
        expect(card(page, "noisy.png")).to_have_attribute("data-state", "completed")
        pair_with("bundled-compact-x4")  # which is
        page.reload()
        page.select_option("#model", TINY_MODEL)
        expect(page.locator("#denoise-field")).to_be_visible()
        expect(page.locator("#denoise-download")).to_be_hidden()
    finally:
        pair_with("")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_serious_is_found_by_axe(
    browser: Browser, service: Service, tmp_path: Path, scheme: str, width: int
) -> None:
    context = visitor(
        browser,
        color_scheme=scheme,
        viewport={"width": width, "height": 844},
        bypass_csp=True,  # axe injects itself as an inline script, which our policy rightly refuses
    )
    page = context.new_page()
    page.goto(service.base_url)
    page.select_option("#model", TINY_MODEL)
    page.set_input_files("#files", picture(tmp_path / "axe.png"))
    expect(card(page, "axe.png")).to_have_attribute("data-state", "completed")
    assert serious_findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page scrolls sideways"
    card(page, "axe.png").get_by_role("button", name="Compare").click()
    expect(page.locator(".ba-frame")).to_be_visible()
    assert serious_findings(page) == []
    context.close()
