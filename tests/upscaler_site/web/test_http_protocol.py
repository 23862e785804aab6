"""Requests as real clients and odd ones send them: each is answered, and its connection takes the next call."""

import json
from typing import Any

import httpx
import pytest

from tests.api.conftest import picture
from tests.eventually import eventually
from tests.upscaler_site.web.conftest import Line, StartWeb, WebServer

LIVE = b"GET /api/v1/health/live HTTP/1.1\r\n"
MODEL = b'--edge\r\nContent-Disposition: form-data; name="model"\r\n\r\nbundled-compact-x4\r\n'


def form(content: bytes, *, name: bytes = b"a.png", epilogue: bytes = b"") -> bytes:
    head = b'--edge\r\nContent-Disposition: form-data; name="image"; filename="' + name + b'"\r\n\r\n'
    return MODEL + head + content + b"\r\n--edge--\r\n" + epilogue


def post(
    line: Line, body: bytes, kind: bytes = b"multipart/form-data; boundary=edge", *more: bytes
) -> tuple[int, bytes]:
    head = b"\r\n".join(
        [b"POST /api/v1/jobs HTTP/1.1", b"Content-Type: " + kind, b"Content-Length: %d" % len(body), *more]
    )
    status, _, answer = line.ask(head, body)
    return status, answer


def alive(line: Line) -> bool:
    """Whether the same connection takes the next call."""
    return line.ask(LIVE)[2] == b'{"alive":true}'


@pytest.mark.parametrize("kind", [b"Multipart/Form-Data; boundary=edge", b"MULTIPART/FORM-DATA; Boundary=edge"])
def test_a_content_type_has_no_case(web: WebServer, kind: bytes) -> None:
    with Line(web) as line:
        status, answer = post(line, form(picture()), kind)
        assert status == 202, answer
        assert alive(line)


def test_an_epilogue_is_no_part(web: WebServer) -> None:
    with Line(web) as line:
        status, answer = post(line, form(picture(), epilogue=b"the end " * 500))
        assert status == 202, answer
        assert alive(line)


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"DELETE"])
@pytest.mark.parametrize("size", [10, 700_000])
def test_a_body_that_nobody_expects_does_not_cut_the_next_call(web: WebServer, method: bytes, size: int) -> None:
    with Line(web) as line:
        head = method + b" /api/v1/health HTTP/1.1\r\nContent-Length: %d" % size
        line.socket.sendall(head + b"\r\nHost: localhost\r\n\r\n" + b"x" * size)
        if method == b"HEAD":
            while b"\r\n\r\n" not in line._read:
                line._more()
            line._read = b""
        else:
            assert line.answer()[0] in (200, 405)
        assert alive(line)


@pytest.mark.parametrize("name", [b"\xe4\xf6.png", b"\xff\xfe\x80.png", "ä😀.png".encode(), b"a\x01b.png"])
def test_a_file_may_have_any_name(web: WebServer, name: bytes) -> None:
    with Line(web) as line:
        status, answer = post(line, form(picture(), name=name))
        assert status == 202, answer
        job = json.loads(line.ask(f"GET {json.loads(answer)['status_url']} HTTP/1.1".encode())[2])
        assert job["filename"].endswith(".png")


@pytest.mark.parametrize("charset", [b"bogus", b"undefined", b"hex", b"", b"utf-8", b"latin-1"])
def test_a_name_may_claim_any_character_set(web: WebServer, charset: bytes) -> None:
    body = form(picture(), name=b"x.png").replace(b'filename="x.png"', b"filename*=" + charset + b"''%e4.png")
    assert charset + b"''%e4" in body
    with Line(web) as line:
        status, answer = post(line, body)
        assert status == 202, answer


@pytest.mark.parametrize(
    "disposition",
    [
        b'attachment; filename="\xe4\xf6.png"',
        b"attachment; filename*=utf-8''%ff%fe.png",
        b"attachment; filename*=x''%ff",
    ],
)
def test_a_bare_picture_may_have_any_name(web: WebServer, disposition: bytes) -> None:
    with Line(web) as line:
        head = b"POST /api/v1/jobs?model=bundled-compact-x4 HTTP/1.1\r\nContent-Type: image/png\r\n"
        body = picture()
        head += b"Content-Disposition: " + disposition + b"\r\nContent-Length: %d" % len(body)
        status, _, answer = line.ask(head, body)
        assert status == 202, answer


def test_a_name_in_utf_8_is_kept(web: WebServer) -> None:
    with Line(web) as line:
        head = b"POST /api/v1/jobs?model=bundled-compact-x4 HTTP/1.1\r\nContent-Type: image/png\r\n"
        body = picture()
        head += 'Content-Disposition: attachment; filename="ö.png"\r\n'.encode() + b"Content-Length: %d" % len(body)
        answer = json.loads(line.ask(head, body)[2])
        job = json.loads(line.ask(f"GET {answer['status_url']} HTTP/1.1".encode())[2])
        assert job["filename"] == "ö.png"


