"""Sources that a catalogue names: https to public addresses, redirects included, and no proxy."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelstore import safe_http
from modelstore.downloads.download import Fetched, Source, fetch
from modelstore.errors import DownloadFailed
from tests.modelstore import liar as lies
from tests.modelstore.downloads.test_download import BOUNDS, CONTENT, SHA256
from tests.modelstore.liar import Liar

HOST = "models.example.org"


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server behind TLS on this machine, whose address alone counts as public here."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-keyout", str(key), "-out", str(certificate), "-subj", f"/CN={HOST}",
         "-addext", f"subjectAltName=DNS:{HOST}"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    look_up = socket.getaddrinfo

    def resolve(host: str, port: Any, *args: Any, **kwargs: Any) -> Any:
        return look_up("127.0.0.1" if host == HOST else host, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(safe_http, "is_public", lambda address: address == "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    safe_http._tls.cache_clear()
    with Liar() as liar:
        liar._server.socket = context.wrap_socket(liar._server.socket, server_side=True)
        liar.put("/good", CONTENT)
        liar.put("/down", b"", lies.redirect(liar.url + "/good"))
        liar.put("/inside", b"", lies.redirect("https://10.0.0.1/good"))
        liar.put("/moved", b"", lies.redirect("/good"))
        yield liar.url.replace("http://127.0.0.1", f"https://{HOST}")
    safe_http._tls.cache_clear()


def bring(url: str, directory: Path) -> Fetched:
    return fetch(
        [Source("there", url, public_only=True)],
        directory / "model.pth",
        size_bytes=len(CONTENT),
        sha256=SHA256,
        bounds=BOUNDS,
        token="one",
        on_progress=lambda here: None,
        stopped=threading.Event(),
    )


@pytest.mark.parametrize("path", ["/good", "/moved"])
def test_the_file_arrives_without_the_proxy(
    tls: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    bring(tls + path, tmp_path)
    assert (tmp_path / "model.pth").read_bytes() == CONTENT


def test_a_redirect_to_plain_http_is_refused(tls: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match=r"127\.0\.0\.1 is to be reached by https"):
        bring(f"{tls}/down", tmp_path)


def test_a_redirect_into_a_private_network_is_refused(tls: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match=r"Not allowed: the host 10\.0\.0\.1 leads to a private or reserved"):
        bring(f"{tls}/inside", tmp_path)


def test_a_name_that_nobody_knows_is_a_network_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed, match="cannot be resolved") as failure:
        bring("https://nobody.invalid/good", tmp_path)
    assert failure.value.unreachable
