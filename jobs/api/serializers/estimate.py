"""The query parameters of an estimate: a picture's size, and the options that decide what it costs."""

from typing import Any, Self

from django.http import QueryDict

from jobs.api.serializers.fields import WholeNumber
from jobs.api.serializers.submission import MAX_SIDE, SubmissionSerializer, merged
from jobs.engine.types import Header


class EstimateQuerySerializer(SubmissionSerializer):
    """The picture's size and how to upscale it."""

    input_width = WholeNumber(min_value=1, max_value=MAX_SIDE, help_text="Pixels, as the picture is shown.")
    input_height = WholeNumber(min_value=1, max_value=MAX_SIDE, help_text="Pixels, as the picture is shown.")
    input_frames = WholeNumber(min_value=1, max_value=MAX_SIDE, default=1, help_text="Of an animation.")

    # What changes neither the size nor the cost is no parameter here.
    quality = None  # type: ignore[assignment]  # takes the field out, as DRF wants it; likewise below
    lossless = None  # type: ignore[assignment]  # as quality
    strip_metadata = None  # type: ignore[assignment]  # as quality
    max_device_seconds = None  # type: ignore[assignment]  # as quality
    reuse = None  # type: ignore[assignment]  # as quality
    retain_hours = None  # type: ignore[assignment]  # as quality
    delete_after_download = None  # type: ignore[assignment]  # as quality
    webhook_url = None  # type: ignore[assignment]  # as quality
    webhook_events = None  # type: ignore[assignment]  # as quality
    image_url = None  # type: ignore[assignment]  # as quality

    @classmethod
    def read(cls, parameters: QueryDict) -> Self:
        """Read the query string. Raises ValidationError, also for parameters that nobody knows or that come twice."""
        serializer = cls(data=merged([dict(parameters.lists())], set(cls().fields)))
        serializer.is_valid(raise_exception=True)
        return serializer

    def validate_model(self, value: str) -> str:
        """Read a blank as a +, of which an address makes one: no name of a model has a blank."""
        return value.replace(" ", "+")

    @property
    def header(self) -> Header:
        """Header that would be read from the picture's file: 8 bits, colour, no transparency."""
        data: dict[str, Any] = self.validated_data
        return Header(
            format="",
            width=data["input_width"],
            height=data["input_height"],
            frames=data["input_frames"],
            bits=8,
            gray=False,
            alpha=False,
        )