@pytest.mark.parametrize(
    "name",
    [
        "Accept",
        "Accept-Language",
        "Authorization",
        "Content-Type",
        "Cookie",
        "Forwarded",
        "If-Match",
        "If-Modified-Since",
        "If-None-Match",
        "If-Range",
        "Idempotency-Key",
        "Last-Event-ID",
        "Origin",
        "Prefer",
        "Range",
        "Referer",
        "User-Agent",
        "X-API-Key",
        "X-CSRFToken",
        "X-Forwarded-For",
        "X-Request-ID",
    ],
)
def test_any_bytes_in_a_header_are_answered(web: WebServer, name: str) -> None:
    with Line(web) as line:
        for address in ("/api/v1/jobs", "/admin/login/", "/"):
            head = f"GET {address} HTTP/1.1\r\n{name}: ".encode() + b"\xe4\xff\xfe\x80;\xc3\x28=%ff"
            assert line.ask(head)[0] < 500


@pytest.mark.parametrize(
    "address", [b"/%ff%fe", b"/api/v1/jobs/%e4", b"/api/v1/jobs?status=%ff", b"/static/%ff.css", b"//x"]
)
def test_any_bytes_in_an_address_are_answered(web: WebServer, address: bytes) -> None:
    with Line(web) as line:
        assert 400 <= line.ask(b"GET " + address + b" HTTP/1.1")[0] < 500
        assert alive(line)


def test_a_whole_address_in_the_request_line_is_its_path(web: WebServer) -> None:
    with Line(web) as line:
        assert line.ask(b"GET http://localhost/api/v1/health/live HTTP/1.1")[2] == b'{"alive":true}'


def test_a_caller_cannot_say_below_which_path_we_are(web: WebServer) -> None:
    with Line(web) as line:
        for name in (b"SCRIPT_NAME", b"Script-Name", b"X-Script-Name", b"X-Forwarded-Prefix"):
            _, headers, page = line.ask(b"GET / HTTP/1.1\r\n" + name + b": /evil")
            assert b"/evil" not in page
            assert b"/evil" not in headers.get(b"set-cookie", b"")


def test_a_header_with_an_underscore_does_not_pass_for_a_proxys(start_web: StartWeb) -> None:
    server = start_web(TRUSTED_PROXIES="1", METRICS_ACCESS="private")
    with Line(server) as line:
        assert line.ask(b"GET /metrics HTTP/1.1\r\nX-Forwarded-For: 8.8.8.8")[0] == 403
        assert line.ask(b"GET /metrics HTTP/1.1\r\nX_Forwarded_For: 10.0.0.1\r\nX-Forwarded-For: 8.8.8.8")[0] == 403
        assert line.ask(b"GET /metrics HTTP/1.1\r\nX-Forwarded-For: 10.0.0.1")[0] == 200


def refused(line: Line, head: bytes, status: int, code: str, start: bytes = b"") -> None:
    """The answer comes though the body does not, in the shape of every error, and the connection ends."""
    got, headers, answer = line.ask(head, start)
    assert (got, json.loads(answer)["code"]) == (status, code)
    assert headers[b"connection"] == b"close"
    assert headers[b"x-request-id"]


def test_too_large_a_body_is_refused_before_it_is_sent(web: WebServer) -> None:
    with Line(web) as line:
        head = b"POST /api/v1/jobs HTTP/1.1\r\nContent-Type: image/png\r\nContent-Length: 400000000"
        refused(line, head, 413, "upload_too_large")
    with Line(web) as line:
        head += b"\r\nExpect: 100-continue"
        refused(line, head, 413, "upload_too_large")
        assert line.ended()
    with Line(web) as line:
        head = b"POST /api/v1/models/download HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 3000000"
        refused(line, head, 413, "body_too_large")
    with Line(web) as line:
        refused(line, b"GET /api/v1/jobs HTTP/1.1\r\nContent-Length: 3000000", 413, "body_too_large")


def test_a_body_of_unknown_length_is_refused_as_soon_as_it_is_too_large(web: WebServer) -> None:
    with Line(web) as line:
        head = b"POST /api/v1/jobs HTTP/1.1\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked"
        refused(line, head, 413, "upload_too_large", b"500000\r\n" + b"x" * 0x500000)


def test_a_caller_who_sends_on_reads_the_refusal(web: WebServer) -> None:
    body = b"x" * 20_000_000
    answer = httpx.post(f"{web.base_url}/api/v1/jobs", content=body, headers={"Content-Type": "image/png"}, timeout=120)
    assert answer.status_code == 413


