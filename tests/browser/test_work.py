"""What a person sees while pictures are in work, and after: order, sums, a lost server, other tabs, second thoughts."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.test_page import card, home, picture
from tests.chromium import serious_findings
from tests.eventually import eventually
from tests.service import Service
from tests.tiny_models import TINY_MODEL

__all__ = ["home"]  # a fixture


def names_in(page: Page, place: str) -> list[str]:
    """The names of a list's cards, from above."""
    return page.locator(f"#{place} [data-name]").all_text_contents()


def finished(page: Page, *names: str) -> None:
    for name in names:
        expect(card(page, name)).to_have_attribute("data-state", "completed")


def test_what_is_in_work_stands_in_the_order_of_work_and_what_ended_newest_first(home: Page, tmp_path: Path) -> None:
    names = [f"row-{number}.png" for number in range(4)]
    hung = [f"hung-{number}.png" for number in range(4)]
    home.route("**/api/v1/jobs", lambda route: None)  # uploads hang: all of them stay in work
    home.set_input_files("#files", [picture(tmp_path / name) for name in hung])
    expect(home.locator("#queue .card")).to_have_count(4)
    assert names_in(home, "queue") == hung
    expect(home.locator("#summary")).to_have_text("0 of 4 finished")
    expect(home).to_have_title(re.compile(r"^\(0/4\) "))
    home.unroute("**/api/v1/jobs")
    home.reload()
    home.select_option("#model", TINY_MODEL)
    for name in names[:2]:
        home.set_input_files("#files", picture(tmp_path / name))
        finished(home, name)
    # Uploads that hung may have been let go when the page was left.
    assert [name for name in names_in(home, "results") if name in names] == names[1::-1]
    expect(home.locator("#in-work")).to_be_hidden()
    expect(home).to_have_title(re.compile(r"^Upscaler"))


def test_the_buttons_keep_the_focus_when_a_picture_ends(home: Page, tmp_path: Path) -> None:
    home.route("**/api/v1/jobs", lambda route: None)
    home.set_input_files("#files", picture(tmp_path / "held.png"))
    expect(card(home, "held.png")).to_have_attribute("data-state", "uploading")
    card(home, "held.png").get_by_role("button", name="Cancel").focus()
    home.keyboard.press("Enter")  # the button goes, and the card into the other list
    expect(card(home, "held.png").get_by_role("button", name="Try again")).to_be_focused()


def test_a_lost_server_is_said_and_pictures_wait_for_it(home: Page, tmp_path: Path) -> None:
    home.route("**/api/v1/**", lambda route: route.abort())
    home.set_input_files("#files", picture(tmp_path / "patient.png"))
    patient = card(home, "patient.png")
    expect(patient).to_have_attribute("data-state", "offline")
    expect(patient.locator("[data-stage]")).to_have_text("Waiting for the server")
    banner = home.locator("#lost")
    expect(banner).to_contain_text("The server cannot be reached")
    expect(banner).to_contain_text(re.compile(r"Trying again in \d+ sec"))
    assert serious_findings(home) == []
    with home.expect_request("**/api/v1/health/live"):
        home.get_by_role("button", name="Try now").click()
    home.unroute("**/api/v1/**")
    finished(home, "patient.png")
    expect(banner).to_be_hidden()
    home.troubles.clear()  # type: ignore[attr-defined]  # the browser logs every call that got no answer


@pytest.mark.parametrize("answer", ["none", "gateway"])
def test_a_page_that_is_opened_while_the_server_is_down_begins_when_it_is_back(
    page: Page, service: Service, answer: str
) -> None:
    def refuse(route: Route) -> None:
        if answer == "none":
            route.abort()
        else:
            route.fulfill(status=502, content_type="text/html", body="<h1>Bad gateway</h1>")

    page.route("**/api/v1/**", refuse)
    page.goto(service.base_url)
    expect(page.locator("#lost")).to_be_visible()
    page.unroute("**/api/v1/**")  # and nobody clicks
    expect(page.locator("#model option", has_text=TINY_MODEL)).to_have_count(1)
    expect(page.locator("#lost")).to_be_hidden()
    page.troubles.clear()  # type: ignore[attr-defined]  # the browser logs every call that got no answer


