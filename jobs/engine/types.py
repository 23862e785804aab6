"""The engine's vocabulary: frozen dataclasses that cross its boundary. numpy only, never torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from modelstore.networks.spec import NetworkSpec

Precision = Literal["auto", "fp32", "bf16", "fp16"]
Backend = Literal["auto", "torch", "openvino", "winograd", "reference"]
OutputFormat = Literal["auto", "png", "jpeg", "webp", "avif", "tiff", "jxl"]
Written = Literal["png", "jpeg", "webp", "avif", "tiff", "jxl"]
#: "location" strips GPS alone.
Strip = Literal[False, True, "location"]

#: What keeps exactly its one colour: nothing, pictures of a single colour, or areas of any picture as well.
HoldFlat = Literal["never", "whole", "areas"]

#: Called after every finished tile with (tiles done, tiles in all). May raise Cancelled to stop between tiles.
OnTile = Callable[[int, int], None]


@dataclass(frozen=True)
class Limits:
    """Bounds that are checked from the file's header, before any pixel is decoded. Pixels count all frames."""

    max_input_pixels: int = 50_000_000
    max_output_pixels: int = 400_000_000
    max_side: int = 30_000
    max_frames: int = 200


@dataclass(frozen=True)
class Header:
    """The header of an image file. ``width`` and ``height`` are in pixels as displayed: EXIF orientation applied."""

    format: str  # "png", "jpeg", "webp", "tiff", "bmp", "gif", "avif", "heic", "jxl"
    width: int
    height: int
    frames: int
    bits: int  # per channel: 8 or 16 (1-bit and palette count as 8)
    gray: bool
    alpha: bool

    @property
    def pixels(self) -> int:
        """Pixels of all frames together."""
        return self.width * self.height * self.frames


@dataclass(frozen=True)
class Frame:
    """One picture's pixels.

    ``color`` is (H, W, 3) RGB or (H, W, 1) gray, C-contiguous, uint8 or uint16, full range. ``alpha`` is (H, W) of the
    same dtype, not premultiplied, or None where every pixel is opaque by format. ``duration_ms`` is for animations;
    PNG's fractions of a second are not rounded.
    """

    color: NDArray[np.uint8] | NDArray[np.uint16]
    alpha: NDArray[np.uint8] | NDArray[np.uint16] | None = None
    duration_ms: float | None = None


@dataclass(frozen=True)
class Cicp:
    """Coding-independent code points: what colour the numbers mean (ITU-T H.273). PNG's cICP, nclx in AVIF and HEIC."""

    primaries: int  # 1 BT.709 and sRGB, 9 BT.2020, 12 Display P3
    transfer: int  # 1 BT.709, 8 linear, 13 sRGB, 16 PQ, 18 HLG


@dataclass(frozen=True)
class LightLevel:
    """The brightness of the picture's content, in cd/m² (CTA-861.3): PNG's cLLI, clli in AVIF and HEIC."""

    max_content: float
    max_frame_average: float


@dataclass(frozen=True)
class MasteringDisplay:
    """The screen on which the picture was made (SMPTE ST 2086): PNG's mDCV, mdcv in AVIF and HEIC."""

    chromaticities: tuple[int, ...]  # x, y of red, green, blue, white, in units of 0.00002
    max_luminance: float  # cd/m²
    min_luminance: float  # cd/m²


@dataclass(frozen=True)
class Text:
    """A text beside the picture: PNG's tEXt, zTXt and iTXt, comments of JPEG and GIF."""

    keyword: str  # 1 to 79 characters of Latin-1; "Comment" for comments
    value: str  # bytes that are no UTF-8 stand as lone surrogates ("surrogateescape")
    language: str = ""
    translated: str = ""  # the keyword in that language


@dataclass(frozen=True)
class Metadata:
    """The data beside the pixels. The decoder resets EXIF's orientation tag to 1.

    The meaning of the numbers is in ``cicp``, else in ``icc``, else in ``gamma`` and ``chromaticities``, else sRGB.
    Where a format has another order, as AVIF and HEIC have, the decoder leaves out what does not rule.
    """

    icc: bytes | None = None
    cicp: Cicp | None = None
    gamma: float | None = None  # the exponent of encoding as in PNG's gAMA: 1.0 linear, 0.45455 like sRGB
    #: White, red, green, blue as CIE x, y: eight numbers.
    chromaticities: tuple[float, ...] | None = None
    light: LightLevel | None = None
    mastering: MasteringDisplay | None = None
    texts: tuple[Text, ...] = ()
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    dpi: tuple[float, float] | None = None
    aspect: tuple[int, int] | None = None  # dots per unit across and down where no unit is known: pixels are not square
    loop: int | None = None  # animations: 0 is for ever


