"""Generated bad addresses, methods and headers, a function per kind."""

import random
import string
from urllib.parse import quote

from benchmarks.bad_values import NASTY_TEXTS, PATHS
from benchmarks.call import FORM, Call, file_part, multipart, picture, text_part


def bad_query(rng: random.Random, _model: str) -> Call:
    """Make a list or a clean-up with nonsense parameters."""
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
    """Make a call with a malformed id."""
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
    """Make a call with a method that the address does not support."""
    path = rng.choice(PATHS).format(id="550e8400-e29b-41d4-a716-446655440000")
    method = rng.choice(["PUT", "PATCH", "TRACE", "PROPFIND", "FOO", "OPTIONS"])
    return Call("odd method", method, path, {}, rng.randbytes(rng.choice([0, 10])), must_fail=method != "OPTIONS")


def odd_headers(rng: random.Random, model: str) -> Call:
    """Make a call whose headers have nonsense values."""
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
    """Make a call with any letters anywhere."""
    letters = string.printable + "äß😀\x00"
    path = quote("".join(rng.choices(letters, k=rng.randint(0, 30))), safe="/?&=%")
    return Call("random address", rng.choice(["GET", "POST", "DELETE"]), path)