def test_an_upload_that_the_server_cuts_off_is_not_sent_for_ever(home: Page, tmp_path: Path) -> None:
    sent = []

    def cut(route: Route) -> None:
        sent.append(route.request.url)
        route.abort()

    home.route("**/api/v1/jobs", cut)
    home.set_input_files("#files", picture(tmp_path / "cut.png"))
    expect(card(home, "cut.png")).to_have_attribute("data-state", "failed")
    assert len(sent) == 3
    expect(card(home, "cut.png").get_by_role("button", name="Try again")).to_be_visible()
    home.troubles.clear()  # type: ignore[attr-defined]  # the browser logs every call that got no answer


def test_a_cleared_list_can_be_had_again(home: Page, tmp_path: Path) -> None:
    home.set_input_files("#files", [picture(tmp_path / name) for name in ("one.png", "two.png")])
    finished(home, "one.png", "two.png")
    before = names_in(home, "results")
    home.get_by_role("button", name="Clear the list").click()
    expect(home.locator(".card")).to_have_count(0)
    expect(home.locator("#undo-text")).to_contain_text("2 pictures left the list")
    expect(home.get_by_role("button", name="Undo")).to_be_focused()
    home.keyboard.press("Enter")
    assert names_in(home, "results") == before
    home.reload()
    finished(home, "one.png", "two.png")
    assert names_in(home, "results") == before


def test_a_picture_is_deleted_from_the_server_by_the_second_click(home: Page, tmp_path: Path, service: Service) -> None:
    home.set_input_files("#files", picture(tmp_path / "gone.png"))
    finished(home, "gone.png")
    job = home.evaluate("JSON.parse(localStorage.getItem('upscaler.jobs'))[0].id")
    gone = card(home, "gone.png")
    gone.get_by_text("More").click()
    gone.get_by_role("button", name="Delete from the server").click()
    with service.client() as client:
        assert client.get(f"/api/v1/jobs/{job}").status_code == 200
        gone.get_by_role("button", name="Delete for good?").click()
        expect(gone).to_have_count(0)
        assert client.get(f"/api/v1/jobs/{job}").status_code == 404
    assert home.evaluate("localStorage.getItem('upscaler.jobs')") == "[]"


def test_a_second_tab_sees_new_pictures_and_what_was_cleared(home: Page, tmp_path: Path, service: Service) -> None:
    other = home.context.new_page()
    other.goto(service.base_url)
    expect(other.locator("#model option", has_text=TINY_MODEL)).to_have_count(1)
    home.bring_to_front()
    home.set_input_files("#files", picture(tmp_path / "shared.png"))
    finished(home, "shared.png")
    other.bring_to_front()
    finished(other, "shared.png")
    thumb = card(other, "shared.png").locator("[data-thumb]")
    eventually(lambda: thumb.evaluate("image => image.naturalWidth") > 1)
    home.get_by_role("button", name="Clear the list").click()
    expect(card(other, "shared.png")).to_have_count(0)
    other.close()


def test_a_long_history_comes_back_by_one_call(home: Page, tmp_path: Path) -> None:
    home.set_input_files("#files", picture(tmp_path / "old.png"))
    finished(home, "old.png")
    (job,) = home.evaluate("JSON.parse(localStorage.getItem('upscaler.jobs'))")
    lost = [{"id": f"00000000-0000-0000-0000-{number:012}", "name": "gone.png"} for number in range(150)]
    home.evaluate("list => localStorage.setItem('upscaler.jobs', list)", json.dumps([*lost, job]))
    calls: list[str] = []
    home.on("request", lambda request: calls.append(request.url) if "/api/v1/jobs" in request.url else None)
    home.reload()
    finished(home, "old.png")
    assert len([url for url in calls if "ids=" in url]) == 1
    assert not [url for url in calls if "0000-0000" in url and "ids=" not in url]
    assert home.evaluate("JSON.parse(localStorage.getItem('upscaler.jobs')).length") == 1


def test_pictures_wait_for_a_model_that_is_still_to_come(home: Page, tmp_path: Path) -> None:
    home.select_option("#model", "RealESRGAN_x4plus")
    home.set_input_files("#files", picture(tmp_path / "early.png"))
    early = card(home, "early.png")
    expect(early.locator("[data-stage]")).to_have_text("Waiting for the model RealESRGAN_x4plus")
    expect(home.locator("#problem")).to_contain_text("Your pictures wait here until it is downloaded")
    home.select_option("#model", TINY_MODEL)
    home.set_input_files("#files", picture(tmp_path / "late.png"))
    finished(home, "late.png")
    expect(early).to_have_attribute("data-state", "waiting")
    early.get_by_role("button", name="Cancel").click()
    expect(early).to_have_attribute("data-state", "cancelled")


