"""image_url against a real server that redirects, stalls, lies about lengths and never ends."""

import contextlib
import gzip
import threading
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.test import Client
from pytest_django.fixtures import Settings

from jobs.errors import ImageUrlFailed, ImageUrlRefused, UploadTooLarge
from jobs.submission import image_url

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 500


class _Pictures(BaseHTTPRequestHandler):
    """/to?URL redirects there; /loop to itself; /status/N; /stall; /endless; /liar (declares 10 GB); /short."""

    def do_GET(self) -> None:
        released: threading.Event = self.server.released  # type: ignore[attr-defined]
        path, _, query = self.path.partition("?")
        with contextlib.suppress(OSError):
            if path == "/to":
                self._head(302, ("Location", query), ("Content-Length", "0"))
            elif path == "/loop":
                self._head(302, ("Location", "/loop"), ("Content-Length", "0"))
            elif path.startswith("/status/"):
                self._head(int(path.rpartition("/")[2]), ("Content-Length", "0"))
            elif path == "/stall":
                released.wait(240)
            elif path == "/endless":
                self._head(200)
                while not released.is_set():
                    self.wfile.write(b"z" * 65_536)
            elif path == "/liar":
                self._head(200, ("Content-Length", "10000000000"))
            elif path == "/packed":  # in the coding that the query names
                packed = {"deflate": zlib.compress(PICTURE), "identity": PICTURE, "br": PICTURE}
                body = packed.get(query) or gzip.compress(PICTURE)
                self._head(200, ("Content-Encoding", query), ("Content-Length", str(len(body))))
                self.wfile.write(body)
            elif path == "/packed-badly":
                self._head(200, ("Content-Encoding", "gzip"))
                self.wfile.write(gzip.compress(PICTURE)[:-9] if query == "short" else PICTURE)
            elif path == "/bomb":
                self._head(200, ("Content-Encoding", "gzip"))
                self.wfile.write(gzip.compress(bytes(300_000_000), 9))
            elif path == "/short":
                self._head(200, ("Content-Length", str(len(PICTURE) + 1)))
                self.wfile.write(PICTURE)
            else:
                self._head(200, ("Content-Length", str(len(PICTURE))), ("Content-Type", "image/png"))
                self.wfile.write(PICTURE)

    def _head(self, status: int, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def site(settings: Settings, tmp_path: Path) -> Iterator[str]:
    """The address of the server, which is allowed by host and port; uploads go to a directory of the test's own."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Pictures)
    server.daemon_threads = True
    server.released = threading.Event()  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    netloc = f"127.0.0.1:{server.server_address[1]}"
    settings.IMAGE_URL_HOSTS = [netloc]
    settings.WEBHOOK_ALLOW_PRIVATE = True
    settings.IMAGE_URL_TIMEOUT_SECONDS = 20.0
    settings.MAX_UPLOAD_MB, settings.MAX_UPLOAD_BYTES = 1, 1_000_000
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path / "uploads")
    yield f"http://{netloc}"
    server.released.set()  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()


def left_behind(settings: Settings) -> list[Path]:
    return list(Path(settings.FILE_UPLOAD_TEMP_DIR).glob("*"))


def test_a_picture_is_fetched_into_a_temporary_file_like_an_upload(site: str, settings: Settings) -> None:
    upload = image_url.fetch(f"{site}/my%20cat.png?size=large")
    assert isinstance(upload, TemporaryUploadedFile)
    assert (upload.name, upload.size, upload.content_type) == ("my cat.png", len(PICTURE), "image/png")
    assert upload.read() == PICTURE
    assert Path(upload.temporary_file_path()).parent == Path(settings.FILE_UPLOAD_TEMP_DIR)
    upload.close()
    assert left_behind(settings) == []


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "deflate", "identity"])
def test_an_answer_that_is_compressed_unasked_is_unpacked(coding: str, site: str) -> None:
    upload = image_url.fetch(f"{site}/packed?{coding}")
    assert upload.read() == PICTURE


def test_a_coding_that_is_not_known_is_named(site: str, settings: Settings) -> None:
    with pytest.raises(ImageUrlFailed, match="content coding br"):
        image_url.fetch(f"{site}/packed?br")
    assert left_behind(settings) == []


@pytest.mark.parametrize("fault", ["short", "plain"])
def test_a_compressed_answer_that_is_none_or_breaks_off_is_a_failure(fault: str, site: str, settings: Settings) -> None:
    with pytest.raises(ImageUrlFailed, match=r"not in it|before it was complete"):
        image_url.fetch(f"{site}/packed-badly?{fault}")
    assert left_behind(settings) == []


def test_a_small_answer_that_unpacks_to_much_is_cut_off(site: str, settings: Settings) -> None:
    with pytest.raises(UploadTooLarge):
        image_url.fetch(f"{site}/bomb")
    assert left_behind(settings) == []


def test_a_redirect_inside_the_list_is_followed(site: str) -> None:
    assert image_url.fetch(f"{site}/to?/cat.png").size == len(PICTURE)


@pytest.mark.parametrize(
    "target", ["http://169.254.169.254/latest/meta-data", "http://localhost/x", "file:///etc/passwd"]
)
def test_a_redirect_out_of_the_list_is_refused(site: str, target: str) -> None:
    with pytest.raises(ImageUrlRefused):
        image_url.fetch(f"{site}/to?{target}")


def test_a_circle_of_redirects_ends(site: str) -> None:
    with pytest.raises(ImageUrlFailed, match="more than 3 redirects"):
        image_url.fetch(f"{site}/loop")


@pytest.mark.parametrize("target", ["http://[::1", "//[nonsense]/x"])
def test_a_redirect_to_what_is_no_address_is_a_failure(site: str, target: str) -> None:
    with pytest.raises(ImageUrlFailed, match="redirect"):
        image_url.fetch(f"{site}/to?{target}")


@pytest.mark.parametrize("status", [204, 206, 401, 404, 500])
def test_any_status_but_200_is_a_failure(site: str, status: int) -> None:
    with pytest.raises(ImageUrlFailed, match=f"status {status}"):
        image_url.fetch(f"{site}/status/{status}")


@pytest.mark.parametrize("path", ["/endless", "/liar"])
def test_more_bytes_than_an_upload_may_have_are_cut_off(path: str, site: str, settings: Settings) -> None:
    with pytest.raises(UploadTooLarge, match="1 MB"):
        image_url.fetch(f"{site}{path}")
    assert left_behind(settings) == []


def test_a_body_that_breaks_off_is_a_failure_and_leaves_nothing(site: str, settings: Settings) -> None:
    with pytest.raises(ImageUrlFailed, match="cannot be read"):
        image_url.fetch(f"{site}/short")
    assert left_behind(settings) == []


def test_a_server_that_stalls_is_not_waited_for(site: str, settings: Settings) -> None:
    settings.IMAGE_URL_TIMEOUT_SECONDS = 0.3
    with pytest.raises(ImageUrlFailed, match=r"longer than 0\.3 s"):
        image_url.fetch(f"{site}/stall")


def test_a_listed_host_that_is_private_is_refused_unless_allowed(site: str, settings: Settings) -> None:
    settings.WEBHOOK_ALLOW_PRIVATE = False
    with pytest.raises(ImageUrlRefused, match="private or reserved"):
        image_url.fetch(f"{site}/cat.png")


def test_without_a_list_image_url_is_off(site: str, settings: Settings) -> None:
    settings.IMAGE_URL_HOSTS = []
    with pytest.raises(ImageUrlRefused, match="switched off"):
        image_url.fetch(f"{site}/cat.png")


@pytest.mark.parametrize(
    ("hosts", "url", "allowed"),
    [
        (["img.example.org"], "https://img.example.org/x", True),
        (["img.example.org"], "http://IMG.example.org:80/x", True),
        (["img.example.org"], "https://img.example.org:8443/x", False),
        (["img.example.org:8443"], "https://img.example.org:8443/x", True),
        (["img.example.org"], "https://img.example.org.evil.org/x", False),
        (["img.example.org"], "https://evil.org/img.example.org", False),
        (["img.example.org"], "https://evil.org#img.example.org", False),
        (["*.example.org"], "https://a.b.example.org/x", True),
        (["*.example.org"], "https://example.org/x", False),
        (["*.example.org"], "https://evilexample.org/x", False),
    ],
)
def test_which_hosts_a_list_allows(hosts: list[str], url: str, allowed: bool, settings: Settings) -> None:
    settings.IMAGE_URL_HOSTS = hosts
    if allowed:
        assert image_url._allowed(url).url
    else:
        with pytest.raises(ImageUrlRefused, match="not among those"):
            image_url._allowed(url)


@pytest.mark.django_db
def test_the_api_says_why_an_image_url_is_refused(client: Client) -> None:
    answer = client.post("/api/v1/jobs", {"image_url": "http://169.254.169.254/x"}, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (422, "image_url_refused")
