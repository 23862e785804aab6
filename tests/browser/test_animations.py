"""Frames of animations as a browser composes them: offsets, disposal, blending, transparency, what is beyond."""

import base64
import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page

from jobs.engine.types import Picture
from tests.jobs.engine.codecs.samples import chunk, read, written

WIDTH, HEIGHT = 12, 10
PALETTE = bytes((255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 0))
DECODE = """async ({data, type}) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const decoder = new ImageDecoder({data: bytes, type});
  await decoder.tracks.ready;
  await decoder.completed;
  const frames = [];
  for (let index = 0; index < decoder.tracks.selectedTrack.frameCount; index += 1) {
    const {image} = await decoder.decode({frameIndex: index});
    const canvas = new OffscreenCanvas(image.displayWidth, image.displayHeight);
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    frames.push({width: canvas.width, height: canvas.height, milliseconds: image.duration / 1000,
                 pixels: Array.from(context.getImageData(0, 0, canvas.width, canvas.height).data)});
  }
  return frames;
}"""


@dataclass(frozen=True)
class Part:
    """A frame as it stands in a file: where, how large, of which colour, what happens after it."""

    x: int
    y: int
    width: int
    height: int
    color: int
    disposal: int = 0
    transparent: bool = False  # every second pixel of it
    delay: int = 7  # hundredths of a second
    alpha: int = 255  # of its other pixels, in a PNG


def packed(indices: list[int]) -> bytes:
    """GIF's LZW of 2-bit indices, with a clear code before the codes grow (GIF89a, appendix F)."""
    bits = []
    for at, index in enumerate(indices):
        if at % 2 == 0:
            bits += [4]  # clear
        bits += [index]
    bits += [5]  # end
    value = sum(code << (3 * place) for place, code in enumerate(bits))
    data = value.to_bytes(-(-3 * len(bits) // 8), "little")
    blocks = b"".join(bytes((len(data[at : at + 255]),)) + data[at : at + 255] for at in range(0, len(data), 255))
    return b"\2" + blocks + b"\0"


def gif(parts: list[Part], *, loops: int | None = 0, screen: tuple[int, int] = (WIDTH, HEIGHT)) -> bytes:
    out = b"GIF89a" + struct.pack("<HHBBB", *screen, 0x81, 0, 0) + PALETTE
    if loops is not None:
        out += b"!\xff\x0bNETSCAPE2.0\3\1" + struct.pack("<H", loops) + b"\0"
    for part in parts:
        flags = part.disposal << 2 | part.transparent
        out += b"!\xf9\4" + struct.pack("<BHB", flags, part.delay, 3) + b"\0"
        out += b"," + struct.pack("<HHHHB", part.x, part.y, part.width, part.height, 0)
        count = part.width * part.height
        out += packed([3 if part.transparent and at % 2 else part.color for at in range(count)])
    return out + b";"


def apng(parts: list[Part], blends: list[int]) -> bytes:
    """An RGBA animation; ``disposal`` is APNG's (0 none, 1 background, 2 previous)."""
    out = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 6, 0, 0, 0))
    out += chunk(b"acTL", struct.pack(">II", len(parts), 0))
    number = 0
    for index, (part, blend) in enumerate(zip(parts, blends, strict=True)):
        fields = (number, part.width, part.height, part.x, part.y, part.delay, 100, part.disposal, blend)
        out += chunk(b"fcTL", struct.pack(">IIIIIHHBB", *fields))
        number += 1
        color = bytes(PALETTE[3 * part.color : 3 * part.color + 3])
        pixels = [
            color + bytes((0 if part.transparent and at % 2 else part.alpha,)) for at in range(part.width * part.height)
        ]
        rows = b"".join(b"\0" + b"".join(pixels[y * part.width : (y + 1) * part.width]) for y in range(part.height))
        if index == 0:
            out += chunk(b"IDAT", zlib.compress(rows))
        else:
            out += chunk(b"fdAT", struct.pack(">I", number) + zlib.compress(rows))
            number += 1
    return out + chunk(b"IEND", b"")


def webp() -> bytes:
    """Written by libwebp, which cuts frames to what changes, with offsets, blending and disposal of its own."""
    frames = []
    for index in range(5):
        image = Image.new("RGBA", (WIDTH * 4, HEIGHT * 4), (0, 0, 0, 0))
        image.paste((200, 40 * index, 10, 255), (4 * index, 6, 4 * index + 12, 20))
        frames.append(image)
    file = io.BytesIO()
    frames[0].save(
        file, "WEBP", save_all=True, append_images=frames[1:], duration=[70, 120, 40, 70, 200], lossless=True
    )
    return file.getvalue()


