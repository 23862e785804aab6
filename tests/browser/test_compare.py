"""What a person sees when comparing: the truth, in every format, by mouse, keys and fingers."""

import gzip
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.chromium import serious_findings, visitor
from tests.eventually import eventually
from tests.service import REPOSITORY, Service
from tests.tiny_models import TINY_MODEL

FULL, PREVIEW = "full", "preview"
#: Bytes of all scripts of the page together, compressed as they travel.
MOST_SCRIPT = 60_000


def noise(path: Path, width: int = 900, height: int = 700) -> Path:
    """A picture that no format makes small: its result is worth a preview."""
    Image.fromarray(np.random.default_rng(7).integers(0, 256, (height, width, 3), np.uint8)).save(path)
    return path


def plain(path: Path, size: tuple[int, int] = (64, 48), color: str = "#1e46d2") -> Path:
    """A picture of one colour, which a model keeps exactly."""
    image = Image.new("RGB", size, color)
    if path.suffix == ".heic":
        pillow_heif.from_pillow(image).save(path, quality=-1)
    else:
        image.save(path)
    return path


def opened(page: Page, service: Service, *paths: Path, **options: str) -> Page:
    """The page with these pictures finished, and the first one's comparison open."""
    page.goto(service.base_url)
    page.select_option("#model", TINY_MODEL)
    page.locator("#more-options").evaluate("details => { details.open = true; }")  # phones begin with them closed
    for name, value in options.items():
        page.select_option(f"#{name}", value)
    for count, path in enumerate(paths, 1):  # one after the other, so that their order is known
        page.set_input_files("#files", path)
        expect(page.locator(".card[data-state=completed]")).to_have_count(count)
    compare(page, paths[0].name)
    return page


def compare(page: Page, name: str) -> None:
    page.locator(".card", has_text=name).get_by_role("button", name="Compare").click()


def shows(page: Page, side: str, state: str) -> None:
    """Wait until one side says what it shows."""
    expect(page.locator(f".ba-{side}")).to_have_attribute("data-state", state)


def middle(page: Page, side: str, share: float = 0.5) -> tuple[int, ...]:
    """The colour on the screen at a share of one side's width."""
    box = page.locator(f".ba-{side}").bounding_box()
    assert box is not None
    x, y = int(box["x"] + box["width"] * share), int(box["y"] + box["height"] * 0.3)
    shot = page.screenshot(clip={"x": x, "y": y, "width": 1, "height": 1})
    return tuple(np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"))[0, 0].tolist())


def near(one: tuple[int, ...], other: tuple[int, ...], most: int = 6) -> bool:
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) <= most


def test_a_preview_is_called_one_until_the_first_zoom_shows_the_result_itself(
    page: Page, service: Service, tmp_path: Path
) -> None:
    opened(page, service, noise(tmp_path / "noise.png"))
    after = page.locator(".ba-after img")
    shows(page, "after", PREVIEW)
    expect(page.locator(".ba-tag-after")).to_contain_text("preview")
    assert after.evaluate("image => image.naturalWidth") == 1280
    page.get_by_role("button", name="Zoom in").click()
    shows(page, "after", FULL)
    expect(page.locator(".ba-tag-after")).to_have_text("After")
    assert after.evaluate("image => image.naturalWidth") == 1800
    page.keyboard.press("0")
    shows(page, "after", FULL)  # what is there stays


def test_a_screen_with_more_pixels_than_the_preview_gets_the_result_at_once(
    browser: Browser, service: Service, tmp_path: Path
) -> None:
    context = visitor(browser, viewport={"width": 1280, "height": 900}, device_scale_factor=2)
    dense = opened(context.new_page(), service, noise(tmp_path / "dense.png"))
    shows(dense, "after", FULL)
    assert dense.locator(".ba-after img").evaluate("image => image.naturalWidth") == 1800
    context.close()


@pytest.mark.parametrize("name", ["phone.heic", "scan.tif"])
def test_an_original_that_browsers_cannot_show_is_shown(
    page: Page, service: Service, tmp_path: Path, name: str
) -> None:
    opened(page, service, plain(tmp_path / name))
    shows(page, "before", FULL)
    shows(page, "after", FULL)
    assert near(middle(page, "before", 0.25), (0x1E, 0x46, 0xD2))
    assert near(middle(page, "after", 0.75), (0x1E, 0x46, 0xD2))


@pytest.mark.parametrize("result", ["tiff", "jxl"])
def test_a_result_that_browsers_cannot_show_is_shown(page: Page, service: Service, tmp_path: Path, result: str) -> None:
    opened(page, service, plain(tmp_path / f"{result}.png", (700, 600)), format=result)
    page.keyboard.press("1")
    shows(page, "after", FULL)
    expect(page.locator(".ba-after canvas")).to_be_visible()
    assert near(middle(page, "after", 0.75), (0x1E, 0x46, 0xD2))


