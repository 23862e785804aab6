"""Generated bad calls to the API, a function per kind. Used by fuzz_api.py and by the tests."""

import io
import random
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

from PIL import Image

from benchmarks.bad_values import FIELDS, NASTY_NAMES, NASTY_TEXTS, PATHS, REFUSED


@dataclass
class Call:
    """One generated call."""

    kind: str
    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    must_fail: bool = False


def picture(rng: random.Random, file_format: str = "PNG") -> bytes:
    """A small valid picture."""
    out = io.BytesIO()
    size = (rng.randint(1, 24), rng.randint(1, 24))
    Image.new("RGB", size, tuple(rng.randbytes(3))).save(out, file_format)
    return out.getvalue()


def multipart(parts: list[tuple[bytes, bytes]], boundary: bytes = b"fuzz") -> bytes:
    """Assemble (Content-Disposition parameters and further headers, content) into a body."""
    body = b"".join(
        b"--" + boundary + b"\r\nContent-Disposition: form-data; " + head + b"\r\n\r\n" + content + b"\r\n"
        for head, content in parts
    )
    return body + b"--" + boundary + b"--\r\n"


def file_part(content: bytes, name: bytes = b"a.png", field_name: bytes = b"image") -> tuple[bytes, bytes]:
    """A file of a form."""
    return b'name="' + field_name + b'"; filename="' + name + b'"\r\nContent-Type: image/png', content


def text_part(name: str, value: str) -> tuple[bytes, bytes]:
    """A field of a form."""
    return b'name="' + name.encode() + b'"', value.encode("utf-8", "surrogatepass")


FORM = {"Content-Type": "multipart/form-data; boundary=fuzz"}


def refused_value(rng: random.Random, model: str) -> Call:
    """A good form with one value that must be refused."""
    name = rng.choice(list(REFUSED))
    value = rng.choice(REFUSED[name])
    parts = [file_part(picture(rng)), text_part(name, value)]
    if name != "model":
        parts.append(text_part("model", model))
    rng.shuffle(parts)
    path = rng.choice(["upscale", "jobs"])
    return Call("refused value", "POST", path, FORM, multipart(parts), must_fail=True)


def nasty_value(rng: random.Random, model: str) -> Call:
    """A form whose fields hold what nobody expects."""
    parts = [file_part(picture(rng)), text_part("model", model)]
    parts += [text_part(rng.choice(FIELDS), rng.choice(NASTY_TEXTS)) for _ in range(rng.randint(1, 4))]
    return Call("nasty value", "POST", rng.choice(["jobs", "upscale?dry_run=true"]), FORM, multipart(parts))


def duplicates(rng: random.Random, model: str) -> Call:
    """Fields or pictures that come twice, or hundreds of times."""
    which = rng.randrange(5)
    parts = [file_part(picture(rng)), text_part("model", model)]
    path = "jobs"
    if which == 0:
        parts += [text_part("model", model)]
    elif which == 1:
        parts += [file_part(picture(rng))]
    elif which == 2:
        parts += [text_part(f"f{number}", "x") for number in range(rng.choice([1, 50, 199, 500, 5000]))]
    elif which == 3:
        parts += [file_part(b"x", field_name=b"image%d" % number) for number in range(rng.choice([1, 101, 300]))]
    else:
        path = f"jobs?model={model}"
    return Call("duplicates", "POST", path, FORM, multipart(parts), must_fail=True)


