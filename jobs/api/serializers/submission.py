"""The parameters of a submission, as form fields, query parameters or JSON."""

from dataclasses import fields
from typing import Any

from django.conf import settings
from django.http import QueryDict
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from jobs import chains
from jobs.api.serializers.fields import FiniteNumber, StripSwitch, Switch, WholeNumber
from jobs.auth import signed_urls
from jobs.options import STRIP, JobOptions
from jobs.states import PRIORITIES_ASKED, Priority
from jobs.submission.target_size import TargetSize
from jobs.webhooks.payloads import WebhookEvent
from modelstore.sentences import unknown
from modelstore.serializers import Choice

FORMATS = {
    "png": "png",
    "jpeg": "jpeg",
    "jpg": "jpeg",
    "webp": "webp",
    "avif": "avif",
    "tiff": "tiff",
    "tif": "tiff",
    "jxl": "jxl",
}
MIN_TILE, MAX_TILE = 32, 2048
#: Pixels of a side that may be asked for; what is really possible is a matter of the picture and the limits.
MAX_SIDE = 1_000_000

#: The ways to say how large the result shall be.
_SIZES = (("outscale",), ("longest_side",), ("width", "height"))


class TileSize(WholeNumber):
    """0 (the picture goes through whole) or a sensible tile."""

    default_error_messages = {"range": f"Must be 0 (no tiling) or from {MIN_TILE} to {MAX_TILE}"}

    def to_internal_value(self, data: Any) -> int:
        """Return the side of a tile, or refuse."""
        value = super().to_internal_value(data)
        if value != 0 and not MIN_TILE <= value <= MAX_TILE:
            self.fail("range")
        return value


@extend_schema_field({"type": "array", "items": {"type": "string", "enum": [str(event) for event in WebhookEvent]}})
class EventList(serializers.Field[Any, Any, Any, Any]):
    """Webhook events: a list, or one text with commas between them. Which events there are, jobs.webhooks knows."""

    def to_internal_value(self, data: Any) -> tuple[str, ...]:
        """Return the names in the order given."""
        given = data if isinstance(data, list) else str(data).split(",")
        return tuple(str(name).strip() for name in given)

    def to_representation(self, value: Any) -> Any:
        """Return the value; nothing is ever rendered with this field."""
        return list(value)