def test_a_result_too_large_for_an_image_comes_in_tiles_of_what_is_seen(
    page: Page, service: Service, tmp_path: Path
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    opened(page, service, plain(tmp_path / "large.png", (3200, 3200)))
    page.keyboard.press("1")
    shows(page, "after", FULL)
    expect(page.locator(".ba-level")).to_have_text("100%")
    assert near(middle(page, "after", 0.75), (0x1E, 0x46, 0xD2))
    assert not [url for url in asked if url.endswith("/result")]
    tiles = [url for url in asked if "level=0" in url]
    assert 2 <= len(tiles) < 30  # of 169
    page.keyboard.press("ArrowRight")
    page.keyboard.press("0")
    shows(page, "after", FULL)


def test_transparent_pictures_lie_on_a_checkerboard(page: Page, service: Service, tmp_path: Path) -> None:
    Image.new("RGBA", (64, 48), (0, 0, 0, 0)).save(tmp_path / "glass.png")
    opened(page, service, tmp_path / "glass.png")
    shows(page, "after", FULL)
    colors = {middle(page, "after", 0.6 + step / 100) for step in range(8)}
    assert len(colors) > 1


def test_animations_play_in_step(page: Page, service: Service, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (64, 48), color) for color in ("#c81e1e", "#1eb428", "#283ce6", "#f0dc28")]
    frames[0].save(tmp_path / "flag.gif", save_all=True, append_images=frames[1:], duration=700, loop=0)
    opened(page, service, tmp_path / "flag.gif")
    page.keyboard.press("s")
    shows(page, "before", FULL)
    shows(page, "after", FULL)
    seen: set[tuple[int, ...]] = set()
    pairs: list[bool] = []

    def look() -> bool:
        shot = np.asarray(Image.open(io.BytesIO(page.locator(".ba-frame").screenshot())).convert("RGB"))
        left, right = (tuple(shot[shot.shape[0] // 3, shot.shape[1] * part // 4].tolist()) for part in (1, 3))
        pairs.append(near(left, right, 12))
        seen.add(left)
        return len(seen) >= 3 and len(pairs) >= 8

    eventually(look)
    assert pairs.count(False) <= len(pairs) // 4  # a picture of the screen may fall between the two
    page.get_by_role("button", name="Play from the start").click()
    shows(page, "after", FULL)


def test_the_original_is_seen_while_it_is_held(page: Page, service: Service, tmp_path: Path) -> None:
    opened(page, service, plain(tmp_path / "held.png"))
    after = page.locator(".ba-after")
    page.keyboard.down("o")
    expect(after).to_be_hidden()
    page.keyboard.up("o")
    expect(after).to_be_visible()
    button = page.get_by_role("button", name="Hold to see the original")
    button.hover()
    page.mouse.down()
    expect(after).to_be_hidden()
    page.mouse.up()
    expect(after).to_be_visible()
    button.focus()
    page.keyboard.down("Enter")
    expect(after).to_be_hidden()
    page.keyboard.up("Enter")
    expect(after).to_be_visible()


def test_side_by_side_moves_as_one(page: Page, service: Service, tmp_path: Path) -> None:
    opened(page, service, noise(tmp_path / "pair.png", 300, 200))
    page.get_by_role("button", name="Side by side").click()
    left, right = (page.locator(f".ba-{side}").bounding_box() for side in ("before", "after"))
    assert left is not None
    assert right is not None
    assert left["x"] + left["width"] <= right["x"]
    assert left["width"] == right["width"]
    page.mouse.move(left["x"] + left["width"] * 0.25, left["y"] + 50)
    page.mouse.wheel(0, -900)
    stages = page.locator(".ba-stage")
    eventually(lambda: "scale(1)" not in str(stages.nth(0).evaluate("stage => stage.style.transform")))
    page.mouse.down()
    page.mouse.move(left["x"] + left["width"] * 0.5, left["y"] + 80)
    page.mouse.up()
    places = [stages.nth(index).evaluate("stage => stage.style.transform") for index in (0, 1)]
    assert places[0] == places[1]
    assert page.get_by_label("Divider").input_value() == "50"


def test_the_way_from_picture_to_picture_by_keys_ends_where_it_came_to(
    page: Page, service: Service, tmp_path: Path
) -> None:
    opened(page, service, *(plain(tmp_path / f"{name}.png", (32 + at, 24)) for at, name in enumerate("abc")))
    title = page.locator("#viewer-title")
    expect(page.locator(".ba-frame")).to_be_focused()
    expect(title).to_have_text("a.png")  # the last of the list, whose newest stands first
    expect(page.get_by_role("button", name="Next picture")).to_be_disabled()
    page.keyboard.press("p")
    expect(title).to_have_text("b.png")
    page.keyboard.press("PageUp")
    expect(title).to_have_text("c.png")
    page.keyboard.press("n")
    expect(title).to_have_text("b.png")
    shows(page, "after", FULL)
    page.keyboard.press("?")
    expect(page.get_by_text("Pixel for pixel", exact=True)).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#viewer")).to_be_hidden()
    expect(page.locator(".card", has_text="b.png").get_by_role("button", name="Compare")).to_be_focused()


def test_two_results_of_one_picture_are_compared(page: Page, service: Service, tmp_path: Path) -> None:
    same = plain(tmp_path / "same.png", (80, 60))
    opened(page, service, same, plain(tmp_path / "other.png", (81, 60)))
    expect(page.get_by_label("Compare with")).to_be_hidden()
    page.keyboard.press("Escape")
    page.select_option("#format", "webp")
    page.set_input_files("#files", same)
    expect(page.locator(".card[data-state=completed]")).to_have_count(3)
    page.locator(".card", has_text="same.png").first.get_by_role("button", name="Compare").click()
    choice = page.get_by_label("Compare with")
    expect(choice.locator("option")).to_have_count(2)
    choice.select_option(index=1)
    expect(page.locator(".ba-tag-before")).to_have_text(re.compile("160 × 120 · PNG"))
    expect(page.locator(".ba-tag-after")).to_have_text(re.compile("160 × 120 · WEBP"))
    shows(page, "before", FULL)
    shows(page, "after", FULL)


@pytest.fixture
def phone(browser: Browser) -> Iterator[BrowserContext]:
    """A phone of 390 × 844 points with a touch screen."""
    context = visitor(browser, viewport={"width": 390, "height": 844}, device_scale_factor=2, has_touch=True)
    yield context
    context.close()


def fingers(page: Page) -> Callable[..., None]:
    """Returns what puts fingers on the screen: ``touch("touchMove", (x, y), (x, y))``."""
    session = page.context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        places: list[dict[str, Any]] = [{"x": x, "y": y, "id": index} for index, (x, y) in enumerate(points)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    return touch


def test_two_fingers_zoom_and_leave_the_divider(phone: BrowserContext, service: Service, tmp_path: Path) -> None:
    page = opened(phone.new_page(), service, noise(tmp_path / "pinch.png", 300, 300))
    box = page.locator(".ba-frame").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] * 0.3, box["y"] + box["height"] / 2
    touch, level = fingers(page), page.locator(".ba-level")
    whole = level.text_content()
    touch("touchStart", (x, y))
    touch("touchMove", (x + 12, y))  # a finger that comes first moves the divider a little
    touch("touchStart", (x + 12, y), (x + 80, y))
    for step in range(1, 6):
        touch("touchMove", (x + 12 - 4 * step, y), (x + 80 + 12 * step, y))
    touch("touchEnd", (x - 8, y))
    touch("touchMove", (x - 30, y))  # the one that is left pans
    touch("touchEnd")
    expect(level).not_to_have_text(whole or "")
    assert page.get_by_label("Divider").input_value() == "50"

    page.get_by_role("button", name="Fit").click()
    page.locator(".ba-frame").scroll_into_view_if_needed()
    touch("touchStart", (x, y))
    for step in range(1, 6):
        touch("touchMove", (x + 10 * step, y))
    touch("touchEnd")
    assert page.get_by_label("Divider").input_value() != "50"  # one finger moves it


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(390, 844), (640, 450), (1280, 900)], ids=["phone", "at 200 %", "wide"])
def test_every_part_can_be_reached_and_axe_finds_nothing(
    browser: Browser, service: Service, tmp_path: Path, scheme: str, size: tuple[int, int]
) -> None:
    context = visitor(
        browser,
        color_scheme=scheme,
        viewport={"width": size[0], "height": size[1]},
        bypass_csp=True,  # axe injects itself as an inline script, which our policy rightly refuses
    )
    page = opened(context.new_page(), service, plain(tmp_path / "axe.tif"), format="tiff")
    shows(page, "after", FULL)
    page.keyboard.press("?")
    for _beside in range(2):
        assert serious_findings(page) == []
        for button in page.locator("#viewer button:visible").all():
            button.scroll_into_view_if_needed()
            expect(button).to_be_in_viewport()
        assert page.locator("#viewer").evaluate("dialog => dialog.scrollWidth <= dialog.clientWidth")
        page.keyboard.press("s")
    context.close()


def test_the_pages_scripts_stay_small() -> None:
    scripts = list((REPOSITORY / "templates/static/page").glob("*.js"))
    assert len(scripts) > 5
    assert sum(len(gzip.compress(script.read_bytes())) for script in scripts) <= MOST_SCRIPT
