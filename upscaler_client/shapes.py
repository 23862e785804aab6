"""Shapes of what goes in and comes out: options, jobs, models, plans, results. ``raw`` is an answer's whole JSON."""

from dataclasses import dataclass, field, fields
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Self, TypedDict

from upscaler_client.errors import BadAnswer


class Options(TypedDict, total=False):
    """Options of a picture. Those left out the service chooses; its API document explains each."""

    model: str  # a name, or up to three with + between them
    outscale: float  # output side / input side, 1 to 16; or a size in pixels by the next three
    longest_side: int
    width: int
    height: int
    tile_size: int  # input pixels; 0: no tiles
    tile_pad: int
    format: Literal["png", "jpeg", "webp", "avif", "tiff", "jxl", "auto"]
    quality: int  # 1 to 100
    lossless: bool
    strip_metadata: bool | Literal["location"]
    denoise_strength: float  # 0 to 1
    precision: Literal["fp32", "bf16", "fp16"]
    priority: Literal["high", "normal", "low"]
    reuse: bool
    max_device_seconds: float  # refuse pictures whose quote is dearer; not for estimate()
    retain_hours: int  # hours that the ended job is kept
    delete_after_download: bool  # it goes once its whole result was downloaded


@dataclass(frozen=True)
class _Shape:
    """Reads itself out of a JSON object, whose other keys it leaves alone: a newer service may send more."""

    raw: dict[str, Any] = field(repr=False, compare=False, kw_only=True)

    @classmethod
    def read(cls, data: Any) -> Self:
        """Return the object that ``data`` describes. Raises BadAnswer where a key is missing."""
        if not isinstance(data, dict):
            raise BadAnswer(f"The answer should describe a {cls.__name__.lower()}, and is no JSON object")
        try:
            return cls(raw=data, **{one.name: data[one.name] for one in fields(cls) if one.name != "raw"})
        except KeyError as missing:
            raise BadAnswer(f"The answer describes a {cls.__name__.lower()} without {missing}") from None


@dataclass(frozen=True)
class Accepted(_Shape):
    """A submission that became a job."""

    job_id: str
    status: str


@dataclass(frozen=True)
class Job(_Shape):
    """A job as it is now."""

    job_id: str
    status: Literal["queued", "processing", "completed", "failed", "cancelled"]
    model: str
    eta_seconds: float | None
    error: str | None
    error_code: str | None
    result_format: str | None
    result_width: int | None
    result_height: int | None
    result_bytes: int | None
    result_sha256: str | None
    processing_time_seconds: float | None

    @property
    def ended(self) -> bool:
        """True once nothing will change any more."""
        return self.status in ("completed", "failed", "cancelled")

    @property
    def fraction(self) -> float:
        """Share that is done, 0 to 1."""
        progress = self.raw.get("progress")
        return float(progress.get("fraction") or 0) if isinstance(progress, dict) else 0.0


@dataclass(frozen=True)
class Plan(_Shape):
    """Size and cost that a picture would have; nothing was done. None: the service cannot know it yet."""

    input_width: int
    input_height: int
    output_width: int
    output_height: int
    scale: float
    seconds: float | None  # of computing
    jobs_ahead: int

    @property
    def device_seconds(self) -> float | None:
        """Those of the device alone; None where they are not known, or by a service before this field."""
        seconds = self.raw.get("device_seconds")
        return None if seconds is None else float(seconds)

    @property
    def price(self) -> Decimal | None:
        """By the service's tariff, in ``currency``; None without one."""
        price = self.raw.get("price")
        return None if price is None else Decimal(str(price))

    @property
    def currency(self) -> str | None:
        """ISO 4217, of the price; None without a tariff."""
        currency = self.raw.get("currency")
        return None if currency is None else str(currency)


@dataclass(frozen=True)
class Model(_Shape):
    """A model that the service knows; ``available`` where its file is there."""

    name: str
    scale: int
    description: str
    available: bool
    status: str
    use: str
    licence: str
    error: str | None
    download: dict[str, int] | None  # bytes_done, bytes_total, percent; None where it is not on its way
    limits: dict[str, int]  # max_input_pixels, max_output_pixels, max_side, max_upload_bytes


@dataclass(frozen=True)
class Result:
    """An upscaled picture: its bytes, or the file that they were written to."""

    job: Job
    content: bytes = field(repr=False)  # b"" where ``path`` has them
    path: Path | None = None