class SubmissionSerializer(serializers.Serializer[dict[str, Any]]):
    """Everything but the picture. What is left out is chosen by the service, and the job says what was chosen."""

    model = serializers.CharField(
        max_length=chains.LONGEST,
        required=False,
        error_messages={
            "max_length": f"At most {chains.MOST} names of at most {chains.NAME_CHARACTERS} characters, joined by +"
        },
        help_text=f"Name of the model, or of up to {chains.MOST} that the picture goes through in turn, such as "
        "denoise+RealESRGAN_x4plus (%2B stands for the + in an address). Default: the service's, usually "
        "RealESRGAN_x4plus.",
    )
    outscale = FiniteNumber(
        min_value=1,
        max_value=16,
        required=False,
        help_text="Output side / input side. Default: the model's own scale, or the product of a chain's.",
    )
    longest_side = WholeNumber(
        min_value=1,
        max_value=MAX_SIDE,
        required=False,
        help_text="Pixels of the result's longer side, instead of outscale: the picture's own to 16 times as many.",
    )
    width = WholeNumber(
        min_value=1,
        max_value=MAX_SIDE,
        required=False,
        help_text="Pixels of the result's width, instead of outscale. The picture keeps its proportions: with height "
        "it fits inside both.",
    )
    height = WholeNumber(
        min_value=1, max_value=MAX_SIDE, required=False, help_text="Pixels of the result's height, as width."
    )
    tile_size = TileSize(
        required=False,
        min_value=0,
        max_value=MAX_TILE,
        help_text=f"Side of the tiles in input pixels, {MIN_TILE} to {MAX_TILE}; 0: none. Default: chosen by memory.",
    )
    tile_pad = WholeNumber(
        min_value=0,
        max_value=128,
        required=False,
        help_text="Input pixels around each tile. Default: the model's need.",
    )
    format = Choice(
        choices=sorted({*FORMATS, "auto"}),
        required=False,
        help_text="File format of the result. Default: as the input.",
    )
    quality = WholeNumber(min_value=1, max_value=100, required=False, help_text="For jpeg, webp, avif, jxl.")
    lossless = Switch(required=False, help_text="For webp, avif and jxl.")
    strip_metadata = StripSwitch(
        required=False,
        help_text="true leaves EXIF, XMP, IPTC and texts out, location GPS alone. Default: the operator's.",
    )
    denoise_strength = FiniteNumber(
        min_value=0, max_value=1, required=False, help_text="0 keeps noise, 1 removes it; for models that offer it."
    )
    precision = Choice(choices=["fp32", "bf16", "fp16"], required=False, help_text="Number format of the inference.")
    priority = Choice(
        choices=PRIORITIES_ASKED,
        required=False,
        help_text="high goes before all others, for keys that may ask for it (where keys are off, everybody may); low "
        "waits with the batches. Default: normal.",
    )
    max_device_seconds = FiniteNumber(
        min_value=0,
        max_value=1e9,
        required=False,
        help_text="Refuse the picture (400 too_expensive) where its quote, device_seconds of the dry run, is dearer. "
        "Where nothing was measured yet, it is accepted.",
    )
    reuse = Switch(required=False, help_text="Answer from an existing result of the same bytes and options.")
    retain_hours = WholeNumber(
        min_value=1,
        max_value=87_600,
        required=False,
        help_text="Hours that the ended job is kept with its pictures; at most what the operator allows. Default: the "
        "key's, or the operator's.",
    )
    delete_after_download = Switch(
        required=False, help_text="The job goes with its pictures once its whole result was downloaded."
    )
    webhook_url = serializers.CharField(
        max_length=2000, required=False, help_text="Told when the job ends (Standard Webhooks)."
    )
    webhook_events = EventList(required=False, help_text="Which events webhook_url is told; default: the ends.")
    image_url = serializers.CharField(
        max_length=2000, required=False, help_text="Instead of a file, where the operator allows the host."
    )

    def validate_format(self, value: str) -> str | None:
        """Bring the names of formats into one form; "auto" is the same as leaving it out."""
        return FORMATS.get(value)

    def validate_retain_hours(self, value: int) -> int:
        """Refuse what is beyond the operator's limit, naming it."""
        if value > settings.MAX_RETAIN_HOURS:
            raise serializers.ValidationError(f"The limit is {settings.MAX_RETAIN_HOURS} hours")
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse a size that is given in two ways."""
        ways = [[name for name in names if name in attrs] for names in _SIZES]
        if sum(map(bool, ways)) > 1:
            problem = "Give outscale, or longest_side, or width and height: not several of them"
            raise serializers.ValidationError(dict.fromkeys([name for way in ways for name in way], problem))
        return attrs

    @property
    def target(self) -> TargetSize | None:
        """The size in pixels that was asked for."""
        names = {field.name for field in fields(TargetSize)}
        given = {name: value for name, value in self.validated_data.items() if name in names}
        return TargetSize(**given) if given else None

    def priority_from(self, usual: Priority) -> Priority:
        """Return the priority that was asked for; ``usual``: that of the endpoint."""
        return {"high": Priority.HIGH, "low": Priority.BATCH}.get(self.validated_data.get("priority", ""), usual)

    @property
    def model_name(self) -> str:
        """The model asked for, or the service's default."""
        return str(self.validated_data.get("model", settings.DEFAULT_MODEL))

    @property
    def options(self) -> JobOptions:
        """The options in their typed form."""
        names = {field.name for field in fields(JobOptions)}
        given = {name: value for name, value in self.validated_data.items() if name in names}
        if STRIP[settings.STRIP_METADATA_DEFAULT]:  # into the row: so another default does not change a job's result
            given.setdefault("strip_metadata", STRIP[settings.STRIP_METADATA_DEFAULT])
        return JobOptions(**given)


def merged(sources: list[dict[str, list[Any]]], known: set[str]) -> dict[str, Any]:
    """Return one value per parameter out of query string and body.

    Raises ValidationError for parameters that nobody knows (a mistyped ``tilesize`` must not be ignored silently) and
    for those that are given twice, where nobody can tell which one was meant. ``webhook_events`` may be repeated.
    """
    values: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for source in sources:
        for name, given in source.items():
            if name not in known:
                problems[_shown(name)] = unknown(name, known)
            elif name == "webhook_events" and name not in values:
                values[name] = given if len(given) > 1 else given[0]
            elif name in values or len(given) != 1:
                problems[name] = "Given more than once"
            else:
                values[name] = given[0]
    if problems:
        raise serializers.ValidationError(problems)
    return values


def query(parameters: QueryDict, serializer: type[serializers.Serializer[Any]]) -> dict[str, Any]:
    """Read a query string by its serializer, beside the signature of a link. Raises ValidationError as `merged`."""
    values = merged([dict(parameters.lists())], {*serializer().fields, signed_urls.PARAMETER})
    values.pop(signed_urls.PARAMETER, None)
    checked = serializer(data=values)
    checked.is_valid(raise_exception=True)
    return dict(checked.validated_data)


def _shown(name: str) -> str:
    return name if len(name) <= 60 else f"{name[:60]}…"
