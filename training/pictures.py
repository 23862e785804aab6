"""The pictures of a folder: decoded once, kept in memory, some held out, the rest cut into training pairs."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from training.degrade import Array, clean, damage, drawn, vivid

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
MARGIN = 4
"""Low-resolution pixels around a patch that are degraded with it and cut off: kernels never see the patch's border."""

VIVID_SHARE, DRAWN_SHARE = 0.1, 0.03
"""How often a pair is made from a picture with exaggerated contrasts, and from none at all but hard squares."""


def names(folder: Path) -> list[str]:
    """Return the names of the folder's pictures, sorted: the order on which the seeded choice rests."""
    found = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not found:
        raise FileNotFoundError(f"{folder} holds no pictures ({', '.join(sorted(SUFFIXES))})")
    return found


def split(all_names: list[str], holdout: int, seed: int) -> tuple[list[str], list[str]]:
    """Choose the pictures that training never sees; the choice depends on the names and the seed alone.

    :returns: (training names, held-out names), disjoint, both sorted.
    """
    if not 0 < holdout < len(all_names):
        raise ValueError(f"cannot hold out {holdout} of {len(all_names)} pictures")
    chosen = np.random.default_rng(seed).choice(len(all_names), holdout, replace=False)
    held = {all_names[index] for index in chosen}
    return [name for name in all_names if name not in held], sorted(held)


def read(path: Path) -> Array:
    """Return the picture as uint8 RGB (H, W, 3)."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def pair(picture: Array, patch: int, scale: int, clean_share: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Cut one training pair at a random place, flipped and turned at random.

    :param patch: side of the small picture in pixels.
    :param clean_share: how often the small picture is only shrunk, 0 to 1.
    :returns: (small (patch, patch, 3), large (patch*scale, patch*scale, 3)).
    """
    side = (patch + 2 * MARGIN) * scale
    height, width = picture.shape[:2]
    if min(height, width) < side:
        raise ValueError(f"a picture of {width}x{height} px is too small for patches of {patch} px x{scale}")
    top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
    large = picture[top : top + side, left : left + side]
    if rng.random() < 0.5:
        large = large[:, ::-1]
    large = np.ascontiguousarray(np.rot90(large, int(rng.integers(4))))
    chance = rng.random()
    if chance < DRAWN_SHARE:
        large = drawn(side, scale, rng)
    elif chance < DRAWN_SHARE + VIVID_SHARE:
        large = vivid(large, rng)
    make = clean if rng.random() < clean_share else damage
    small = make(large, scale, rng)
    low, high = MARGIN, MARGIN + patch
    return small[low:high, low:high], large[low * scale : high * scale, low * scale : high * scale]


def batch(
    pictures: list[Array], *, size: int, patch: int, scale: int, clean_share: float, seed: int, step: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Return the batch of one step. It depends on (seed, step) alone: a resumed run sees what an unbroken one would.

    :returns: uint8 (small (N, patch, patch, 3), large (N, patch*scale, patch*scale, 3)).
    """
    rng = np.random.default_rng([seed, step])
    chosen = rng.integers(len(pictures), size=size)
    pairs = [pair(pictures[index], patch, scale, clean_share, rng) for index in chosen]
    return np.stack([small for small, _ in pairs]), np.stack([large for _, large in pairs])
