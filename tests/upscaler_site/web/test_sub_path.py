"""PUBLIC_URL with a path: everything works below it, behind a real nginx, whether that takes the path off or not."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.api.conftest import picture
from tests.nginx import nginx
from tests.ports import free_port
from tests.upscaler_site.web.conftest import StartWeb, WebServer

pytestmark = pytest.mark.processes

PREFIX = "/upscaler"

SERVERS = """
  proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  proxy_set_header X-Forwarded-Proto $scheme;
  server {{ listen 127.0.0.1:{stripping}; location /upscaler/ {{ proxy_pass http://127.0.0.1:{port}/; }} }}
  server {{ listen 127.0.0.1:{keeping}; location /upscaler/ {{ proxy_pass http://127.0.0.1:{port}; }} }}
"""


class Proxied:
    """A web server below a path, and the two addresses under which nginx shows it."""

    def __init__(self, server: WebServer, stripping: int, keeping: int) -> None:
        self.server = server
        self.hosts = {"stripping": f"http://127.0.0.1:{stripping}", "keeping": f"http://127.0.0.1:{keeping}"}


@pytest.fixture(scope="module")
def proxied(start_web: StartWeb, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    place, stripping, keeping = tmp_path_factory.mktemp("nginx"), free_port(), free_port()
    server = start_web(
        PUBLIC_URL=f"http://127.0.0.1:{stripping}{PREFIX}",
        TRUSTED_PROXIES="1",
        DJANGO_SUPERUSER_USERNAME="chief",
        DJANGO_SUPERUSER_PASSWORD="a long word 1",
        DJANGO_SUPERUSER_EMAIL="chief@example.org",
    )
    server.manage("createsuperuser", "--no-input")
    made = Proxied(server, stripping, keeping)
    servers = SERVERS.format(stripping=stripping, keeping=keeping, port=server.port)
    with nginx(place, servers, *(f"{host}{PREFIX}/api/v1/health/live" for host in made.hosts.values())):
        yield made


@pytest.fixture(params=["stripping", "keeping"])
def host(request: pytest.FixtureRequest, proxied: Proxied) -> str:
    return proxied.hosts[request.param]


def links(html: str) -> list[str]:
    """Every address in the document but those within it or on other sites."""
    found = re.findall(r"""(?:href|src|action|content)=["'](/[^"']*)["']""", html)
    return [link for link in found if not link.startswith("//")]


@pytest.mark.parametrize("path", ["/", "/admin/login/", "/api/docs", "/api/redoc"])
def test_every_link_of_a_page_stays_below_the_path_and_leads_somewhere(host: str, path: str) -> None:
    with httpx.Client(timeout=240) as client:
        html = client.get(f"{host}{PREFIX}{path}").raise_for_status().text
        assert links(html)
        for link in set(links(html)):
            assert link.startswith(f"{PREFIX}/"), link
            assert client.get(urljoin(host, link), follow_redirects=True).status_code == 200, link


def test_the_api_answers_addresses_that_work(host: str, proxied: Proxied) -> None:
    with httpx.Client(base_url=host, timeout=240) as client:
        form = {"model": "bundled-compact-x4"}
        answer = client.post(f"{PREFIX}/api/v1/jobs", files={"image": picture()}, data=form)
        assert answer.status_code == 202, answer.text
        for address in (answer.headers["Location"], answer.json()["status_url"], answer.json()["events_url"]):
            assert address.startswith(f"{PREFIX}/api/v1/jobs/")
        assert client.get(answer.headers["Location"]).json()["status"] == "queued"
        signed = client.post(f"{answer.headers['Location']}/links").json()
        assert client.get(signed["input_url"]).content == picture()
        assert client.get(f"{PREFIX}/api/schema").json()["servers"][0]["url"] == PREFIX
        assert client.get(f"{PREFIX}/api/v1/nothing").json()["code"] == "not_found"
    # A probe comes without the proxy, and knows nothing of its path.
    assert httpx.get(f"{proxied.server.base_url}/api/v1/health/live", timeout=240).status_code == 200
    assert httpx.get(f"{proxied.server.base_url}/metrics", timeout=240).status_code == 200


def test_a_log_in_stays_below_the_path_and_so_do_its_cookies(host: str) -> None:
    with httpx.Client(base_url=host, timeout=240) as client:
        refused = client.get(f"{PREFIX}/admin/")
        assert refused.headers["Location"] == f"{PREFIX}/admin/login/?next={PREFIX}/admin/"
        login = client.get(refused.headers["Location"])
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', login.text)
        assert token
        form = {"username": "chief", "password": "a long word 1", "csrfmiddlewaretoken": token[1]}
        done = client.post(refused.headers["Location"], data=form, headers={"Origin": host})
        assert (done.status_code, done.headers["Location"]) == (302, f"{PREFIX}/admin/")
        assert {cookie.path for cookie in client.cookies.jar} == {PREFIX}
        assert client.get(f"{PREFIX}/admin/operations/").status_code == 200
        assert client.get(f"{PREFIX}/admin/jobs/job/").status_code == 200


@pytest.mark.browser
def test_the_page_works_below_the_path(host: str, page: Page) -> None:
    page.goto(f"{host}{PREFIX}/")
    expect(page.locator("#docs-link")).to_be_visible()
    page.locator("#docs-link").click()
    expect(page.get_by_text("/api/v1/upscale", exact=True).first).to_be_visible()
    assert page.url.startswith(f"{host}{PREFIX}/api/docs")


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("https://example.org/a b", "letters, digits"),
        ("https://example.org/admin", "must not begin with"),
        ("https://example.org/api/upscaler", "must not begin with"),
        ("example.org/upscaler", "must be like"),
    ],
)
def test_a_path_that_cannot_work_is_refused_at_the_start(tmp_path: Path, url: str, complaint: str) -> None:
    done = WebServer(tmp_path / "data", {"PUBLIC_URL": url}).manage("check", check=False)
    assert done.returncode != 0
    assert complaint in done.stderr
    assert "PUBLIC_URL" in done.stderr
