"""Small pictures made from large ones: clean down-scaling, and a Real-ESRGAN-like chain of damages.

Everything works on uint8 RGB arrays (H, W, 3) and draws only from the generator that it is given, so that one seed
always makes one picture. The chain follows Wang et al., "Real-ESRGAN", ICCVW 2021: blur, resize by
one of several kernels (in one step or two), sensor noise, JPEG (once or twice).
"""

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

Array = npt.NDArray[np.uint8]

# Pillow's filters widen with the scale (they do not alias), OpenCV's cubic does not: that one is for shrinking useless.
KERNELS = (
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
    Image.Resampling.BOX,
    Image.Resampling.BILINEAR,
    Image.Resampling.HAMMING,
)
LUMA = np.array([0.299, 0.587, 0.114])
"""BT.601 weights of R, G and B."""
CLEAN_WEIGHTS = (0.7, 0.1, 0.1, 0.05, 0.05)
"""How often each of KERNELS makes a clean pair: cameras and browsers mostly shrink like the first three."""


def vivid(picture: Array, rng: np.random.Generator) -> Array:
    """Exaggerate a large picture's fine contrasts (H, W, 3), as sharpened and computer-made pictures have them.

    Photographs alone leave a network unprepared for hard black and white beside each other, pixel by pixel: its
    activations run away there, and white spots in a halo of squares appear.
    """
    soft = cv2.GaussianBlur(picture, (0, 0), rng.uniform(1, 4))
    amount = rng.uniform(0.5, 4)
    return np.asarray(cv2.addWeighted(picture, 1 + amount, soft, -amount, 0), np.uint8)


