"""The bodies of submissions, for the API's description. Forms are read by jobs/api/views/request_form.py."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from jobs.api.serializers.submission import SubmissionSerializer


@extend_schema_field(OpenApiTypes.BINARY)  # the framework's own would be described as the address of a file
class Upload(serializers.FileField):
    """A file of a form."""


class ImageFormSerializer(SubmissionSerializer):
    """One picture and how to upscale it."""

    image = Upload(required=False, help_text="Image file to upscale. Required, unless image_url is given.")


class ImageUrlSerializer(SubmissionSerializer):
    """A picture that the service fetches."""

    image_url = serializers.CharField(
        max_length=2000, help_text="Address of the picture, on a host that the operator allows."
    )


class BatchFormSerializer(SubmissionSerializer):
    """Many pictures, upscaled alike."""

    image_url = None  # type: ignore[assignment]  # takes the field out, as DRF wants it
    images = serializers.ListField(
        child=Upload(), min_length=1, help_text="Image files, at most 100 (the operator may say otherwise)."
    )