def test_a_picture_is_taken_again_with_other_options_also_after_a_reload(home: Page, tmp_path: Path) -> None:
    home.set_input_files("#files", picture(tmp_path / "twice.png"))
    finished(home, "twice.png")
    home.reload()
    finished(home, "twice.png")
    home.select_option("#model", TINY_MODEL)
    home.select_option("#outscale", "3")
    card(home, "twice.png").get_by_text("More").click()
    card(home, "twice.png").get_by_role("button", name="Again with the chosen options").click()
    expect(home.locator(".card")).to_have_count(2)
    expect(home.locator(".card", has_text="64 × 48 → 192 × 144")).to_have_attribute("data-state", "completed")


def test_the_menu_of_a_card_closes_by_escape_and_by_a_click_elsewhere(home: Page, tmp_path: Path) -> None:
    home.set_input_files("#files", picture(tmp_path / "menu.png"))
    finished(home, "menu.png")
    menu = card(home, "menu.png").locator("summary")
    again = card(home, "menu.png").get_by_role("button", name="Again")
    menu.click()
    expect(again).to_be_visible()
    home.keyboard.press("Tab")
    expect(again).to_be_focused()
    home.keyboard.press("Escape")
    expect(again).to_be_hidden()
    expect(menu).to_be_focused()
    menu.click()
    home.get_by_role("heading", level=1).click()
    expect(again).to_be_hidden()


def test_whoever_asked_for_it_is_told_when_all_are_finished(home: Page, tmp_path: Path, service: Service) -> None:
    home.context.grant_permissions(["notifications"], origin=service.base_url)
    home.evaluate("""() => {
        window.told = [];
        window.Notification = class extends EventTarget {
          static permission = "default";
          static async requestPermission() { return (this.permission = "granted"); }
          constructor(text) { super(); window.told.push(text); }
        };
    }""")
    home.route("**/api/v1/jobs", lambda route: None)
    home.set_input_files("#files", [picture(tmp_path / name) for name in ("a.png", "b.png")])
    home.get_by_label("Tell me when all are finished").check()
    home.evaluate("Object.defineProperty(document, 'hidden', { value: true })")
    for name in ("a.png", "b.png"):  # their uploads hang
        card(home, name).get_by_role("button", name="Cancel").click()
    expect(home).to_have_title(re.compile("^✓ "))
    home.unroute("**/api/v1/jobs")
    home.evaluate("window.told.length = 0")
    home.set_input_files("#files", [tmp_path / "a.png", tmp_path / "b.png"])
    eventually(lambda: home.evaluate("window.told") == ["2 pictures are finished."])
    home.troubles.clear()  # type: ignore[attr-defined]  # a cancel may come when the upload was just accepted


def test_a_folder_that_is_dropped_gives_its_pictures_in_order(home: Page) -> None:
    home.route("**/api/v1/jobs", lambda route: None)
    home.evaluate("""
        const got = (name) => (done) => done(new File(["x"], name));
        const file = (name) => ({ name, isFile: true, isDirectory: false, file: got(name) });
        const folder = (name, children) => ({ name, isDirectory: true, isFile: false, createReader: () => {
          const parts = [children.slice(0, 2), children.slice(2), []];
          return { readEntries: (done) => done(parts.shift()) };
        } });
        const more = folder("more", [file("3.webp")]);
        const album = folder("album", [file("10.png"), file("2.jpg"), file("notes.txt"), more]);
        const items = [{ webkitGetAsEntry: () => album }, { webkitGetAsEntry: () => file("chosen.unknown") }];
        const event = new Event("drop", { cancelable: true });
        event.dataTransfer = { types: ["Files"], items, files: [] };
        document.dispatchEvent(event);
    """)
    expect(home.locator(".card")).to_have_count(4)
    assert names_in(home, "queue") == ["2.jpg", "10.png", "3.webp", "chosen.unknown"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_serious_is_found_by_axe_with_pictures_in_both_lists(
    home: Page, tmp_path: Path, scheme: str, width: int
) -> None:
    home.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    home.set_viewport_size({"width": width, "height": 900})
    home.set_input_files("#files", picture(tmp_path / "ended.png"))
    finished(home, "ended.png")
    home.route("**/api/v1/jobs", lambda route: None)
    home.set_input_files("#files", picture(tmp_path / "live.png"))
    expect(home.locator("#queue .card")).to_have_count(1)
    card(home, "ended.png").get_by_text("More").click()
    assert serious_findings(home) == []
    assert home.evaluate("document.documentElement.scrollWidth <= innerWidth")
