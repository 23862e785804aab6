# ruff: noqa: INP001 - a script beside its picture, imported by nobody but its test
"""Render samples/sample.png: a small evening harbour of our own, full of what enlargement is judged by.

`python samples/make_sample.py [--output FILE]`. Lettering, fine lines, gradients, repeated bricks, foliage and ripples;
drawn four times too large, then shrunk, as a photograph shared on the web would be. Seeded: one script, one picture.
"""

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

WIDTH, HEIGHT, FACTOR = 240, 160, 4
HORIZON = 0.62
SEED = 20240607
Colour = tuple[int, int, int]


def blend(first: Colour, second: Colour, amount: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """:returns: colours between two, one per entry of `amount` (0 to 1)."""
    low, high = np.array(first, np.float64), np.array(second, np.float64)
    return np.asarray(low + amount[..., None] * (high - low), np.float64)


def sky_and_sea(width: int, height: int, rng: np.random.Generator) -> Image.Image:
    """:returns: a sunset over water that mirrors it in ripples."""
    horizon = int(height * HORIZON)
    down, across = np.mgrid[0:height, 0:width] / np.array([height, width])[:, None, None]
    sky = blend((36, 44, 92), (250, 170, 104), np.clip(down / HORIZON, 0, 1) ** 1.6)
    glow = np.exp(-(((across - 0.7) / 0.22) ** 2 + ((down - 0.52) / 0.18) ** 2))
    canvas = sky + glow[..., None] * np.array([60, 46, 10])
    for row in range(horizon, height):
        depth = (row - horizon) / (height - horizon)
        mirrored = canvas[int(horizon - 1 - depth * horizon * 0.75)]
        wave = np.sin(np.arange(width) / (4 + 26 * depth) + rng.uniform(0, 6.3)) * (0.4 + 0.6 * rng.random())
        canvas[row] = mirrored * 0.66 + np.array([8, 20, 34]) + 14 * wave[:, None] * (0.3 + depth)
    return Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8))


def hills(draw: ImageDraw.ImageDraw, width: int, height: int, rng: np.random.Generator) -> None:
    """Three ridges, bluer with distance."""
    x = np.linspace(0, 1, 160)
    for index, colour in enumerate([(112, 92, 126), (78, 66, 102), (50, 46, 76)]):
        phases = rng.uniform(0, 6.3, 5)
        ridge = sum(np.sin(x * 4.3 * 1.9**k + phases[k]) / 2.1**k for k in range(5))
        y = height * (HORIZON - 0.15 + 0.045 * index - 0.035 * ridge)
        outline = [(float(a * width), float(b)) for a, b in zip(x, y, strict=True)]
        draw.polygon([*outline, (width, height * HORIZON), (0, height * HORIZON)], fill=colour)