def bad_file(rng: random.Random, model: str) -> Call:
    """A file that is no picture, or a broken one."""
    good = picture(rng, rng.choice(["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"]))
    huge = io.BytesIO()
    if rng.random() < 0.02:
        Image.new("1", (30_000, 30_000)).save(huge, "PNG")
    content = rng.choice(
        [
            b"",
            b"hello",
            rng.randbytes(rng.randint(1, 3000)),
            good[: rng.randint(1, 20)],
            b"\x89PNG\r\n\x1a\n",
            b"\xff\xd8\xff",
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            b"%PDF-1.7",
            b"GIF89a" + rng.randbytes(20),
            b"RIFF" + rng.randbytes(30),
            b"II*\x00" + rng.randbytes(50),
            huge.getvalue() or b"PK\x03\x04",
            b"\x00" * rng.randint(1, 5000),
        ]
    )
    if rng.random() < 0.3:
        path = f"{rng.choice(['jobs', 'upscale'])}?model={model}"
        return Call(
            "bad raw body",
            "POST",
            path,
            {"Content-Type": rng.choice(["image/png", "image/x", "image/*"])},
            content,
            must_fail=True,
        )
    parts = [file_part(content, rng.choice([b"a.png", b"a.jpg", b"a"])), text_part("model", model)]
    return Call("bad file", "POST", rng.choice(["jobs", "upscale"]), FORM, multipart(parts), must_fail=True)


def bad_name(rng: random.Random, model: str) -> Call:
    """A good picture under a bad name."""
    head, content = file_part(picture(rng), rng.choice(NASTY_NAMES))
    if rng.random() < 0.2:
        head = b'name="image"; filename*=' + rng.choice(
            [b"UTF-8''%ff%fe", b"utf-7''+AD4-", b"x''y", b"UTF-8''..%2f..%2fa.png", b"a"]
        )
    return Call("bad name", "POST", "jobs", FORM, multipart([(head, content), text_part("model", model)]))


def mutated(rng: random.Random, model: str) -> Call:
    """A good form whose bytes were damaged anywhere: boundaries, headers, fields, picture."""
    body = bytearray(multipart([file_part(picture(rng)), text_part("model", model), text_part("tile_size", "64")]))
    for _ in range(rng.randint(1, 12)):
        at = rng.randrange(len(body)) if body else 0
        deed = rng.randrange(5)
        if deed == 0 and body:
            body[at] = rng.randrange(256)
        elif deed == 1:
            body[at:at] = rng.randbytes(rng.randint(1, 30))
        elif deed == 2:
            del body[at : at + rng.randint(1, 30)]
        elif deed == 3:
            body[at:at] = rng.choice(
                [b"\r\n", b"--fuzz", b"--fuzz--", b'"', b";", b"\x00", b"Content-Transfer-Encoding: base64\r\n"]
            )
        else:
            del body[at:]
    return Call("mutated form", "POST", rng.choice(["jobs", "upscale-batch"]), FORM, bytes(body))


def wrong_type(rng: random.Random, model: str) -> Call:
    """A body under a content type that does not fit it."""
    kind = rng.choice(
        [
            "",
            "text/plain",
            "application/json",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
            "multipart/mixed; boundary=fuzz",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=" + "b" * 300,
            "application/octet-stream",
            "image",
            "image/",
            "/",
            ";",
            "application/json; charset=utf-16",
            "application/json; charset=base64",
            "application/xml",
            "a" * 5000,
            "video/mp4",
            "*/*",
            "multipart/form-data; boundary=\xff",
        ]
    )
    body = rng.choice(
        [
            multipart([file_part(picture(rng)), text_part("model", model)]),
            picture(rng),
            b"{}",
            b"a=b",
            b"",
            rng.randbytes(50),
        ]
    )
    return Call(
        "wrong content type",
        "POST",
        rng.choice(["upscale", "jobs", "upscale-batch"]),
        {"Content-Type": kind} if kind else {},
        body,
        must_fail=True,
    )


