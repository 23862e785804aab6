"""What staff do in the admin, in a real browser, with real workers behind it."""

import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import psutil
import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_page import picture
from tests.chromium import serious_findings
from tests.eventually import eventually
from tests.service import Service
from tests.tiny_models import TINY_MODEL

pytestmark = pytest.mark.browser

PASSWORD = "a-long-passphrase-of-the-test"
DOWNLOADED = "realesr-animevideov3"


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadingHTTPServer]:
    """A local server in the place of GitHub; tests put files into ``mirror.directory``."""
    directory = tmp_path_factory.mktemp("mirror")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(directory)))
    server.directory = directory  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(240)


@pytest.fixture(scope="module")
def staffed(
    tmp_path_factory: pytest.TempPathFactory, tiny_weights: Path, mirror: ThreadingHTTPServer
) -> Iterator[Service]:
    """A service with the tiny model and a superuser."""
    environment = {
        "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
        "MODEL_GITHUB_URL": f"http://127.0.0.1:{mirror.server_port}",
        "MODEL_HUGGINGFACE_URL": f"http://127.0.0.1:{mirror.server_port}/none",
        "MODEL_DOWNLOAD_RETRIES": "0",
    }
    running = Service(tmp_path_factory.mktemp("staffed-service") / "data", environment)
    try:
        running.start()
        running.import_model(tiny_weights, TINY_MODEL)
        running.manage("createsuperuser", "--noinput", "--username", "chief", "--email", "chief@example.org")
        yield running
        running.stop()
    finally:
        running.kill()


@pytest.fixture
def desk(page: Page, staffed: Service) -> Page:
    """A logged-in staff member's page."""
    page.goto(f"{staffed.base_url}/admin/")
    page.get_by_label("Username").fill("chief")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("link", name="Operations").first).to_be_visible()
    return page


def submit(service: Service, tmp_path: Path, name: str = "meadow.png") -> str:
    """Hand a picture in through the API; returns the job's id."""
    with service.client() as client, picture(tmp_path / name).open("rb") as file:
        answer = client.post("/api/v1/jobs", files={"image": file}, data={"model": TINY_MODEL})
    assert answer.status_code == 202, answer.text
    job_id: str = answer.json()["job_id"]
    return job_id


def status(service: Service, job_id: str) -> str:
    with service.client() as client:
        found: str = client.get(f"/api/v1/jobs/{job_id}").json()["status"]
    return found


def wait_until(service: Service, job_id: str, wanted: str) -> None:
    eventually(lambda: status(service, job_id) == wanted, seconds=120, say=f"{wanted} of job {job_id}")


@contextmanager
def frozen_workers(service: Service) -> Iterator[None]:
    """Nobody takes a job: every process of the gpu cluster is stopped for a while, and who would kill it for that."""
    stopped = [
        process
        for main in service.cluster_mains("gpu")
        for process in (*main.parents()[:1], main, *main.children(recursive=True))
    ]
    assert stopped
    for process in stopped:
        process.suspend()
    try:
        yield
    finally:
        for process in stopped:
            with suppress(psutil.NoSuchProcess):
                process.resume()


def choose(desk: Page, job_id: str, action: str) -> None:
    """Tick one job of the list and run an action."""
    desk.locator(f'input[name="_selected_action"][value="{job_id}"]').check()
    desk.get_by_label("Action:").select_option(label=action)
    desk.get_by_role("button", name="Run").or_(desk.get_by_role("button", name="Go")).first.click()


#: (width in pixels, colours)
SCREENS = {"wide, light": (1280, "light"), "wide, dark": (1280, "dark"), "phone": (390, "light")}


@pytest.mark.parametrize("screen", SCREENS)
def test_every_page_is_accessible_and_fits(desk: Page, staffed: Service, tmp_path: Path, screen: str) -> None:
    width, scheme = SCREENS[screen]
    desk.set_viewport_size({"width": width, "height": 850})
    desk.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    job_id = submit(staffed, tmp_path)
    wait_until(staffed, job_id, "completed")
    for path in (
        "",
        "operations/",
        "operations/?period=month",
        "doctor/",
        "jobs/job/",
        "jobs/job/?q=nothing-like-it",
        f"jobs/job/{job_id}/change/",
        f"jobs/job/{job_id}/delete/",
        "jobs/batch/",
        "jobs/worker/",
        "jobs/webhookmessage/",
        "jobs/apikey/",
        "jobs/apikey/add/",
        "modelstore/model/",
        "modelstore/model/import/",
        "auth/user/",
        "auth/user/add/",
        "auth/user/1/change/",
        "auth/user/1/delete/",
        "auth/group/",
        "auth/group/1/change/",
        "password_change/",
    ):
        desk.goto(f"{staffed.base_url}/admin/{path}")
        desk.wait_for_load_state("networkidle")
        assert serious_findings(desk) == [], path
        assert desk.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{path} is wider than the screen"