def house(draw: ImageDraw.ImageDraw, left: int, top: int, right: int, bottom: int, wall: Colour, lit: Colour) -> None:
    """A brick gable house with a tiled roof and barred windows, some of them lit."""
    peak = ((left + right) // 2, top - (right - left) // 3)
    draw.rectangle((left, top, right, bottom), fill=wall)
    joint = (wall[0] - 34, wall[1] - 28, wall[2] - 22)
    for row, y in enumerate(range(top, bottom, 9)):
        draw.line((left, y, right, y), fill=joint, width=2)
        for x in range(left + (row % 2) * 9, right, 18):
            draw.line((x, y, x, min(y + 9, bottom)), fill=joint, width=2)
    draw.polygon([(left - 10, top), peak, (right + 10, top)], fill=(74, 40, 44))
    for y in range(peak[1] + 10, top, 8):
        half = (right - left + 20) / 2 * (y - peak[1]) / (top - peak[1])
        draw.line((peak[0] - half, y, peak[0] + half, y), fill=(110, 62, 58), width=2)
    columns = max(2, (right - left) // 52)
    step = (right - left) // columns
    for row, y in enumerate(range(top + 18, bottom - 44, 58)):
        for column in range(columns):
            x = left + step * column + step // 2
            pane = lit if (row * 3 + column * 5 + left) % 3 else (40, 46, 66)
            draw.rectangle((x - 13, y, x + 13, y + 34), fill=pane, outline=(236, 226, 210), width=3)
            draw.line((x, y, x, y + 34), fill=(236, 226, 210), width=2)
            draw.line((x - 13, y + 15, x + 13, y + 15), fill=(236, 226, 210), width=2)


def boat(draw: ImageDraw.ImageDraw, x: int, y: int, size: int) -> None:
    """A sailing boat with seamed sails and fine stays."""
    draw.polygon([(x - size, y), (x + size, y), (x + size * 0.72, y + size * 0.3), (x - size * 0.7, y + size * 0.3)],
                 fill=(150, 36, 40))  # fmt: skip
    draw.line((x - size * 0.95, y + 5, x + size * 0.95, y + 5), fill=(246, 238, 224), width=4)
    top = y - size * 2.3
    draw.line((x, y, x, top), fill=(58, 40, 30), width=5)
    draw.polygon([(x + 6, y - 10), (x + 6, top + 8), (x + size * 0.92, y - 10)], fill=(250, 244, 230))
    draw.polygon([(x - 6, y - 10), (x - 6, top + 36), (x - size * 0.8, y - 10)], fill=(232, 214, 190))
    for part in (0.25, 0.45, 0.65, 0.82):
        height = y - 10 - (y - 18 - top) * part
        draw.line((x + 6, height, x + 6 + (size * 0.92 - 6) * (1 - part), height), fill=(196, 178, 156), width=2)
    for end in (-size, size):
        draw.line((x, top, x + end, y), fill=(30, 26, 34), width=2)


def tree(draw: ImageDraw.ImageDraw, x: int, y: int, size: int, rng: np.random.Generator) -> None:
    """A trunk under some hundreds of leaves, darker below."""
    draw.polygon([(x - 9, y), (x + 9, y), (x + 4, y - size), (x - 4, y - size)], fill=(52, 36, 30))
    for _ in range(900):
        angle, radius = rng.uniform(0, 6.3), size * 0.62 * rng.random() ** 0.6
        leaf_x, leaf_y = x + radius * np.cos(angle), y - size * 1.25 + radius * 0.95 * np.sin(angle)
        light = np.clip(0.55 - (leaf_y - (y - size * 1.25)) / size + 0.25 * rng.standard_normal(), 0, 1)
        colour = tuple(int(value) for value in blend((22, 46, 34), (148, 158, 66), np.array(light)))
        draw.ellipse((leaf_x - 5, leaf_y - 4, leaf_x + 5, leaf_y + 4), fill=colour)


def sign(draw: ImageDraw.ImageDraw, left: int, top: int) -> None:
    """A painted board with large and small lettering (Pillow's own font: no file of the system is needed)."""
    draw.rectangle((left, top, left + 232, top + 84), fill=(246, 238, 220), outline=(60, 40, 34), width=5)
    draw.text((left + 116, top + 30), "HARBOUR", font=ImageFont.load_default(44), fill=(44, 52, 96), anchor="mm")
    draw.line((left + 16, top + 53, left + 216, top + 53), fill=(170, 52, 48), width=3)
    text = "fish · rope · tea 1887"
    draw.text((left + 116, top + 67), text, font=ImageFont.load_default(19), fill=(60, 40, 34), anchor="mm")
    for x in (left + 30, left + 202):
        draw.rectangle((x - 5, top + 84, x + 5, top + 150), fill=(60, 40, 34))


def quay(draw: ImageDraw.ImageDraw, width: int, top: int, bottom: int) -> None:
    """A wall of worn stones with a railing of thin bars."""
    draw.rectangle((0, top, width, bottom), fill=(96, 88, 92))
    for row, y in enumerate(range(top, bottom, 22)):
        draw.line((0, y, width, y), fill=(66, 60, 68), width=3)
        for x in range((row % 2) * 22, width, 44):
            draw.line((x, y, x, min(bottom, y + 22)), fill=(66, 60, 68), width=3)
    for x in range(6, width, 14):
        draw.line((x, top - 34, x, top), fill=(28, 26, 36), width=3)
    draw.line((0, top - 34, width, top - 34), fill=(28, 26, 36), width=5)


def render() -> Image.Image:
    """:returns: the finished picture, RGB, WIDTH x HEIGHT."""
    rng = np.random.default_rng(SEED)
    width, height = WIDTH * FACTOR, HEIGHT * FACTOR
    horizon = int(height * HORIZON)
    image = sky_and_sea(width, height, rng)
    draw = ImageDraw.Draw(image)
    draw.ellipse((640, 268, 720, 348), fill=(255, 226, 150))
    hills(draw, width, height, rng)
    boat(draw, 590, horizon + 34, 74)
    boat(draw, 834, horizon + 6, 30)
    quay(draw, width, height - 70, height)
    house(draw, 40, 250, 170, height - 70, (178, 104, 84), (255, 214, 120))
    house(draw, 184, 302, 300, height - 70, (206, 170, 122), (255, 226, 150))
    house(draw, 312, 220, 420, height - 70, (120, 132, 150), (255, 208, 110))
    tree(draw, 880, height - 70, 150, rng)
    sign(draw, 560, height - 190)
    for x, y in ((480, 90), (520, 66), (560, 104), (452, 128)):
        draw.arc((x, y, x + 22, y + 14), 190, 350, fill=(28, 30, 48), width=3)
        draw.arc((x + 20, y, x + 42, y + 14), 190, 350, fill=(28, 30, 48), width=3)
    soft = image.filter(ImageFilter.GaussianBlur(0.8))
    return soft.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)


def main(arguments: list[str] | None = None) -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("sample.png"))
    options = parser.parse_args(arguments)
    render().save(options.output, optimize=True)


if __name__ == "__main__":
    main()
