"""Contact sheets: bicubic, network and truth side by side, for the eye. Figures do not see a grid or a halo."""

from pathlib import Path

import cv2
import numpy as np
from torch import nn

from training import pictures
from training.degrade import Array, resize
from training.validate import Case, enlarge

CROP = 160
"""Side of the cut-outs of held-out pictures, in pixels of the result."""
MAX_SMALL = 192
"""Side beyond which a picture that is only shown is cut to its middle, in pixels of the input."""


def labelled(picture: Array, text: str) -> Array:
    """Return the picture (H, W, 3) under a strip with a caption."""
    strip = np.full((16, picture.shape[1], 3), 32, np.uint8)
    cv2.putText(strip, text, (3, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1, cv2.LINE_AA)
    return np.concatenate([strip, picture])


def middle(picture: Array, side: int) -> Array:
    """Return the middle of the picture, at most `side` pixels wide and high."""
    height, width = picture.shape[:2]
    top, left = max(0, (height - side) // 2), max(0, (width - side) // 2)
    return picture[top : top + side, left : left + side]


def save(picture: Array, path: Path) -> None:
    """Write the picture. :raises OSError: when it cannot be written."""
    if not cv2.imwrite(str(path), picture[:, :, ::-1]):
        raise OSError(f"{path} cannot be written")


def write(network: nn.Module, wanted: list[Case], path: Path) -> None:
    """Write one row per case: the middle of the bicubic enlargement, of the network's, of the truth; two a row."""
    strips = []
    for case in wanted:
        parts = (
            (case.bicubic, f"bicubic {case.name}"),
            (enlarge(network, case.small), "network"),
            (case.large, "truth"),
        )
        strips.append(np.concatenate([labelled(middle(picture, CROP), text) for picture, text in parts], axis=1))
    if len(strips) % 2:
        strips.append(np.zeros_like(strips[0]))
    rows = [np.concatenate(strips[index : index + 2], axis=1) for index in range(0, len(strips), 2)]
    save(np.concatenate(rows), path)


def show(network: nn.Module, folder: Path, output: Path, scale: int) -> None:
    """Write, for every picture of a folder, bicubic beside the network, of the whole picture or its middle."""
    for name in pictures.names(folder):
        small = middle(pictures.read(folder / name), MAX_SMALL)
        height, width = small.shape[:2]
        bicubic = labelled(resize(small, width * scale, height * scale), f"bicubic {name}")
        result = labelled(enlarge(network, small), "network")
        save(np.concatenate([bicubic, result], axis=1), output / f"{Path(name).stem}.png")
