"""Judge a weights file on held-out pictures: `python -m training.evaluate --weights FILE --pictures FOLDER`.

Prints a Markdown report: luma PSNR and SSIM against bicubic enlargement on clean and damaged inputs, colour shift,
and what half precision changes. `--sheets FOLDER` also writes contact sheets to be looked at.
"""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from modelstore.networks import checkpoint
from training import pictures, sheets
from training.degrade import Array, one_damage, published_damage, standard_damage
from training.metrics import squareness
from training.run import SCALE, Recipe
from training.validate import Case, Score, Watch, cases, enlarge, mean_gain, scores


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    default = Recipe()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--pictures", type=Path, required=True, help="the folder that it was trained with")
    parser.add_argument("--holdout", type=int, default=default.holdout)
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sheets", type=Path, help="folder for contact sheets of the held-out pictures")
    parser.add_argument(
        "--show", type=Path, help="folder of further pictures for the contact sheets, enlarged as they are"
    )
    parser.add_argument("--per-picture", action="store_true", help="print a line for every picture too")
    return parser.parse_args(arguments)


def table(title: str, found: list[Score], *, per_picture: bool = False) -> list[str]:
    """Return Markdown lines: the mean, and with `per_picture` every picture."""
    rows = [f"| {title} | bicubic | network | gain |", "|---|---|---|---|"]
    if per_picture:
        for score in found:
            gain = score.psnr - score.bicubic_psnr
            rows.append(f"| {score.name} PSNR | {score.bicubic_psnr:.2f} | {score.psnr:.2f} | {gain:+.2f} |")
    bicubic, network = (np.mean([getattr(s, name) for s in found]) for name in ("bicubic_psnr", "psnr"))
    rows.append(f"| luma PSNR, dB | {bicubic:.2f} | {network:.2f} | {mean_gain(found):+.2f} |")
    bicubic, network = (np.mean([getattr(s, name) for s in found]) for name in ("bicubic_ssim", "ssim"))
    rows.append(f"| luma SSIM | {bicubic:.4f} | {network:.4f} | {network - bicubic:+.4f} |")
    better = sum(score.psnr > score.bicubic_psnr for score in found)
    worst = min(score.psnr - score.bicubic_psnr for score in found)
    rows.append(f"| pictures better than bicubic | | {better} of {len(found)} | worst {worst:+.2f} |")
    return rows


PARITY_SIDE = 48
"""Half precision is emulated on most CPUs, minutes for whole pictures: parity looks at the middle of each."""


def breakdown(network: torch.nn.Module, held_out: dict[str, Array]) -> list[str]:
    """Return Markdown lines: the gain in luma PSNR for one damage at a time, and for mixtures of all three."""
    damages: dict[str, dict[str, Any]] = {
        "blur, sigma 2 px of the large picture": {"blur": 2.0},
        "noise, sigma 5 of 255": {"noise": 5.0},
        "noise, sigma 15": {"noise": 15.0},
        "JPEG, quality 75": {"quality": 75},
        "JPEG, quality 40": {"quality": 40},
        "blur 1, noise 3, JPEG 95": {"blur": 1.0, "noise": 3.0, "quality": 95},
        "blur 1, noise 3, JPEG 85": {"blur": 1.0, "noise": 3.0, "quality": 85},
        "blur 1, noise 5, JPEG 75": {"blur": 1.0, "noise": 5.0, "quality": 75},
        "blur 2, noise 15, JPEG 95": {"blur": 2.0, "noise": 15.0, "quality": 95},
    }
    rows = ["| damage of a fixed strength | gain, dB |", "|---|---|"]
    for label, strengths in damages.items():
        wanted = cases(held_out, SCALE, partial(one_damage, **strengths))
        rows.append(f"| {label} | {Watch(wanted).gain(network):+.2f} |")
    return rows


def parity(path: Path, wanted: list[Case], dtype: torch.dtype) -> tuple[float, int]:
    """Compare running in `dtype` with running in fp32, over the middles of all pictures.

    :returns: (PSNR of one against the other over all RGB values, dB; the largest difference of 255).
    """
    reference = checkpoint.load(path)[0]
    reduced = checkpoint.load(path)[0].to(dtype)
    squares, count, largest = 0.0, 0, 0
    for case in wanted:
        small = sheets.middle(case.small, PARITY_SIDE)
        difference = enlarge(reference, small).astype(int) - enlarge(reduced, small)
        squares += float((difference**2).sum())
        count += difference.size
        largest = max(largest, int(abs(difference).max()))
    return (float("inf") if squares == 0 else float(10 * np.log10(255**2 * count / squares))), largest


def squares(network: torch.nn.Module, wanted: list[Case]) -> str:
    """Return the mean `metrics.squareness` over pictures, of bicubic enlargement, of the network, of the truth."""
    triples = [(case.bicubic, enlarge(network, case.small), case.large) for case in wanted]
    means = [float(np.mean([squareness(each[index], SCALE) for each in triples])) for index in range(3)]
    return "bicubic {:.2f}, network {:.2f}, truth {:.2f}".format(*means)


def colour_shift(network: torch.nn.Module, wanted: list[Case]) -> list[float]:
    """Return mean of the result minus mean of the truth for R, G, B, averaged over pictures, in levels of 255."""
    shifts = [enlarge(network, case.small).mean(axis=(0, 1)) - case.large.mean(axis=(0, 1)) for case in wanted]
    return [float(value) for value in np.mean(shifts, axis=0)]


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    network, spec = checkpoint.load(options.weights)
    if spec.scale != SCALE:
        raise SystemExit(f"{options.weights} enlarges {spec.scale} times; this judges x{SCALE}")
    _, held = pictures.split(pictures.names(options.pictures), options.holdout, options.seed)
    held_out = {name: pictures.read(options.pictures / name) for name in held}
    clean, damaged, published = (
        cases(held_out, SCALE, shrink) for shrink in (one_damage, standard_damage, published_damage)
    )
    print(f"{spec.parameters} parameters, {spec.features} features, {spec.blocks} convolutions; {len(held)} pictures\n")
    inputs = {"clean inputs": clean, "damaged inputs": damaged, "inputs damaged as Real-ESRGAN's authors do": published}
    for title, wanted in inputs.items():
        print("\n".join(table(title, scores(network, wanted), per_picture=options.per_picture)))
        print(f"\nSteps across the borders of input pixels, against steps within: {squares(network, wanted)}\n")
    print("\n".join(breakdown(network, held_out)), "\n")
    shift = ", ".join(f"{value:+.2f}" for value in colour_shift(network, clean))
    print(f"Colour shift on clean inputs (R, G, B, levels of 255): {shift}")
    for dtype in (torch.float16, torch.bfloat16):
        decibels, largest = parity(options.weights, clean, dtype)
        print(f"{dtype} against float32: {decibels:.1f} dB, largest difference {largest} of 255")
    if options.sheets is not None:
        options.sheets.mkdir(parents=True, exist_ok=True)
        sheets.write(network, clean, options.sheets / "clean.png")
        sheets.write(network, damaged, options.sheets / "damaged.png")
        sheets.write(network, published, options.sheets / "published.png")
        if options.show is not None:
            sheets.show(network, options.show, options.sheets, SCALE)


if __name__ == "__main__":
    main()
