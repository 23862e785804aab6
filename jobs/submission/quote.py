"""The quote: for how long a picture keeps a device, and what that costs. Known once jobs of the model were measured."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from django.conf import settings

from jobs.engine.tiling.passes import Passes
from jobs.engine.types import Header
from jobs.errors import TooExpensive
from jobs.options import JobOptions
from jobs.progress.throughput import Throughput

#: Digits of a price: a small picture costs a fraction of the smallest coin, and bills add up thousands.
_SMALLEST = Decimal("0.000001")


@dataclass(frozen=True)
class Quote:
    """Cost of one picture. None stands for what is not known, or has no tariff."""

    device_seconds: float | None
    price: Decimal | None
    currency: str | None  # ISO 4217


def quote_for(header: Header, passes: Passes, options: JobOptions, speed: Throughput | None) -> Quote:
    """Return the quote of a picture that takes these passes, by a measured speed."""
    asked = (header.width, header.height, header.frames, options.outscale)
    seconds = round(speed.device_seconds(*asked), 3) if speed and speed.foretells(*asked) else None
    tariff = settings.TARIFF_PER_DEVICE_SECOND is not None or settings.TARIFF_PER_OUTPUT_MEGAPIXEL is not None
    price = _price(seconds, passes.width * passes.height * header.frames) if tariff else None
    return Quote(seconds, price, settings.TARIFF_CURRENCY if tariff else None)


def require_within(limit: float, quote: Quote) -> None:
    """Check what a caller is willing to take. What is not known yet passes.

    :raises TooExpensive: the quote is dearer than ``limit`` device seconds.
    """
    if quote.device_seconds is not None and quote.device_seconds > limit:
        seconds = quote.device_seconds
        raise TooExpensive(
            f"the picture would take about {seconds:g} seconds of a device; max_device_seconds is {limit:g}"
        )


def _price(device_seconds: float | None, output_pixels: int) -> Decimal | None:
    per_second: Decimal | None = settings.TARIFF_PER_DEVICE_SECOND
    per_megapixel: Decimal | None = settings.TARIFF_PER_OUTPUT_MEGAPIXEL
    price = Decimal(0)
    if per_second:
        if device_seconds is None:
            return None
        price += per_second * Decimal(str(device_seconds))
    if per_megapixel:
        price += per_megapixel * Decimal(output_pixels) / 1_000_000
    return price.quantize(_SMALLEST, ROUND_HALF_UP)
