"""The bodies of submissions, for the API's description. Forms are read by jobs/views/form.py."""

from rest_framework import serializers

from jobs.serializers.submission import SubmissionSerializer


class ImageFormSerializer(SubmissionSerializer):
    """One picture and how to upscale it."""

    image = serializers.FileField(
        required=False, help_text="Image file to upscale. Required, unless image_url is given."
    )


class ImageUrlSerializer(SubmissionSerializer):
    """A picture that the service fetches."""

    image_url = serializers.CharField(
        max_length=2000, help_text="Address of the picture, on a host that the operator allows."
    )


class BatchFormSerializer(SubmissionSerializer):
    """Many pictures, upscaled alike."""

    image_url = None  # type: ignore[assignment]  # takes the field out, as DRF wants it
    images = serializers.ListField(
        child=serializers.FileField(),
        min_length=1,
        help_text="Image files, at most 100 (the operator may say otherwise).",
    )
