"""Bad input: each a clear JSON error of the right status, no row and no file left, the service as well as before."""

import struct
import zlib
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from benchmarks.fuzz_api import run
from tests.api.conftest import is_error, picture
from tests.service import Service
from tests.tiny_models import TINY_MODEL

Left = Callable[[], None]


def huge_png(width: int, height: int) -> bytes:
    """A PNG of a few kB that claims to be enormous."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((width // 8 + 1) * 100), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def post(api: httpx.Client, path: str, content: bytes | None, **form: Any) -> httpx.Response:
    fields: dict[str, Any] = {name: (None, value) for name, value in {"model": TINY_MODEL, **form}.items()}
    return api.post(path, files=fields if content is None else {**fields, "image": ("a.png", content)})


@pytest.mark.parametrize("path", ["/upscale", "/jobs"])
@pytest.mark.parametrize(
    ("content", "status", "code", "words"),
    [
        (None, 422, "validation_error", "No file was sent"),
        (b"", 400, "image_invalid", "empty"),
        (b"just text", 400, "image_invalid", ""),
        (picture()[:40], 400, "image_invalid", ""),
        (picture()[:-20], 400, "image_invalid", "truncated"),
        (huge_png(30_000, 30_000), 400, "image_too_large", "50"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 400, "image_invalid", ""),
    ],
    ids=["none", "empty", "text", "cut after its header", "cut near its end", "30000x30000", "svg"],
)
def test_pictures_that_are_none(
    api: httpx.Client, nothing_left: Left, path: str, content: bytes | None, status: int, code: str, words: str
) -> None:
    response = post(api, path, content)
    assert is_error(response, status, code)
    assert words in response.json()["detail"]


@pytest.mark.parametrize(
    ("field", "value", "status", "code"),
    [
        ("tile_size", "abc", 422, "validation_error"),
        ("tile_size", "31", 422, "validation_error"),
        ("tile_size", "-1", 422, "validation_error"),
        ("tile_size", "9" * 400, 422, "validation_error"),
        ("tile_pad", "129", 422, "validation_error"),
        ("outscale", "-1", 422, "validation_error"),
        ("outscale", "NaN", 422, "validation_error"),
        ("outscale", "1e400", 422, "validation_error"),
        ("outscale", "", 422, "validation_error"),
        ("format", "exe", 422, "validation_error"),
        ("tilesize", "512", 422, "validation_error"),
        ("model", "RealESRGAN_x5", 404, "model_not_found"),
        ("model", "RealESRGAN_x4plus", 503, "model_not_available"),
        ("model", "../../etc/passwd", 404, "model_not_found"),
        ("model", "a" * 10_000, 422, "validation_error"),
        ("model", "a\x00b", 422, "validation_error"),
        ("model", f"{TINY_MODEL}+", 422, "chain_refused"),
        ("model", f"+{TINY_MODEL}", 422, "chain_refused"),
        ("model", f"{TINY_MODEL}++{TINY_MODEL}", 422, "chain_refused"),
        ("model", "+".join([TINY_MODEL] * 4), 422, "chain_refused"),
        ("model", "+".join(["a"] * 100), 422, "chain_refused"),
        ("model", "+".join([TINY_MODEL] * 200), 422, "validation_error"),
        ("model", f"{TINY_MODEL}+RealESRGAN_x5", 404, "model_not_found"),
        ("model", f"{TINY_MODEL}\uff0b{TINY_MODEL}", 404, "model_not_found"),
        ("model", f"{TINY_MODEL} {TINY_MODEL}", 404, "model_not_found"),
        ("model", f"{TINY_MODEL}+RealESRGAN_x4plus", 503, "model_not_available"),
        ("model", "+".join([TINY_MODEL] * 3) + "+", 422, "chain_refused"),
        ("denoise_strength", "0.5", 400, "denoise_unsupported"),
        ("webhook_url", "ftp://example.org/", 422, "webhook_url_refused"),
        ("webhook_url", "http://127.0.0.1/hook", 422, "webhook_url_refused"),
        ("image_url", "http://127.0.0.1/cat.png", 422, "validation_error"),
    ],
)
def test_values(api: httpx.Client, nothing_left: Left, field: str, value: str, status: int, code: str) -> None:
    response = post(api, "/jobs", picture(), **{field: value})
    assert is_error(response, status, code)
    if code == "validation_error" and field != "image_url":
        assert [problem["field"] for problem in response.json()["errors"]] == [field]


def test_an_image_url_alone_is_refused_where_it_is_switched_off(api: httpx.Client, nothing_left: Left) -> None:
    response = api.post("/jobs", json={"image_url": "http://example.org/cat.png", "model": TINY_MODEL})
    assert is_error(response, 422, "image_url_refused")


def test_nobody_guesses_which_of_two_values_was_meant(api: httpx.Client, nothing_left: Left) -> None:
    twice = [("image", ("a.png", picture())), ("image", ("b.png", picture()))]
    assert is_error(api.post("/jobs", files=twice, data={"model": TINY_MODEL}), 422, "validation_error")
    both = api.post("/jobs", params={"model": TINY_MODEL}, files={"image": picture()}, data={"model": TINY_MODEL})
    assert is_error(both, 422, "validation_error")


def test_huge_numbers_of_fields_and_files(api: httpx.Client, nothing_left: Left) -> None:
    fields = {f"field{number}": "x" for number in range(1000)}
    assert is_error(post(api, "/jobs", picture(), **fields), 422, "too_many_fields")
    files = [("images", (f"{number}.png", b"x")) for number in range(300)]
    assert is_error(api.post("/upscale-batch", files=files), 422, "too_many_files")


def test_a_batch_of_one_more_than_allowed(api: httpx.Client, nothing_left: Left) -> None:
    files = [("images", (f"{number}.png", picture())) for number in range(101)]
    response = api.post("/upscale-batch", files=files, data={"model": TINY_MODEL})
    assert is_error(response, 422, "batch_too_large")
    assert "100" in response.json()["detail"]


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data", 400),
        ("", 415),
        ("image", 415),
    ],
)
def test_wrong_content_types(api: httpx.Client, nothing_left: Left, content_type: str, status: int) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    response = api.post("/jobs", content=picture(), headers=headers)
    assert response.status_code == status, response.text
    assert set(response.json()) >= {"detail", "code"}


def test_a_body_of_unknown_length_is_read_to_its_end(api: httpx.Client) -> None:
    whole = picture()
    pieces = iter([whole[:20], whole[20:]])  # httpx sends an iterator chunked
    response = api.post(f"/upscale?model={TINY_MODEL}", content=pieces, headers={"Content-Type": "image/png"})
    assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"models": ["\\ud800"]}', b'{"models": ["\\u0000"]}', b"\xff", b"[]", b'{"models": 5}']
)
def test_json_with_sharp_edges(api: httpx.Client, body: bytes) -> None:
    response = api.post("/models/download", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code in (400, 422), response.text
    assert set(response.json()) >= {"detail", "code"}


@pytest.mark.parametrize(
    "name",
    [
        "../../../etc/passwd",
        "..\\..\\x.png",
        "ä😀.png",
        "a" * 700 + ".png",
        "x." + "b" * 700,
        "-rf",
        "a;b=c.png",
        'a"b.png',
    ],
)
def test_strange_file_names_are_only_names(api: httpx.Client, name: str) -> None:
    response = api.post("/upscale", files={"image": (name, picture())}, data={"model": TINY_MODEL})
    assert response.status_code == 200, response.text
    disposition = response.headers["Content-Disposition"]
    assert "/" not in disposition.replace("utf-8''", "")
    assert ".." not in disposition


def test_django_itself_answers_json_below_api(api: httpx.Client, service: Service) -> None:
    assert is_error(httpx.get(f"{service.base_url}/api/nothing"), 404, "not_found")
    assert is_error(api.put("/jobs"), 405, "method_not_allowed")
    assert is_error(api.get("/jobs/%00"), 400, "malformed_request")
    assert is_error(api.get("/jobs", params={"x": "\x00"}), 400, "malformed_request")
    assert is_error(
        api.post("/models/download", content=b" " * 3_000_000, headers={"Content-Type": "application/json"}),
        413,
        "body_too_large",
    )
    assert httpx.get(f"{service.base_url}/nothing").headers["Content-Type"].startswith("text/html")


def test_a_charset_of_the_callers_choice_breaks_nothing(api: httpx.Client) -> None:
    for charset in ("base64", "utf-16", "utf-7", "nonsense"):
        response = api.get("/jobs?limit=1", headers={"Content-Type": f"text/plain; charset={charset}"})
        assert response.status_code == 200, response.text


def test_generated_bad_calls(service: Service) -> None:
    """A few hundred of what benchmarks/fuzz_api.py sends by the thousand."""
    findings = run(service.base_url, TINY_MODEL, count=390, seed=5)
    assert findings.problems == []
    assert list((service.data_dir / "files" / "uploads").iterdir()) == [], "temporary files were left behind"
