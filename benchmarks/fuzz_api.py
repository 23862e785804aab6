"""Throws generated bad calls at a running service and checks what comes back and what is left behind.

    python benchmarks/fuzz_api.py --url http://localhost:8000 --data-dir var --model tiny-x2 --cases 5000 [--seed 1]

After every call: no 5xx (but 503 and 507 that name a reason the service means), errors have the error shape, and what must be
refused is refused. After all calls: one row per accepted call and not one more, no file without a row, nothing in the
directory of uploads. Prints the figures; ends with 1 when anything was wrong.
"""

import argparse
import http.client
import io
import json
import random
import string
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

from PIL import Image

MEANT = {"model_not_available", "queue_full", "storage_full", "too_many_waiting"}
NASTY_TEXTS = [
    "", " ", "null", "None", "NaN", "nan", "inf", "-inf", "Infinity", "-1", "0", "-0", "1e400", "1e3", "0x10", "1_0", "٣", "²", "½",
    "99999999999999999999999999", "-99999999999999999999", "1.5", "true", "[]", "{}", "abc", "a" * 10_000, "\x00", "a\x00b", "\r\n",
    "'; DROP TABLE jobs_job; --", "<script>", "../../etc/passwd", "%00", "%s%s%n", "\u202e", "😀", "ﷺ", "\ufeff", "\ud7ff", "é",
]  # fmt: skip
FIELDS = ["tile_size", "tile_pad", "outscale", "quality", "lossless", "strip_metadata", "denoise_strength", "precision", "format",
          "reuse", "webhook_url", "webhook_events", "image_url", "model", "dry_run"]  # fmt: skip
REFUSED = {  # values that no reading of the field allows
    "tile_size": ["abc", "-1", "1.5", "NaN", "99999999999999999999999999", "31", "2049", "", "1_0", "٣", "a" * 10_000],
    "tile_pad": ["abc", "-1", "129", "", "1e3"],
    "outscale": ["abc", "-1", "0", "0.99", "16.01", "NaN", "inf", "-inf", "1e400", "", "1_0"],
    "quality": ["0", "101", "x", ""],
    "denoise_strength": ["-0.1", "1.1", "nan", "x"],
    "precision": ["fp64", "FP32", ""],
    "format": ["gif", "bmp", "exe", "PNG ", ""],
    "lossless": ["2", "maybe", ""],
    "model": ["", "a" * 101, "a" * 10_000, "no-such-model", "../../etc/passwd", "a\x00b", "'; DROP TABLE jobs_job; --"],
    "webhook_url": ["ftp://x/y", "javascript:alert(1)", "http://", "http://user:pw@example.org/", "not a url"],
    "image_url": ["file:///etc/passwd", "http://127.0.0.1/", "http://169.254.169.254/latest"],
    "tilesize": ["512"],
    "imgae": ["x"],
}
NASTY_NAMES = [
    b"../../../etc/passwd", b"..\\..\\windows\\system32", b"a" * 10_000, b"\xff\xfe\xfa.png", b"nul", b"con.png", b".", b"..", b"",
    b"a\x00b.png", b"a\nb.png", b"-rf", b"x.php", "ä😀.png".encode(), b"%2e%2e%2f", b"a;b=c.png", b"a'b.png", b"&#47;etc&#47;passwd",
]  # fmt: skip
PATHS = ["upscale", "upscale-batch", "jobs", "jobs/{id}", "jobs/{id}/result", "jobs/{id}/events", "jobs/{id}/cancel", "jobs/{id}/retry",
         "jobs/{id}/preview", "jobs/{id}/input", "batches/{id}", "batches/{id}/results", "models", "models/{id}", "models/download",
         "models-info", "health", "health/ready", "health/live", "system", "stats", "cleanup", "", "nothing", "jobs/"]  # fmt: skip


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
    Image.new("RGB", size, tuple(rng.randbytes(3))).save(out, file_format)  # type: ignore[arg-type]
    return out.getvalue()


