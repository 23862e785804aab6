"""Generated bad bodies, a function per kind: forms, fields, files, content types, JSON."""

import io
import random

from PIL import Image

from benchmarks.bad_values import FIELDS, NASTY_NAMES, NASTY_TEXTS, REFUSED
from benchmarks.call import FORM, Call, file_part, multipart, picture, text_part


def refused_value(rng: random.Random, model: str) -> Call:
    """Make a good form with one value that must be refused."""
    name = rng.choice(list(REFUSED))
    value = rng.choice(REFUSED[name])
    parts = [file_part(picture(rng)), text_part(name, value)]
    if name != "model":
        parts.append(text_part("model", model))
    rng.shuffle(parts)
    path = rng.choice(["upscale", "jobs"])
    return Call("refused value", "POST", path, FORM, multipart(parts), must_fail=True)


def nasty_value(rng: random.Random, model: str) -> Call:
    """Make a form with unexpected field values."""
    parts = [file_part(picture(rng)), text_part("model", model)]
    parts += [text_part(rng.choice(FIELDS), rng.choice(NASTY_TEXTS)) for _ in range(rng.randint(1, 4))]
    return Call("nasty value", "POST", rng.choice(["jobs", "upscale?dry_run=true"]), FORM, multipart(parts))


def duplicates(rng: random.Random, model: str) -> Call:
    """Make a form whose fields or pictures come twice, or hundreds of times."""
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
    """Make a form with a file that is no picture, or a broken one."""
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
    """Make a form with a good picture under a bad name."""
    head, content = file_part(picture(rng), rng.choice(NASTY_NAMES))
    if rng.random() < 0.2:
        head = b'name="image"; filename*=' + rng.choice(
            [b"UTF-8''%ff%fe", b"utf-7''+AD4-", b"x''y", b"UTF-8''..%2f..%2fa.png", b"a"]
        )
    return Call("bad name", "POST", "jobs", FORM, multipart([(head, content), text_part("model", model)]))


def mutated(rng: random.Random, model: str) -> Call:
    """Damage the bytes of a good form anywhere: boundaries, headers, fields, picture."""
    body = bytearray(multipart([file_part(picture(rng)), text_part("model", model), text_part("tile_size", "64")]))
    for _ in range(rng.randint(1, 12)):
        at = rng.randrange(len(body)) if body else 0
        damage = rng.randrange(5)
        if damage == 0 and body:
            body[at] = rng.randrange(256)
        elif damage == 1:
            body[at:at] = rng.randbytes(rng.randint(1, 30))
        elif damage == 2:
            del body[at : at + rng.randint(1, 30)]
        elif damage == 3:
            body[at:at] = rng.choice(
                [b"\r\n", b"--fuzz", b"--fuzz--", b'"', b";", b"\x00", b"Content-Transfer-Encoding: base64\r\n"]
            )
        else:
            del body[at:]
    return Call("mutated form", "POST", rng.choice(["jobs", "upscale-batch"]), FORM, bytes(body))


def wrong_type(rng: random.Random, model: str) -> Call:
    """Make a body under a content type that does not fit it."""
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
    """Make a body of malformed or unexpected JSON."""
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
