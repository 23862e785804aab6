"""The shapes of the model endpoints: field names and units as in the API guide, further fields beside them."""

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from modelstore.catalog import Provider
from modelstore.errors import for_callers
from modelstore.models import Model
from modelstore.names import NAME_PATTERN
from modelstore.sentences import told, translated, unknown
from modelstore.states import PENDING, Origin, State, Use
from modelstore.storage import weights
from modelstore.storage.paths import size_on_disk

#: The guide's "size_mb" are mebibytes: 69927936 bytes are its 66.7.
_MEBIBYTE = 1024 * 1024


class Choice(serializers.ChoiceField):
    """One of a few words. What is none of them is answered with the one that was meant, and with all of them."""

    def to_internal_value(self, data: Any) -> Any:
        """Return the choice, or refuse."""
        if not isinstance(data, str) or data not in self.choices:
            raise serializers.ValidationError(unknown(str(data), map(str, self.choices)), code="invalid_choice")
        return super().to_internal_value(data)


def mebibytes(size_bytes: int) -> float:
    """Return the size in MiB with one decimal, as the guide shows sizes."""
    return round(size_bytes / _MEBIBYTE, 1)


class DownloadProgressSerializer(serializers.Serializer[Any]):
    """The progress of a download."""

    bytes_done = serializers.IntegerField()
    bytes_total = serializers.IntegerField()
    percent = serializers.IntegerField(help_text="0 to 100")


class LimitsSerializer(serializers.Serializer[Any]):
    """The largest pictures that this service takes and gives."""

    max_input_pixels = serializers.IntegerField()
    max_output_pixels = serializers.IntegerField()
    max_side = serializers.IntegerField(help_text="longest side of an input, in pixels")
    max_upload_bytes = serializers.IntegerField()


class ModelSerializer(serializers.Serializer[Any]):
    """One model."""

    name = serializers.CharField()
    scale = serializers.IntegerField(
        help_text="how many times larger the network makes a picture; 0: its file was not examined yet"
    )
    description = serializers.CharField()
    available = serializers.SerializerMethodField(help_text="its weights are here: jobs may name it")
    size_mb = serializers.SerializerMethodField(help_text="size_bytes in MiB")
    size_bytes = serializers.SerializerMethodField(help_text="of the file on the disk, or of the one to be downloaded")
    status = serializers.ChoiceField(source="state", choices=State.choices)
    origin = serializers.ChoiceField(choices=Origin.choices)
    architecture = serializers.CharField(help_text="rrdbnet, srvggnet, or a family such as SPAN, DAT or SwinIR")
    purpose = serializers.SerializerMethodField(help_text="upscale, or restore where the size stays (scale 1)")
    tiles = serializers.SerializerMethodField(
        help_text="how tiles join: seam-free; blended, with how near they come to the whole picture; whole picture only"
    )
    precisions = serializers.SerializerMethodField(help_text="in which it may be computed, where the device can")
    use = serializers.ChoiceField(
        choices=Use.choices,
        allow_blank=True,
        help_text="the pictures that it is for; empty while an import that did not say is examined",
    )
    licence = serializers.CharField(help_text="of the weights; empty: not told")
    non_commercial = serializers.BooleanField(
        help_text="the licence forbids commercial use, as far as its name tells; read the licence"
    )
    author = serializers.CharField()
    homepage = serializers.CharField()
    example = serializers.CharField(help_text="an address that shows what it does, or empty")
    sha256 = serializers.CharField()
    supports_denoise_strength = serializers.SerializerMethodField()
    denoise_partner = serializers.CharField(help_text="the model that a denoise strength below 1 also needs, or empty")
    download = serializers.SerializerMethodField(help_text="progress while the model is on its way, else null")
    source = serializers.CharField(help_text="where the file came from")  # type: ignore[assignment]  # a field's name
    notes = serializers.CharField(help_text="sources that failed before one succeeded")
    superseded = serializers.SerializerMethodField(
        help_text="the catalogue names another file by now; this one is kept until the model is deleted"
    )
    error = serializers.CharField(allow_null=True, help_text="why the last download failed, else null")
    limits = serializers.SerializerMethodField()

    def get_available(self, model: Model) -> bool:
        """Return True if the model is ready and its file is on the disk."""
        return weights.is_available(model)

    def get_size_mb(self, model: Model) -> float:
        """Return the size in MiB, as the guide shows it."""
        return mebibytes(self.get_size_bytes(model))

    def get_size_bytes(self, model: Model) -> int:
        """Return the size in bytes, from the disk where there is a file."""
        on_disk = size_on_disk(model) if model.state == State.READY else None
        return model.size_bytes if on_disk is None else on_disk

    def get_purpose(self, model: Model) -> str:
        """Return what the model is for; by its listed use as long as its scale is not known."""
        restores = model.scale == 1 or (model.scale == 0 and model.use == Use.RESTORE)
        return "restore" if restores else "upscale"

    def get_superseded(self, model: Model) -> bool:
        """Return whether another file could be had than the one that is here."""
        return bool(model.offered)

    def get_tiles(self, model: Model) -> str:
        """Return how tiles of its network join; empty where its file was never examined."""
        return model.spec.joins if model.spec else ""

    def get_precisions(self, model: Model) -> list[str]:
        """Return the precisions that its network bears."""
        return [name for name in ("fp32", "bf16", "fp16") if model.spec is None or model.spec.bears(name)]

    def get_supports_denoise_strength(self, model: Model) -> bool:
        """Return True if the model has a partner to be mixed with."""
        return bool(model.denoise_partner)

    @extend_schema_field(DownloadProgressSerializer(allow_null=True))
    def get_download(self, model: Model) -> dict[str, int] | None:
        """Return the progress while a download waits or runs."""
        if model.state not in PENDING:
            return None
        done = model.received_bytes if model.state == State.DOWNLOADING else 0
        return {"bytes_done": done, "bytes_total": model.size_bytes, "percent": model.percent or 0}

    @extend_schema_field(LimitsSerializer)
    def get_limits(self, model: Model) -> dict[str, int]:  # noqa: ARG002 - the framework's signature
        """Return the limits from the settings."""
        return {
            "max_input_pixels": settings.MAX_INPUT_PIXELS,
            "max_output_pixels": settings.MAX_OUTPUT_PIXELS,
            "max_side": settings.MAX_IMAGE_SIDE,
            "max_upload_bytes": settings.MAX_UPLOAD_BYTES,
        }

    def to_representation(self, instance: Model) -> dict[str, Any]:
        """Show missing errors as null, as the job object does."""
        shape: dict[str, Any] = super().to_representation(instance)
        shape["error"] = told(shape["error"]) if shape["error"] else None
        shape["notes"] = told(shape["notes"])
        shape["source"] = translated(for_callers(shape["source"]))
        shape["description"] = translated(shape["description"])
        return shape