def multipart(parts: list[tuple[bytes, bytes]], boundary: bytes = b"fuzz") -> bytes:
    """Assemble (Content-Disposition parameters and further headers, content) into a body."""
    body = b"".join(
        b"--" + boundary + b"\r\nContent-Disposition: form-data; " + head + b"\r\n\r\n" + content + b"\r\n" for head, content in parts
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
    for _ in range(rng.randint(1, 4)):
        parts.append(text_part(rng.choice(FIELDS), rng.choice(NASTY_TEXTS)))
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
    content = rng.choice([
        b"", b"hello", rng.randbytes(rng.randint(1, 3000)), good[: rng.randint(1, 20)], b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%PDF-1.7", b"GIF89a" + rng.randbytes(20), b"RIFF" + rng.randbytes(30),
        b"II*\x00" + rng.randbytes(50), huge.getvalue() or b"PK\x03\x04", b"\x00" * rng.randint(1, 5000),
    ])  # fmt: skip
    if rng.random() < 0.3:
        path = f"{rng.choice(['jobs', 'upscale'])}?model={model}"
        return Call("bad raw body", "POST", path, {"Content-Type": rng.choice(["image/png", "image/x", "image/*"])}, content, must_fail=True)
    parts = [file_part(content, rng.choice([b"a.png", b"a.jpg", b"a"])), text_part("model", model)]
    return Call("bad file", "POST", rng.choice(["jobs", "upscale"]), FORM, multipart(parts), must_fail=True)


def bad_name(rng: random.Random, model: str) -> Call:
    """A good picture under a bad name."""
    head, content = file_part(picture(rng), rng.choice(NASTY_NAMES))
    if rng.random() < 0.2:
        head = b"name=\"image\"; filename*=" + rng.choice([b"UTF-8''%ff%fe", b"utf-7''+AD4-", b"x''y", b"UTF-8''..%2f..%2fa.png", b"a"])
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
            body[at:at] = rng.choice([b"\r\n", b"--fuzz", b"--fuzz--", b'"', b";", b"\x00", b"Content-Transfer-Encoding: base64\r\n"])
        else:
            del body[at:]
    return Call("mutated form", "POST", rng.choice(["jobs", "upscale-batch"]), FORM, bytes(body))


def wrong_type(rng: random.Random, model: str) -> Call:
    """A body under a content type that does not fit it."""
    kind = rng.choice([
        "", "text/plain", "application/json", "application/x-www-form-urlencoded", "multipart/form-data", "multipart/mixed; boundary=fuzz",
        "multipart/form-data; boundary=", "multipart/form-data; boundary=" + "b" * 300, "application/octet-stream", "image", "image/",
        "/", ";", "application/json; charset=utf-16", "application/json; charset=base64", "application/xml", "a" * 5000,
        "video/mp4", "*/*", "multipart/form-data; boundary=\xff",
    ])  # fmt: skip
    body = rng.choice([multipart([file_part(picture(rng)), text_part("model", model)]), picture(rng), b"{}", b"a=b", b"", rng.randbytes(50)])
    return Call("wrong content type", "POST", rng.choice(["upscale", "jobs", "upscale-batch"]), {"Content-Type": kind} if kind else {}, body, must_fail=True)


def bad_json(rng: random.Random, _model: str) -> Call:
    """JSON that is none, or not what is expected."""
    body = rng.choice([
        b"", b"{", b"[" * 100_000, b'{"a":' * 20_000, b"null", b"1", b'"x"', b"[]", b"{}", b"NaN", b'{"models": "x"}', b'{"models": []}',
        b'{"models": [1]}', b'{"models": [null]}', b'{"models": ["\\ud800"]}', b'{"models": ["\\u0000"]}', b'{"models": ["%s"]}' % (b"a" * 10_000),
        b'{"models": ["../../x"]}', b'{"models": ["x"], "provider": "evil"}', b'{"image_url": 5}', b'{"image_url": null}', b'{"image_url": {}}',
        b'{"image_url": "http://127.0.0.1/"}', b'{"image_url": "\\ud800"}', b'{"image_url": "x", "tile_size": true}', b"\xff\xfe{}", b"\xef\xbb\xbf{}",
        b'{"image_url":"x","outscale":NaN}', b'{"image_url":"x","outscale":1e999}', b'{"a":' + b"9" * 5000 + b"}", b" " * 3_000_000,
        b'{"image_url":"x","webhook_events":[[]]}', b'{"image_url":"x","webhook_events":{}}', rng.randbytes(40),
    ])  # fmt: skip
    path = rng.choice(["upscale", "jobs", "models/download"])
    return Call("bad JSON", "POST", path, {"Content-Type": "application/json"}, body, must_fail=True)


def bad_query(rng: random.Random, _model: str) -> Call:
    """A list or a clean-up with parameters that are nonsense."""
    name, values = rng.choice([
        ("limit", ["0", "-1", "abc", "1001", "99999999999999999999", "1.5", "", "NaN", "٣"]),
        ("status", ["", "done", "QUEUED", "queued,failed", "\x00", "a" * 10_000]),
        ("cursor", ["", "x", "AAAA", "a" * 5000, "////", "8J+YgA==", "_" * 32]),
        ("batch", ["", "x", "0", "a" * 5000, "{550e8400-e29b-41d4-a716-44665544000}"]),
        ("created_after", ["", "yesterday", "0", "99999-01-01", "2025-13-01", "2025-02-30T00:00:00Z", "a" * 3000]),
        ("created_before", ["", "now", "-1"]),
        ("model", ["", "a" * 101, "\x00"]),
        ("nonsense", ["1"]),
    ])  # fmt: skip
    if rng.random() < 0.2:
        value = rng.choice(["abc", "-1", "", "1e3", "NaN", "99999999999", "87601", "1.5"])
        return Call("bad query", "POST", f"cleanup?hours={quote(value)}", {}, b"", must_fail=True)
    value = quote(rng.choice(values))
    return Call("bad query", "GET", f"jobs?{name}={value}", must_fail=True)


def bad_id(rng: random.Random, _model: str) -> Call:
    """An id that is none."""
    text = rng.choice([
        "invalid-job-id", "0", "a" * 5000, "%00", "%ff%fe", "..%2f..%2fetc%2fpasswd", "%20", "550e8400e29b41d4a716446655440000",
        "550e8400-e29b-41d4-a716-446655440000", "{550e8400-e29b-41d4-a716-446655440000}", "urn:uuid:550e8400-e29b-41d4-a716-446655440000",
        "%F0%9F%98%80", "null", "-", "%0d%0aX-Evil:1", quote(rng.choice(NASTY_TEXTS) or "x", safe=""),
    ])  # fmt: skip
    path, method = rng.choice([
        ("jobs/{}", "GET"), ("jobs/{}", "DELETE"), ("jobs/{}/result", "GET"), ("jobs/{}/result", "HEAD"), ("jobs/{}/events", "GET"),
        ("jobs/{}/cancel", "POST"), ("jobs/{}/retry", "POST"), ("jobs/{}/preview", "GET"), ("jobs/{}/input", "GET"),
        ("batches/{}", "GET"), ("batches/{}/results", "GET"), ("models/{}", "GET"), ("models/{}", "DELETE"),
    ])  # fmt: skip
    return Call("bad id", method, path.format(text), must_fail=True)


def odd_method(rng: random.Random, _model: str) -> Call:
    """A method that the address does not know."""
    path = rng.choice(PATHS).format(id="550e8400-e29b-41d4-a716-446655440000")
    method = rng.choice(["PUT", "PATCH", "TRACE", "PROPFIND", "FOO", "OPTIONS"])
    return Call("odd method", method, path, {}, rng.randbytes(rng.choice([0, 10])), must_fail=method != "OPTIONS")


def odd_headers(rng: random.Random, model: str) -> Call:
    """Headers whose values are nonsense."""
    name, values = rng.choice([
        ("Prefer", ["wait=", "wait=-1", "wait=99999999999999", "respond-async=maybe", ",,,;;;", "wait=\"", "a" * 5000]),
        ("Idempotency-Key", ["a" * 256, "\xe9", "\t", '"' * 10, "a" * 8000]),
        ("Accept", ["image/nothing", "text/event-stream", "*/*;q=x", ",,,", "a" * 3000]),
        ("X-Request-ID", ["a" * 5000, "<script>", "\xff", "../.."]),
        ("Content-Disposition", ['attachment; filename="../../x"', "attachment; filename*=utf-7''x", ";;;", "a" * 5000, 'filename="\xff"']),
        ("Authorization", ["Bearer", "Bearer ", "Basic x", "Bearer \xff", "Bearer ups_x_y", "a" * 5000]),
        ("X-API-Key", ["", "ups__", "ups_a_b_c", "\xff" * 10, "a" * 5000]),
        ("Last-Event-ID", ["x", "0-0-0-0", "f" * 200, "-", "zz-1-1-1", "\xff"]),
        ("Range", ["bytes=", "bytes=-", "bytes=9999999999999999999999-", "bytes=5-1", "bytes=0-0,2-3", "lines=1-2", "bytes=a-b"]),
        ("If-None-Match", ['"', 'W/"x"', "*", "a" * 5000]),
        ("Content-Encoding", ["gzip", "x"]),
        ("Expect", ["200-ok"]),
        ("Cookie", ["sessionid=x", "csrftoken=\xff", ";;;===", "a" * 5000]),
        ("Origin", ["null", "http://evil", "\xff"]),
        ("Host", ["evil.example", "a" * 300, "[::1"]),
        ("X-Forwarded-For", ["x", "1.2.3.4, 5", "a" * 3000]),
        ("X-Forwarded-Proto", ["https", "x"]),
        ("Accept-Language", ["xx", ";q=9", "a" * 3000]),
    ])  # fmt: skip
    head = {name: rng.choice(values)}
    if rng.random() < 0.5:
        path = rng.choice(["jobs", "models", "health", "system", "stats", "jobs/550e8400-e29b-41d4-a716-446655440000/events"])
        return Call("odd header", "GET", path, head)
    if rng.random() < 0.3:
        return Call("odd header", "POST", f"jobs?model={model}", {"Content-Type": "image/png", **head}, picture(rng))
    return Call("odd header", "POST", "jobs", {**FORM, **head}, multipart([file_part(picture(rng)), text_part("model", model)]))


def random_text(rng: random.Random, _model: str) -> Call:
    """Any letters anywhere."""
    letters = string.printable + "äß😀\x00"
    path = quote("".join(rng.choices(letters, k=rng.randint(0, 30))), safe="/?&=%")
    return Call("random address", rng.choice(["GET", "POST", "DELETE"]), path)


MAKERS: list[Callable[[random.Random, str], Call]] = [
    refused_value, nasty_value, duplicates, bad_file, bad_name, mutated, wrong_type, bad_json, bad_query, bad_id, odd_method,
    odd_headers, random_text,
]  # fmt: skip


def calls(count: int, seed: int, model: str) -> Iterator[Call]:
    """Every kind in turn."""
    rng = random.Random(seed)
    for number in range(count):
        yield MAKERS[number % len(MAKERS)](rng, model)


@dataclass
class Findings:
    """What came back."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    accepted: int = 0
    problems: list[str] = field(default_factory=list)
    broken_connections: int = 0


def send(host: str, port: int, call: Call) -> tuple[int, str, bytes]:
    """Return status, content type and body."""
    connection = http.client.HTTPConnection(host, port, timeout=60)
    try:
        connection.putrequest(call.method, f"/api/v1/{call.path}", skip_host="Host" in call.headers, skip_accept_encoding=True)
        for name, value in call.headers.items():
            connection.putheader(name, value.encode("latin-1", "replace"))
        if call.body or call.method in ("POST", "PUT", "PATCH"):
            connection.putheader("Content-Length", str(len(call.body)))
        connection.endheaders(call.body or None)
        response = connection.getresponse()
        return response.status, response.headers.get("Content-Type", ""), response.read()
    finally:
        connection.close()


def judge(call: Call, status: int, kind: str, body: bytes, findings: Findings) -> None:
    """Write down what is wrong with an answer."""
    findings.statuses[call.kind, status] += 1
    shown = f"{call.kind}: {call.method} /{call.path[:80]} {str(call.headers)[:100]} {call.body[:120]!r} -> {status} {body[:200]!r}"
    if status < 400:
        if call.must_fail:
            findings.problems.append(f"not refused: {shown}")
        if call.method == "POST" and status == 202 and call.path.split("?")[0] in ("jobs", "upscale-batch", "upscale"):
            shape = json.loads(body)
            findings.accepted += len(shape["job_ids"]) if "job_ids" in shape else 1
        return
    if call.method in ("HEAD",):
        return
    try:
        shape = json.loads(body)
        good = isinstance(shape["detail"], str) and shape["detail"] and isinstance(shape["code"], str) and shape["code"]
        good = good and (shape["code"] != "validation_error" or isinstance(shape.get("errors", []), list))
    except (ValueError, KeyError, TypeError):
        good = False
    # What is not even HTTP never reaches the application: the server answers for itself.
    from_server = status in (400, 414, 417, 431) and kind.startswith("text/html") and body.startswith(b"<html>")
    if not good and not from_server:
        findings.problems.append(f"no error shape: {shown}")
    elif status >= 500 and not (good and status in (503, 507) and shape["code"] in MEANT):
        findings.problems.append(f"5xx: {shown}")


def total(host: str, port: int) -> int:
    """Rows in the job table."""
    return int(json.loads(send(host, port, Call("", "GET", "jobs?limit=1"))[2])["total"])


def main() -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://localhost:8000")
    parser.add_argument("--data-dir", type=Path, help="look for files that were left behind")
    parser.add_argument("--model", default="bundled-compact-x4")
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    address = urlsplit(options.url)
    host, port = address.hostname or "localhost", address.port or 80
    findings = Findings()
    before = total(host, port)
    started = time.monotonic()
    for number, call in enumerate(calls(options.cases, options.seed, options.model)):
        try:
            judge(call, *send(host, port, call), findings)
        except (OSError, http.client.HTTPException) as error:
            findings.broken_connections += 1
            findings.problems.append(f"no answer to case {number} ({call.kind} {call.method} {call.path[:60]}): {error!r}")
    seconds = time.monotonic() - started
    rows = total(host, port) - before
    if rows != findings.accepted:
        findings.problems.append(f"{rows} new rows for {findings.accepted} accepted calls")
    if options.data_dir:
        uploads = options.data_dir / "files" / "uploads"
        left = [path.name for path in uploads.iterdir()] if uploads.is_dir() else []
        left += [str(path) for path in (options.data_dir / "files").rglob("*.part")]
        if left:
            findings.problems.append(f"left behind: {left[:5]} and so on, {len(left)} in all")
        inputs = sum(1 for path in (options.data_dir / "files" / "inputs").rglob("*") if path.is_file())
        if inputs != total(host, port):
            findings.problems.append(f"{inputs} input files for {total(host, port)} rows")
    print(f"{options.cases} calls in {seconds:.0f} s, {findings.accepted} accepted, {rows} new rows")
    kinds = sorted({kind for kind, _ in findings.statuses})
    for kind in kinds:
        answers = {status: count for (k, status), count in sorted(findings.statuses.items()) if k == kind}
        print(f"  {kind:20} {answers}")
    for problem in findings.problems[:40]:
        print("PROBLEM", problem)
    print(f"{len(findings.problems)} problems")
    return 1 if findings.problems else 0


if __name__ == "__main__":
    sys.exit(main())
