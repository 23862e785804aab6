"""Draw a run's gains over its steps as SVG: `python -m training.curve --run FOLDER --output FILE`."""

import argparse
import json
from pathlib import Path

from training.train import LOG

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 640, 320, 48, 40, 28, 16
SERIES = (("clean_gain_db", "clean inputs", "#1565c0"), ("damaged_gain_db", "damaged inputs", "#c62828"))


def draw(records: list[dict[str, float]]) -> str:
    """Return an SVG with one line per series over the steps, gain in dB.

    :param records: the log's lines.
    """
    if not records:
        raise ValueError("the log is empty: nothing was validated yet")
    last_step = max(record["step"] for record in records)
    values = [record[key] for record in records for key, _, _ in SERIES]
    low, high = min(0.0, *values), max(1.2, *values)

    def x(step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * step / last_step

    def y(gain: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (gain - low) / (high - low)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-size="11">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="16">Luma PSNR over bicubic on held-out photographs, dB</text>',
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}">training steps</text>',
    ]
    for tick in [0.2 * index for index in range(round(low / 0.2), int(high / 0.2) + 1)]:
        parts.append(f'<path d="M{LEFT} {y(tick):.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:.1f}</text>')
    for index in range(5):
        step = last_step * index / 4
        parts.append(f'<text x="{x(step):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{step:.0f}</text>')
    for index, (key, label, colour) in enumerate(SERIES):
        points = " ".join(f"{x(record['step']):.1f},{y(record[key]):.1f}" for record in records)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        place = HEIGHT - BOTTOM - 12 - 16 * index
        parts.append(f'<text x="{WIDTH - RIGHT - 8}" y="{place}" fill="{colour}" text-anchor="end">{label}</text>')
    return "\n".join([*parts, "</svg>", ""])


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args(arguments)
    lines = (options.run / LOG).read_text().splitlines()
    options.output.write_text(draw([json.loads(line) for line in lines]))


if __name__ == "__main__":
    main()