@dataclass(frozen=True)
class GainMap:
    """A second picture that makes the first one HDR: the logarithm of how much brighter each place is (ISO 21496-1).

    ``frame`` is (h, w, 1 or 3) uint8, mostly smaller than the picture. The parameters stand in ``xmp`` (the map's own
    packet, Adobe's hdrgm), in ``iso`` (the binary of ISO 21496-1, annex C), or in both.
    """

    frame: Frame
    xmp: bytes | None = None
    iso: bytes | None = None
    icc: bytes | None = None


@dataclass(frozen=True)
class Picture:
    """A decoded image: one frame, or the frames of an animation, all of one size (H, W)."""

    format: str
    frames: tuple[Frame, ...]
    metadata: Metadata = field(default_factory=Metadata)
    #: Bits per channel that the file had, 8, 10, 12 or 16; 0 where nothing but the arrays tells.
    depth: int = 0
    gain_map: GainMap | None = None
    #: Properties of the file that could not be kept; they stand in the report.
    notes: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Pixels per row."""
        return int(self.frames[0].color.shape[1])

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.frames[0].color.shape[0])

    @property
    def bits(self) -> int:
        """Bits per channel, 8 or 16: decided by the file and kept to the end."""
        return 16 if self.frames[0].color.dtype == np.uint16 else 8


@dataclass(frozen=True)
class Weights:
    """Verified weights on the local disk.

    ``second`` and ``blend`` mix two files: blend * path + (1 - blend) * second. The digests, SHA-256 in hex, are
    checked at the moment in which the files are loaded; "" where none is known. ``spec`` is what was found when the
    file was examined; without it a network of another family than our two is measured each time that it is loaded.
    """

    name: str
    path: Path
    second: Path | None = None
    blend: float = 1.0  # 0.0 to 1.0
    sha256: str = ""
    second_sha256: str = ""
    spec: NetworkSpec | None = None

    @property
    def files(self) -> tuple[tuple[Path, str], ...]:
        """The one or two files that are loaded, each with its digest.

        A blend of 1 is the first file alone, of 0 the second alone: no need to hold, or even to have, the other.
        """
        first = (self.path, self.sha256)
        if self.second is None or self.blend >= 1.0:
            return (first,)
        second = (self.second, self.second_sha256)
        return (second,) if self.blend <= 0.0 else (first, second)


@dataclass(frozen=True)
class Runtime:
    """The device, precision and backend to use. "auto" picks the fastest there is; the report names it."""

    device: str = "auto"  # "auto", "cpu", "cuda", "cuda:1", "xpu:0", "mps", "vulkan" …
    precision: Precision = "auto"
    backend: Backend = "auto"
    measurements: Path | None = None  # a folder for what "auto" measured on CPUs; None: each process measures anew


@dataclass(frozen=True)
class UpscaleOptions:
    """The options of one picture. None lets the engine choose, and the report names its choice."""

    outscale: float | None = None  # 1.0 to 16.0; None is the network's own scale, or the product of a chain's
    tile_size: int | None = None  # input pixels of each network, 32 to 2048, 0 for no tiling
    tile_pad: int | None = None  # input pixels, 0 to 128
    precision: Precision | None = None  # None is the runtime's
    hold_flat: HoldFlat = "whole"  # the reference backend knows nothing of it


@dataclass(frozen=True)
class EncodeOptions:
    """The options for writing the result."""

    format: OutputFormat = "auto"
    quality: int | None = None  # 1 to 100, for jpeg, webp, avif, jxl
    lossless: bool = False  # for webp, avif, jxl
    strip_metadata: Strip = False
    provenance: str | None = None  # one line such as "RealESRGAN_x4plus x4, upscaler 1.0.0"


@dataclass(frozen=True)
class Encoded:
    """A file that was written. ``notes`` name what its format had no place for."""

    format: Written
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class MemberReport:
    """The account of one network of a chain: the fields of `Report`, for its part; ``scale`` is the network's own."""

    model: str
    device: str
    backend: str
    precision: str
    scale: int
    tile_size: int
    tile_pad: int
    tiles: int
    passes: int
    fp32_redone_tiles: int
    out_of_memory_shrinks: int
    seconds: Mapping[str, float]  # "load", "infer"
    choice: str


@dataclass(frozen=True)
class Report:
    """A record of what happened to one picture. ``seconds`` are by phase.

    Of a chain, ``model`` names the members with + between them, as do ``device``, ``backend`` and ``precision`` where
    they differ; tiles, passes and seconds are added up, ``tile_size`` and ``tile_pad`` are the last member's.
    """

    model: str
    device: str  # "cpu", "cuda:0"
    device_name: str
    backend: str  # "torch", "openvino", "winograd", "reference", "vulkan"
    precision: str
    scale: float
    tile_size: int  # 0: the picture went through whole
    tile_pad: int
    tiles: int
    passes: int
    fp32_redone_tiles: int = 0
    out_of_memory_shrinks: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)  # "decode", "load", "infer", "encode"
    choice: str = ""  # on a CPU, where "auto" chose: backend and precision in words, and why these
    notes: tuple[str, ...] = ()
    members: tuple[MemberReport, ...] = ()  # of a chain, in its order; empty for one network
