"""The options of one picture in their canonical form, as validated, stored, compared and hashed; and the limits."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from django.conf import settings

from jobs.engine.types import Limits, Strip

#: The values of strip_metadata by the words of the setting and of the command.
STRIP: dict[str, Strip] = {"none": False, "location": "location", "all": True}


@dataclass(frozen=True)
class JobOptions:
    """The options of one job beside its model. None: the service chooses. Ranges are checked by the serializer.

    Stored in ``Job.options`` as the JSON object of ``as_json()``: only what was given, so that a later option with a
    default of None leaves old rows and fingerprints as they are.
    """

    outscale: float | None = None  # 1.0 to 16.0, output side / input side
    tile_size: int | None = None  # input pixels; 0 means no tiling
    tile_pad: int | None = None  # input pixels around each tile
    format: str | None = None  # "png", "jpeg", "webp", "avif", "tiff", "jxl"; None: as the input
    quality: int | None = None  # 1 to 100
    lossless: bool | None = None
    strip_metadata: Strip | None = None  # "location": GPS alone
    denoise_strength: float | None = None  # 0.0 to 1.0, for models that have a denoising twin
    precision: str | None = None  # "fp32", "bf16", "fp16"

    def as_json(self) -> dict[str, Any]:
        """Return what was given, by name."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "JobOptions":
        """Read a stored object back. Unknown names are ignored: the row may be older or newer than the code."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in data.items() if name in known})

    def fingerprint(self, *, model: str, input_sha256: str) -> str:
        """Return the SHA-256 (hex) of picture bytes, model name and options: equal work has equal fingerprints."""
        canonical = json.dumps([input_sha256, model, self.as_json()], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


def engine_limits() -> Limits:
    """Return the limits on pictures from the settings."""
    return Limits(
        max_input_pixels=settings.MAX_INPUT_PIXELS,
        max_output_pixels=settings.MAX_OUTPUT_PIXELS,
        max_side=settings.MAX_IMAGE_SIDE,
        max_frames=settings.MAX_FRAMES,
    )
