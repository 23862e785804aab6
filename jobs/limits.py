"""The service's limits in the engine's words."""

from django.conf import settings

from jobs.engine.types import Limits


def engine_limits() -> Limits:
    """Bounds on pictures, from the settings."""
    return Limits(
        max_input_pixels=settings.MAX_INPUT_PIXELS,
        max_output_pixels=settings.MAX_OUTPUT_PIXELS,
        max_side=settings.MAX_IMAGE_SIDE,
        max_frames=settings.MAX_FRAMES,
    )