WHOLE = Part(0, 0, WIDTH, HEIGHT, 0)
FILES = {
    "gif: offsets": gif([WHOLE, Part(3, 2, 4, 4, 1), Part(6, 5, 6, 5, 2)]),
    "gif: background": gif([WHOLE, Part(3, 2, 4, 4, 1, disposal=2), Part(0, 0, 2, 2, 2)]),
    "gif: previous": gif([WHOLE, Part(3, 2, 4, 4, 1, disposal=3), Part(0, 0, 2, 2, 2)]),
    "gif: transparent": gif([WHOLE, Part(2, 2, 6, 6, 1, transparent=True), Part(4, 4, 4, 4, 2, transparent=True)]),
    "gif: all disposals": gif([
        Part(0, 0, WIDTH, HEIGHT, 0, disposal=1), Part(1, 1, 5, 5, 1, 2, True), Part(4, 4, 5, 5, 2, 3, True),
        Part(2, 2, 8, 3, 1, 0, True), Part(0, 0, 3, 9, 2, 2), Part(5, 0, 3, 9, 1),
    ]),
    "gif: first frame smaller than the screen": gif([Part(3, 3, 4, 4, 1), Part(0, 0, 3, 3, 2)]),
    "gif: frames beyond the screen": gif([WHOLE, Part(8, 6, 10, 10, 1), Part(0, 9, 4, 30, 2)]),
    "gif: first frame beyond the screen": gif([Part(0, 0, WIDTH + 6, HEIGHT + 3, 1), Part(0, 0, 3, 3, 2)]),
    "apng: source": apng([WHOLE, Part(3, 2, 4, 4, 1, transparent=True), Part(5, 5, 3, 3, 2)], [0, 0, 0]),
    "apng: over": apng([WHOLE, Part(3, 2, 4, 4, 1, transparent=True), Part(5, 5, 3, 3, 2)], [0, 1, 1]),
    "apng: background": apng([WHOLE, Part(3, 2, 4, 4, 1, disposal=1), Part(0, 0, 2, 2, 2)], [0, 0, 1]),
    "apng: previous": apng([WHOLE, Part(3, 2, 4, 4, 1, disposal=2), Part(0, 0, 2, 2, 2)], [0, 0, 1]),
    "apng: first disposed to previous": apng([Part(0, 0, WIDTH, HEIGHT, 0, 2), Part(3, 2, 4, 4, 1)], [0, 1]),
    "apng: half over nothing": apng([
        Part(0, 0, WIDTH, HEIGHT, 0, 1), Part(2, 2, 6, 6, 1, 2, alpha=128), Part(4, 4, 6, 5, 2, 1, alpha=90),
        Part(0, 0, 9, 9, 3, 0, alpha=40), Part(3, 3, 5, 5, 1, 2, True, alpha=200), Part(1, 1, 2, 2, 2),
    ], [0, 1, 1, 1, 1, 1]),
    "apng: half over half": apng([
        Part(0, 0, WIDTH, HEIGHT, 0, alpha=128), Part(2, 2, 6, 6, 1, 2, alpha=128), Part(4, 4, 6, 5, 2, 1, alpha=250),
        Part(0, 0, WIDTH, HEIGHT, 3, 2, alpha=60), Part(0, 0, 5, 5, 1, 0),
    ], [0, 1, 1, 1, 0]),
    "webp": webp(),
}  # fmt: skip


@pytest.fixture
def secure(page: Page) -> Page:
    """A page of this machine, where browsers hand out their decoders."""
    page.route("http://localhost/", lambda route: route.fulfill(body="<title>frames</title>", content_type="text/html"))
    page.goto("http://localhost/")
    return page


def by_the_browser(page: Page, data: bytes, kind: str) -> list[tuple[NDArray[np.uint8], float]]:
    """The frames (H, W, 4) and their milliseconds."""
    asked = {"data": base64.b64encode(data).decode(), "type": f"image/{kind}".replace("apng", "png")}
    found = page.evaluate(DECODE, asked)
    return [
        (np.array(one["pixels"], np.uint8).reshape(one["height"], one["width"], 4), one["milliseconds"])
        for one in found
    ]


@pytest.mark.parametrize("name", FILES)
def test_frames_are_those_that_a_browser_shows(secure: Page, tmp_path: Path, name: str) -> None:
    data = FILES[name]
    made = read(tmp_path, data)
    same(name, made, by_the_browser(secure, data, name.split(":", maxsplit=1)[0]))
    if len(made.frames) > 1:
        same(name, made, by_the_browser(secure, written(tmp_path, made, "png"), "apng"))


def same(name: str, made: Picture, wanted: list[tuple[NDArray[np.uint8], float]]) -> None:
    """Ours are the browser's frames, with their times."""
    assert len(made.frames) == len(wanted)
    for index, (frame, (pixels, milliseconds)) in enumerate(zip(made.frames, wanted, strict=True)):
        assert frame.color.shape[:2] == pixels.shape[:2], f"frame {index}"
        alpha = np.full(pixels.shape[:2], 255, np.uint8) if frame.alpha is None else frame.alpha
        # A browser's canvas multiplies colour by alpha, in 8 bit: what is half transparent comes back rounded.
        assert np.abs(alpha.astype(int) - pixels[:, :, 3]).max() <= (1 if "half" in name else 0), f"frame {index}"
        color = np.broadcast_to(frame.color, (*frame.color.shape[:2], 3)).astype(int)
        apart = np.abs(color - pixels[:, :, :3]).max(axis=2)
        steps = np.ceil(510 / np.maximum(alpha, 1)) * ("half" in name)
        assert (apart[alpha > 0] <= steps[alpha > 0]).all(), f"frame {index}"
        assert frame.duration_ms == pytest.approx(milliseconds, abs=0.001), f"frame {index}"