def bad_json(rng: random.Random, _model: str) -> Call:
    """JSON that is none, or not what is expected."""
    body = rng.choice(
        [
            b"",
            b"{",
            b"[" * 100_000,
            b'{"a":' * 20_000,
            b"null",
            b"1",
            b'"x"',
            b"[]",
            b"{}",
            b"NaN",
            b'{"models": "x"}',
            b'{"models": []}',
            b'{"models": [1]}',
            b'{"models": [null]}',
            b'{"models": ["\\ud800"]}',
            b'{"models": ["\\u0000"]}',
            b'{"models": ["%s"]}' % (b"a" * 10_000),
            b'{"models": ["../../x"]}',
            b'{"models": ["x"], "provider": "evil"}',
            b'{"image_url": 5}',
            b'{"image_url": null}',
            b'{"image_url": {}}',
            b'{"image_url": "http://127.0.0.1/"}',
            b'{"image_url": "\\ud800"}',
            b'{"image_url": "x", "tile_size": true}',
            b"\xff\xfe{}",
            b"\xef\xbb\xbf{}",
            b'{"image_url":"x","outscale":NaN}',
            b'{"image_url":"x","outscale":1e999}',
            b'{"a":' + b"9" * 5000 + b"}",
            b" " * 3_000_000,
            b'{"image_url":"x","webhook_events":[[]]}',
            b'{"image_url":"x","webhook_events":{}}',
            rng.randbytes(40),
        ]
    )
    path = rng.choice(["upscale", "jobs", "models/download"])
    return Call("bad JSON", "POST", path, {"Content-Type": "application/json"}, body, must_fail=True)


def bad_query(rng: random.Random, _model: str) -> Call:
    """A list or a clean-up with parameters that are nonsense."""
    name, values = rng.choice(
        [
            ("limit", ["0", "-1", "abc", "1001", "99999999999999999999", "1.5", "", "NaN", "٣"]),
            ("status", ["", "done", "QUEUED", "queued,failed", "\x00", "a" * 10_000]),
            ("cursor", ["", "x", "AAAA", "a" * 5000, "////", "8J+YgA==", "_" * 32]),
            ("batch", ["", "x", "0", "a" * 5000, "{550e8400-e29b-41d4-a716-44665544000}"]),
            ("created_after", ["", "yesterday", "0", "99999-01-01", "2025-13-01", "2025-02-30T00:00:00Z", "a" * 3000]),
            ("created_before", ["", "now", "-1"]),
            ("model", ["", "a" * 101, "\x00"]),
            ("nonsense", ["1"]),
        ]
    )
    if rng.random() < 0.2:
        value = rng.choice(["abc", "-1", "", "1e3", "NaN", "99999999999", "87601", "1.5"])
        return Call("bad query", "POST", f"cleanup?hours={quote(value)}", {}, b"", must_fail=True)
    value = quote(rng.choice(values))
    return Call("bad query", "GET", f"jobs?{name}={value}", must_fail=True)


def bad_id(rng: random.Random, _model: str) -> Call:
    """An id that is none."""
    text = rng.choice(
        [
            "invalid-job-id",
            "0",
            "a" * 5000,
            "%00",
            "%ff%fe",
            "..%2f..%2fetc%2fpasswd",
            "%20",
            "550e8400e29b41d4a716446655440000",
            "550e8400-e29b-41d4-a716-446655440000",
            "{550e8400-e29b-41d4-a716-446655440000}",
            "urn:uuid:550e8400-e29b-41d4-a716-446655440000",
            "%F0%9F%98%80",
            "null",
            "-",
            "%0d%0aX-Evil:1",
            quote(rng.choice(NASTY_TEXTS) or "x", safe=""),
        ]
    )
    path, method = rng.choice(
        [
            ("jobs/{}", "GET"),
            ("jobs/{}", "DELETE"),
            ("jobs/{}/result", "GET"),
            ("jobs/{}/result", "HEAD"),
            ("jobs/{}/events", "GET"),
            ("jobs/{}/cancel", "POST"),
            ("jobs/{}/retry", "POST"),
            ("jobs/{}/preview", "GET"),
            ("jobs/{}/input", "GET"),
            ("batches/{}", "GET"),
            ("batches/{}/results", "GET"),
            ("models/{}", "GET"),
            ("models/{}", "DELETE"),
        ]
    )
    return Call("bad id", method, path.format(text), must_fail=True)


