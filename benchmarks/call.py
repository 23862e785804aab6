"""A call and how its body is put together: what the generators of bad calls are made of."""

import io
import random
from dataclasses import dataclass, field

from PIL import Image


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
    """Return the bytes of a small valid picture."""
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
    """Return a file of a form: the part's header and bytes."""
    return b'name="' + field_name + b'"; filename="' + name + b'"\r\nContent-Type: image/png', content


def text_part(name: str, value: str) -> tuple[bytes, bytes]:
    """Return a field of a form: the part's header and bytes."""
    return b'name="' + name.encode() + b'"', value.encode("utf-8", "surrogatepass")


FORM = {"Content-Type": "multipart/form-data; boundary=fuzz"}