def drawn(side: int, scale: int, rng: np.random.Generator) -> Array:
    """Draw a large picture (side, side, 3) of hard squares of `scale` px or more: stripes, boards, rows of dots.

    Screens, dithering and pixel art look so when they are shrunk, and no photograph prepares a network for it. Nothing
    is random: random squares look like the noise of a photograph, which is to be removed and not to become squares.
    """
    cells = -(-side // scale)
    y, x = np.mgrid[0:cells, 0:cells]
    step = int(rng.integers(1, 4))
    kind = rng.integers(3)
    if kind == 0:
        mask = (x if rng.random() < 0.5 else y) // step % 2
    elif kind == 1:
        mask = (x // step + y // step) % 2
    else:
        mask = (x % (step + 1) == 0) & (y % (step + 1) == 0)
    dark, light = rng.uniform(0, 1, (2, 3)) if rng.random() < 0.5 else np.array([[0.0] * 3, [1.0] * 3])
    small = np.rint(255 * (dark + (light - dark) * mask[:, :, np.newaxis])).astype(np.uint8)
    return np.ascontiguousarray(small.repeat(scale, 0).repeat(scale, 1)[:side, :side])


def resize(picture: Array, width: int, height: int, kernel: Image.Resampling = Image.Resampling.BICUBIC) -> Array:
    """Return the picture at (height, width), anti-aliased when it shrinks."""
    return np.asarray(Image.fromarray(picture).resize((width, height), kernel))


def aliased(picture: Array, width: int, height: int) -> Array:
    """Return the picture at (height, width) with the aliasing of a careless program: no low-pass before sampling."""
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def clean(picture: Array, scale: int, rng: np.random.Generator) -> Array:
    """Shrink by `scale` with one of the usual kernels, nothing else. Sides must be multiples of `scale`."""
    kernel = KERNELS[rng.choice(len(KERNELS), p=CLEAN_WEIGHTS)]
    height, width = picture.shape[:2]
    return resize(picture, width // scale, height // scale, kernel)


def blur(picture: Array, rng: np.random.Generator, *, low: float = 0.2, high: float = 3.0) -> Array:
    """Blur with a Gaussian of random width, half of the time stretched and turned. Widths in pixels of `picture`."""
    along = rng.uniform(low, high)
    if rng.random() < 0.5:
        return np.asarray(cv2.GaussianBlur(picture, (0, 0), along, borderType=cv2.BORDER_REFLECT_101), np.uint8)
    across = rng.uniform(low, high)
    kernel = anisotropic_kernel(along, across, rng.uniform(0, np.pi))
    return np.asarray(cv2.filter2D(picture, -1, kernel, borderType=cv2.BORDER_REFLECT_101), np.uint8)


def anisotropic_kernel(along: float, across: float, angle: float) -> npt.NDArray[np.float32]:
    """Return an odd square kernel with sum 1: a Gaussian of two widths, turned by `angle` (radians)."""
    radius = max(1, int(np.ceil(3 * max(along, across))))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    u = x * np.cos(angle) + y * np.sin(angle)
    v = y * np.cos(angle) - x * np.sin(angle)
    kernel = np.exp(-0.5 * ((u / along) ** 2 + (v / across) ** 2))
    return np.asarray(kernel / kernel.sum(), np.float32)


def gaussian_noise(picture: Array, sigma: float, rng: np.random.Generator, *, gray: bool = False) -> Array:
    """Add normal noise of `sigma` levels (0 to 255 scale); `gray` uses one value for the three channels."""
    shape = (*picture.shape[:2], 1) if gray else picture.shape
    noisy = picture + sigma * rng.standard_normal(shape, np.float32)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def shot_noise(picture: Array, strength: float, rng: np.random.Generator) -> Array:
    """Add noise whose variance grows with brightness; `strength` is its sigma at white, in levels."""
    sigma = strength * np.sqrt(picture.astype(np.float32) / 255)
    noisy = picture + sigma * rng.standard_normal(picture.shape, np.float32)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def jpeg(picture: Array, quality: int) -> Array:
    """Return the picture after JPEG compression (4:2:0) at `quality`."""
    done, data = cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"JPEG encoding of a {picture.shape} picture failed")
    decoded: Array = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return decoded[:, :, ::-1]


def noise(picture: Array, rng: np.random.Generator, *, high: float = 30.0) -> Array:
    """Add normal (coloured or gray) or shot noise of random strength up to `high` levels, weak noise more often."""
    strength = 0.5 + (high - 0.5) * rng.random() ** 1.5
    kind = rng.random()
    if kind < 0.3:
        return shot_noise(picture, strength * 1.5, rng)
    return gaussian_noise(picture, strength, rng, gray=kind < 0.6)


def damage(picture: Array, scale: int, rng: np.random.Generator) -> Array:
    """Shrink by `scale` the way the world does: blurred, resized (perhaps twice), noisy, JPEG-compressed.

    Each damage is sometimes left out, so that the network learns every mixture. Sides must be multiples of `scale`.
    """
    height, width = picture.shape[:2]
    small = picture
    if rng.random() < 0.8:
        small = blur(small, rng)
    if rng.random() < 0.3:
        # An intermediate size, as a picture has that was shared once before.
        factor = rng.uniform(0.4, 0.9)
        kernel = KERNELS[rng.integers(len(KERNELS))]
        small = resize(small, max(1, round(width * factor)), max(1, round(height * factor)), kernel)
        if rng.random() < 0.5:
            small = noise(small, rng, high=8.0)
        if rng.random() < 0.5:
            small = jpeg(small, int(rng.integers(60, 96)))
    if rng.random() < 0.1:
        small = aliased(small, width // scale, height // scale)
    else:
        small = resize(small, width // scale, height // scale, KERNELS[rng.integers(len(KERNELS))])
    if rng.random() < 0.75:
        small = noise(small, rng)
    if rng.random() < 0.8:
        small = jpeg(small, jpeg_quality(rng))
    return small


def jpeg_quality(rng: np.random.Generator, *, low: int = 30, high: int = 98) -> int:
    """Draw a JPEG quality as pictures have it: any from `low` to `high`, high ones more often (the mean is 75)."""
    return round(high - (high - low) * rng.random() ** 2)


def standard_damage(picture: Array, scale: int, rng: np.random.Generator) -> Array:
    """Apply the fixed chain of the evaluation: blur, bicubic shrink, noise, JPEG, each always present, strengths drawn.

    Blur sigma 0.5 to 2.5 px of the large picture, coloured noise of sigma 1 to 10, JPEG quality 50 to 95.
    """
    height, width = picture.shape[:2]
    small = np.asarray(cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.5, 2.5)), np.uint8)
    small = resize(small, width // scale, height // scale)
    small = gaussian_noise(small, rng.uniform(1, 10), rng)
    return jpeg(small, int(rng.integers(50, 96)))


def published_damage(picture: Array, scale: int, rng: np.random.Generator) -> Array:
    """Apply the first-order chain of Real-ESRGAN with its authors' training strengths, each part always present.

    Blur sigma 0.2 to 3 px of the large picture, half of the time stretched; shrinking by area, bilinear or bicubic;
    normal noise of sigma 1 to 30 levels, 40 % gray, or as often Poisson noise, 0.05 to 3 times what the light's own
    would be; JPEG quality 30 to 95. Source: Wang et al., "Real-ESRGAN", ICCVW 2021, and its published options
    (`blur_sigma`, `noise_range`, `poisson_scale_range`, `jpeg_range`), without its random intermediate sizes.
    """
    height, width = picture.shape[:2]
    small = blur(picture, rng, low=0.2, high=3.0)
    kernel = (Image.Resampling.BOX, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)[rng.integers(3)]
    small = resize(small, width // scale, height // scale, kernel)
    gray = rng.random() < 0.4
    if rng.random() < 0.5:
        small = gaussian_noise(small, rng.uniform(1, 30), rng, gray=gray)
    else:
        small = poisson_noise(small, rng.uniform(0.05, 3), rng, gray=gray)
    return jpeg(small, int(rng.integers(30, 96)))


def poisson_noise(picture: Array, strength: float, rng: np.random.Generator, *, gray: bool = False) -> Array:
    """Add `strength` times the noise of a light whose brightest level is 255 photons; `gray`: of the luma, for all."""
    light = (picture @ LUMA)[:, :, np.newaxis] if gray else picture.astype(np.float64)
    noisy = picture + strength * (rng.poisson(light) - light)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def one_damage(
    picture: Array,
    scale: int,
    rng: np.random.Generator,
    *,
    blur: float = 0,
    noise: float = 0,
    quality: int | None = None,
) -> Array:
    """Apply the same chain with strengths that the caller names; 0 or None leaves a part out."""
    height, width = picture.shape[:2]
    small = np.asarray(cv2.GaussianBlur(picture, (0, 0), blur), np.uint8) if blur else picture
    small = resize(small, width // scale, height // scale)
    if noise:
        small = gaussian_noise(small, noise, rng)
    return small if quality is None else jpeg(small, quality)