@extend_schema_serializer(many=False)  # the view is a list, its answer an object
class ModelListSerializer(serializers.Serializer[Any]):
    """All models."""

    available_models = ModelSerializer(many=True, help_text="every known model; `available` tells which are here")
    total_models = serializers.IntegerField()
    local_models = serializers.IntegerField(help_text="how many of them are here")


class DownloadRequestSerializer(serializers.Serializer[Any]):
    """The models to download, and the provider to ask first."""

    models = serializers.ListField(
        child=serializers.RegexField(
            NAME_PATTERN,
            error_messages={"invalid": "not the name of a model: letters, digits, dots, hyphens, underscores"},
        ),
        min_length=1,
        max_length=50,
    )
    provider = Choice(
        choices=[provider.value for provider in Provider],
        required=False,
        help_text="asked first; the other sources follow when it fails. Default: github",
    )

    def validate_models(self, value: list[str]) -> list[str]:
        """Merge names given twice."""
        return list(dict.fromkeys(value))


class ImportRequestSerializer(serializers.Serializer[Any]):
    """A weights file, and what to call it."""

    file = serializers.FileField(help_text=".pth or .safetensors, up to MAX_MODEL_UPLOAD_MB")
    name = serializers.RegexField(
        NAME_PATTERN,
        required=False,
        error_messages={"invalid": "not the name of a model: letters, digits, dots, hyphens, underscores"},
        help_text="default: the official name of an official file, else the file's name without its ending",
    )
    description = serializers.CharField(required=False, default="", max_length=300, help_text="one line for the list")
    licence = serializers.CharField(
        required=False, default="", max_length=100, help_text="of the weights, such as CC-BY-4.0"
    )
    use = Choice(
        choices=Use.choices,
        required=False,
        allow_blank=True,
        default="",
        help_text="the pictures that it is for; default: restore for a network of scale 1, else photo",
    )


class ModelQuerySerializer(serializers.Serializer[Any]):
    """The choice of models to list."""

    use = Choice(choices=Use.choices, required=False, help_text="only models for these pictures")


class DownloadOutcomeSerializer(serializers.Serializer[Any]):
    """The progress of the requested models."""

    success = serializers.BooleanField(help_text="nothing failed")
    message = serializers.CharField()
    downloaded = serializers.ListField(child=serializers.CharField(), help_text="here now, or already before")
    failed = serializers.ListField(child=serializers.CharField())
    errors = serializers.DictField(  # type: ignore[assignment]  # the guide's name; the metaclass takes it away
        child=serializers.CharField(), help_text="name → why it failed"
    )
    downloading = serializers.ListField(child=serializers.CharField(), help_text="still on their way")
    notes = serializers.DictField(
        child=serializers.CharField(), help_text="name → sources that failed before one succeeded"
    )


class ModelsInfoSerializer(serializers.Serializer[Any]):
    """The models directory."""

    models_directory = serializers.CharField()
    total_size_mb = serializers.FloatField()
    model_count = serializers.IntegerField()
    total_size_bytes = serializers.IntegerField()
    free_bytes = serializers.IntegerField(help_text="free space of that disk")