def test_what_is_not_there_is_told_on_an_accessible_page(desk: Page, staffed: Service) -> None:
    answer = desk.goto(f"{staffed.base_url}/admin/no/such/page/")
    assert answer is not None
    assert answer.status == 404
    expect(desk.get_by_role("heading", name="Page not found")).to_be_visible()
    assert serious_findings(desk) == []
    desk.troubles.clear()  # type: ignore[attr-defined]  # chromium reports the 404 that was asked for


def test_the_index_and_the_lists_move_by_themselves(desk: Page, staffed: Service, tmp_path: Path) -> None:
    """Nobody reloads: the cards count a job that comes in, and its row and its page tell its end."""
    watcher = desk.context.new_page()
    with frozen_workers(staffed):
        desk.goto(f"{staffed.base_url}/admin/")
        waiting = desk.locator(".card", has=desk.get_by_role("link", name="Waiting", exact=True)).locator("p")
        expect(waiting).to_have_text("0")
        job_id = submit(staffed, tmp_path, "moving.png")
        expect(waiting).to_have_text("1")
        desk.goto(f"{staffed.base_url}/admin/jobs/job/")
        watcher.goto(f"{staffed.base_url}/admin/jobs/job/{job_id}/change/")
        row = desk.get_by_role("row", name="moving.png")
        expect(row.locator(".badge")).to_have_text("Queued")
        expect(watcher.locator(".job-state .badge")).to_have_text("Queued")
    expect(row.locator(".badge")).to_have_text("Completed")
    expect(row.locator(".field-size")).to_contain_text("→")
    expect(watcher.get_by_role("link", name="Download result")).to_be_visible()
    assert serious_findings(desk) == []


def test_a_user_is_added_by_keyboard_alone(desk: Page, staffed: Service) -> None:
    desk.goto(f"{staffed.base_url}/admin/auth/user/add/")
    desk.get_by_label("Username").focus()
    desk.keyboard.type("ada")
    for label in ("Password:", "Password confirmation:"):
        for _ in range(6):
            desk.keyboard.press("Tab")
            if desk.evaluate("document.activeElement.labels?.[0]?.textContent.trim()") == label:
                break
        desk.keyboard.type("a-passphrase-of-adas")
    for _ in range(6):
        desk.keyboard.press("Tab")
        if "Viewers" in (desk.evaluate("document.activeElement.labels?.[0]?.textContent") or ""):
            break
    desk.keyboard.press("Space")
    desk.keyboard.press("Enter")
    expect(desk.get_by_text("was added successfully")).to_be_visible()
    expect(desk.get_by_label("Viewers: see")).to_be_checked()
    expect(desk.get_by_label("Staff status")).to_be_checked()


def test_a_wrong_password_does_not_get_in(page: Page, staffed: Service) -> None:
    page.goto(f"{staffed.base_url}/admin/")
    page.get_by_label("Username").fill("chief")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("Please enter the correct username and password")).to_be_visible()
    assert serious_findings(page) == []


def test_a_waiting_job_is_cancelled_and_then_retried(desk: Page, staffed: Service, tmp_path: Path) -> None:
    with frozen_workers(staffed):
        job_id = submit(staffed, tmp_path, "waiting.png")
        desk.goto(f"{staffed.base_url}/admin/jobs/job/{job_id}/change/")
        expect(desk.locator(".badge-queued")).to_be_visible()
        desk.get_by_role("button", name="Cancel").click()
        expect(desk.get_by_text("1 job was cancelled.")).to_be_visible()
        expect(desk.locator(".badge-cancelled")).to_be_visible()
        assert status(staffed, job_id) == "cancelled"
    desk.get_by_role("button", name="Retry").click()
    expect(desk.get_by_text("1 job waits again.")).to_be_visible()
    wait_until(staffed, job_id, "completed")
    result = desk.get_by_role("img", name="The result")
    expect(result).to_be_visible()  # the page of a job loads anew by itself when it ends
    eventually(lambda: result.evaluate("image => image.complete && image.naturalWidth === 128"))
    for span in ("queue", "infer"):
        expect(desk.locator(f"rect.span-{span}")).to_have_count(1)