def test_who_may_send_on_is_told_so(web: WebServer) -> None:
    with Line(web) as line:
        body = form(picture())
        head = b"POST /api/v1/jobs HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=edge\r\n"
        assert line.ask(head + b"Expect: 100-continue\r\nContent-Length: %d" % len(body))[0] == 100
        line.socket.sendall(body)
        assert line.answer()[0] == 202


def test_too_long_an_address_or_header_is_refused_in_the_shape_of_every_error(web: WebServer) -> None:
    with Line(web) as line:
        refused(line, b"GET /api/v1/jobs?x=" + b"a" * 9000 + b" HTTP/1.1", 414, "address_too_long")
    for size in (66_000, 131_000, 400_000):
        with Line(web) as line:
            status, _, answer = line.ask(LIVE + b"X: " + b"a" * size)
            assert (size, status, json.loads(answer)["code"]) == (size, 431, "header_too_large")
        with Line(web) as line:
            status, _, answer = line.ask(b"GET /api/v1/jobs?x=" + b"a" * size + b" HTTP/1.1")
            assert (size, status, json.loads(answer)["code"]) == (size, 414, "address_too_long")
    with Line(web) as line:
        assert line.ask(b"GET /api/v1/jobs?limit=1&cursor=" + b"a" * 8000 + b" HTTP/1.1")[0] in (200, 400, 422)


def test_two_words_about_the_bodys_end_are_refused_and_what_follows_is_not_answered(web: WebServer) -> None:
    """A proxy that goes by the length would take the second request for the first one's body."""
    smuggled = b"0\r\n\r\nGET /api/v1/health HTTP/1.1\r\nHost: a\r\n\r\n"
    with Line(web) as line:
        head = b"POST /api/v1/jobs HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: %d" % len(smuggled)
        status, fields, answer = line.ask(head, smuggled)
        assert (status, json.loads(answer)["code"]) == (400, "malformed_request")
        assert fields[b"connection"] == b"close"
        assert line.ended()


def test_what_is_no_http_is_refused_in_the_shape_of_every_error(web: WebServer) -> None:
    with Line(web) as line:
        status, headers, answer = line.ask(b"NONSENSE")
        assert (status, json.loads(answer)["code"]) == (400, "malformed_request")
        assert headers[b"content-type"] == b"application/json"


def test_refusals_are_counted_and_logged_like_every_request(web: WebServer) -> None:
    with Line(web) as line:
        head = (
            b"PUT /api/v1/jobs HTTP/1.1\r\nContent-Type: image/png\r\nContent-Length: 400000000\r\nX-Request-ID: big-1"
        )
        refused(line, head, 413, "upload_too_large")

    def lines() -> list[dict[str, Any]]:
        written = [json.loads(text) for text in web.output().splitlines() if text.startswith("{")]
        return [each for each in written if each["logger"] == "upscaler.access" and each.get("request") == "big-1"]

    (logged,) = eventually(lines, say="the line of the access log")
    assert (logged["method"], logged["path"]) == ("PUT", "/api/v1/jobs")
    assert (logged["status"], logged["address"]) == (413, "127.0.0.1")

    def counted() -> bool:
        return 'method="PUT",route="api/v1/jobs",status="413"' in httpx.get(f"{web.base_url}/metrics", timeout=240).text

    eventually(counted, say="the refusal among the counted requests")


def test_no_answer_tells_which_server_it_is(web: WebServer) -> None:
    with Line(web) as line:
        assert b"server" not in line.ask(LIVE)[1]


def test_a_large_upload_without_a_key_is_refused_at_once_where_one_is_needed(start_web: StartWeb) -> None:
    server = start_web(REQUIRE_API_KEY="1")
    head = b"POST /api/v1/jobs HTTP/1.1\r\nContent-Type: image/png\r\nContent-Length: 100000000"
    with Line(server) as line:
        status, headers, answer = line.ask(head)
        assert (status, json.loads(answer)["code"]) == (401, "not_authenticated")
        assert headers[b"www-authenticate"].startswith(b"Bearer")
    with Line(server) as line:
        line.socket.sendall(head + b"\r\nHost: localhost\r\nAuthorization: Bearer x\r\nExpect: 100-continue\r\n\r\n")
        assert line.answer()[0] == 100, "what the key is worth is found out when the body is there"


def test_an_ipv6_address_is_listened_on(start_web: StartWeb) -> None:
    server = start_web(LISTEN_ADDRESS="::", ALLOWED_HOSTS="*")
    assert httpx.get(f"http://[::1]:{server.port}/api/v1/health/live", timeout=240).status_code == 200