def odd_method(rng: random.Random, _model: str) -> Call:
    """A method that the address does not know."""
    path = rng.choice(PATHS).format(id="550e8400-e29b-41d4-a716-446655440000")
    method = rng.choice(["PUT", "PATCH", "TRACE", "PROPFIND", "FOO", "OPTIONS"])
    return Call("odd method", method, path, {}, rng.randbytes(rng.choice([0, 10])), must_fail=method != "OPTIONS")


def odd_headers(rng: random.Random, model: str) -> Call:
    """Headers whose values are nonsense."""
    name, values = rng.choice(
        [
            (
                "Prefer",
                ["wait=", "wait=-1", "wait=99999999999999", "respond-async=maybe", ",,,;;;", 'wait="', "a" * 5000],
            ),
            ("Idempotency-Key", ["a" * 256, "\xe9", "\t", '"' * 10, "a" * 8000]),
            ("Accept", ["image/nothing", "text/event-stream", "*/*;q=x", ",,,", "a" * 3000]),
            ("X-Request-ID", ["a" * 5000, "<script>", "\xff", "../.."]),
            (
                "Content-Disposition",
                [
                    'attachment; filename="../../x"',
                    "attachment; filename*=utf-7''x",
                    ";;;",
                    "a" * 5000,
                    'filename="\xff"',
                ],
            ),
            ("Authorization", ["Bearer", "Bearer ", "Basic x", "Bearer \xff", "Bearer ups_x_y", "a" * 5000]),
            ("X-API-Key", ["", "ups__", "ups_a_b_c", "\xff" * 10, "a" * 5000]),
            ("Last-Event-ID", ["x", "0-0-0-0", "f" * 200, "-", "zz-1-1-1", "\xff"]),
            (
                "Range",
                [
                    "bytes=",
                    "bytes=-",
                    "bytes=9999999999999999999999-",
                    "bytes=5-1",
                    "bytes=0-0,2-3",
                    "lines=1-2",
                    "bytes=a-b",
                ],
            ),
            ("If-None-Match", ['"', 'W/"x"', "*", "a" * 5000]),
            ("Content-Encoding", ["gzip", "x"]),
            ("Expect", ["200-ok"]),
            ("Cookie", ["sessionid=x", "csrftoken=\xff", ";;;===", "a" * 5000]),
            ("Origin", ["null", "http://evil", "\xff"]),
            ("Host", ["evil.example", "a" * 300, "[::1"]),
            ("X-Forwarded-For", ["x", "1.2.3.4, 5", "a" * 3000]),
            ("X-Forwarded-Proto", ["https", "x"]),
            ("Accept-Language", ["xx", ";q=9", "a" * 3000]),
        ]
    )
    head = {name: rng.choice(values)}
    if rng.random() < 0.5:
        path = rng.choice(
            ["jobs", "models", "health", "system", "stats", "jobs/550e8400-e29b-41d4-a716-446655440000/events"]
        )
        return Call("odd header", "GET", path, head)
    if rng.random() < 0.3:
        return Call("odd header", "POST", f"jobs?model={model}", {"Content-Type": "image/png", **head}, picture(rng))
    return Call(
        "odd header", "POST", "jobs", {**FORM, **head}, multipart([file_part(picture(rng)), text_part("model", model)])
    )


def random_text(rng: random.Random, _model: str) -> Call:
    """Any letters anywhere."""
    letters = string.printable + "äß😀\x00"
    path = quote("".join(rng.choices(letters, k=rng.randint(0, 30))), safe="/?&=%")
    return Call("random address", rng.choice(["GET", "POST", "DELETE"]), path)


MAKERS: list[Callable[[random.Random, str], Call]] = [
    refused_value,
    nasty_value,
    duplicates,
    bad_file,
    bad_name,
    mutated,
    wrong_type,
    bad_json,
    bad_query,
    bad_id,
    odd_method,
    odd_headers,
    random_text,
]


def calls(count: int, seed: int, model: str) -> Iterator[Call]:
    """Every kind in turn."""
    rng = random.Random(seed)
    for number in range(count):
        yield MAKERS[number % len(MAKERS)](rng, model)