def test_results_are_downloaded_and_jobs_deleted_from_the_list(desk: Page, staffed: Service, tmp_path: Path) -> None:
    job_id = submit(staffed, tmp_path, "to-go.png")
    wait_until(staffed, job_id, "completed")
    desk.goto(f"{staffed.base_url}/admin/jobs/job/?q={job_id}")
    thumbnail = desk.locator("img.thumb").first
    eventually(lambda: thumbnail.evaluate("image => image.complete && image.naturalWidth > 0"))
    with desk.expect_download() as caught:
        choose(desk, job_id, "Download results as ZIP")
    with zipfile.ZipFile(caught.value.path()) as archive:
        assert archive.namelist() == [f"to-go_{TINY_MODEL}_x2.png"]
    desk.goto(f"{staffed.base_url}/admin/jobs/job/?q={job_id}")
    choose(desk, job_id, "Delete with files")
    expect(desk.get_by_text("will be gone for good")).to_be_visible()
    desk.get_by_role("button", name="Yes, delete").click()
    expect(desk.get_by_text("1 job was deleted with its files")).to_be_visible()
    with staffed.client() as client:
        assert client.get(f"/api/v1/jobs/{job_id}").status_code == 404


def test_clean_up_counts_before_it_removes(desk: Page, staffed: Service, tmp_path: Path) -> None:
    job_id = submit(staffed, tmp_path, "old.png")
    wait_until(staffed, job_id, "completed")
    desk.goto(f"{staffed.base_url}/admin/operations/")
    assert desk.get_by_role("button", name="Remove them").count() == 0
    desk.get_by_label("Finished more than").fill("0")
    desk.get_by_role("button", name="Count").click()
    expect(desk.get_by_role("status")).to_contain_text("Would remove")
    assert status(staffed, job_id) == "completed"
    desk.get_by_role("button", name="Remove them").click()
    expect(desk.get_by_text("Cleaned up")).to_be_visible()
    with staffed.client() as client:
        assert client.get(f"/api/v1/jobs/{job_id}").status_code == 404
        assert client.get("/api/v1/stats").json()["total_images_processed"] > 0


def test_a_key_is_shown_once_works_and_is_revoked(desk: Page, staffed: Service) -> None:
    desk.goto(f"{staffed.base_url}/admin/jobs/apikey/add/")
    desk.get_by_label("Name").fill("Test robot")
    desk.get_by_role("button", name="Save", exact=True).click()
    secret = desk.locator("input[readonly]").first.input_value()
    assert secret.startswith("ups_")
    assert serious_findings(desk) == []

    def call() -> int:
        return httpx.get(f"{staffed.base_url}/api/v1/jobs", headers={"X-API-Key": secret}, timeout=240).status_code

    assert call() == 200
    desk.goto(f"{staffed.base_url}/admin/jobs/apikey/")
    assert secret not in desk.content()
    desk.get_by_role("row", name="Test robot").get_by_role("checkbox").check()
    desk.get_by_label("Action:").select_option(label="Revoke")
    desk.get_by_role("button", name="Run").or_(desk.get_by_role("button", name="Go")).first.click()
    expect(desk.get_by_text("1 key revoked.")).to_be_visible()
    assert call() == 401


def test_a_download_is_started_and_arrives(
    desk: Page, staffed: Service, mirror: ThreadingHTTPServer, real_weights: Path
) -> None:
    directory: Path = mirror.directory / "v0.2.5.0"  # type: ignore[attr-defined]
    directory.mkdir()
    (directory / real_weights.name).write_bytes(real_weights.read_bytes())
    desk.goto(f"{staffed.base_url}/admin/modelstore/model/")
    desk.get_by_role("button", name=f"Download {DOWNLOADED}").click()
    expect(desk.get_by_text(f"Download requested: {DOWNLOADED}")).to_be_visible()

    def available() -> bool:
        with staffed.client() as client:
            return bool(client.get(f"/api/v1/models/{DOWNLOADED}").json()["available"])

    eventually(available, seconds=120)
    desk.goto(f"{staffed.base_url}/admin/modelstore/model/")
    row = desk.get_by_role("row", name=DOWNLOADED)
    expect(row).to_contain_text("Ready")
    row.get_by_role("button", name="Verify").click()
    expect(desk.get_by_text(f"Checksum verified: {DOWNLOADED}")).to_be_visible()
    row.get_by_role("link", name="Delete").click()
    expect(desk.get_by_text("It can be downloaded again at any time")).to_be_visible()
    assert serious_findings(desk) == []
    desk.get_by_role("button", name="Yes, delete").click()
    expect(desk.get_by_text(f"Deleted {DOWNLOADED}")).to_be_visible()
    expect(row).to_contain_text("Not downloaded")
