"""Reads a submission out of a request: multipart form, raw picture, or JSON with an image_url."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from rest_framework import serializers
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.settings import api_settings

from jobs.api.parsers import ImageFormParser, RawImageParser
from jobs.api.serializers.fields import Switch
from jobs.api.serializers.submission import SubmissionSerializer, merged
from jobs.auth.authentication import caller_key
from jobs.auth.callers import caller_of
from jobs.errors import PriorityRefused
from jobs.states import Priority
from jobs.submission import image_url
from jobs.submission.request import Submission
from jobs.submission.uploads import close_with
from jobs.webhooks.subscription import accept

#: A form with a file, the picture alone, or JSON that names an image_url.
PICTURE_PARSERS: list[type[BaseParser]] = [
    ImageFormParser,
    RawImageParser,
    *cast("list[type[BaseParser]]", api_settings.DEFAULT_PARSER_CLASSES),
]
DRY_RUN = "dry_run"
MAX_KEY_CHARACTERS = 255


@dataclass(frozen=True)
class SubmissionCall:
    """One call that submits pictures, as it was parsed."""

    submission: Submission
    pictures: list[UploadedFile[Any]]
    dry_run: bool


def read_submission(
    request: Request,
    priority: Priority,
    *,
    files_field: str = "image",
    require_worker: Callable[[], None] | None = None,
) -> SubmissionCall:
    """Parse the request: parameters and pictures, the one of ``image_url`` fetched.

    :param files_field: "image" for one picture, a file or ``image_url``; "images" for many files.
    :raises ValidationError, ParseError, UploadTooLarge, StorageFull: what the parsers and the serializer raise.
    :raises PriorityRefused: the caller may not go before all others.
    :raises WebhookRefused: an address that will never be delivered to.
    :raises ImageUrlRefused, ImageUrlFailed: the picture cannot be fetched.
    """
    single = files_field == "image"
    sent = request.FILES
    _refuse_wrong_files(sent, files_field)
    known = {*SubmissionSerializer().fields, DRY_RUN} - (set() if single else {"image_url"})
    values = merged([dict(request.query_params.lists()), _body(request, set(sent) | {files_field})], known)
    dry_run = Switch().run_validation(values.pop(DRY_RUN, "false"))
    serializer = SubmissionSerializer(data=values)
    serializer.is_valid(raise_exception=True)
    data = serializer.validated_data
    webhook_url, webhook_events = accept(data.get("webhook_url", ""), data.get("webhook_events", ()))
    submission = Submission(
        model=serializer.model_name,
        options=serializer.options,
        target=serializer.target,
        priority=permitted(request, serializer.priority_from(priority)),
        api_key=caller_key(request),
        caller=caller_of(request),
        request_id=str(getattr(request, "request_id", "")),
        webhook_url=webhook_url,
        webhook_events=tuple(webhook_events),
        reuse=data.get("reuse"),
        max_device_seconds=data.get("max_device_seconds"),
        retain_hours=data.get("retain_hours"),
        delete_after_download=data.get("delete_after_download"),
        idempotency_key=_idempotency_key(request),
        require_worker=require_worker,
    )
    pictures = _pictures(request, files_field, data.get("image_url"), most=1 if single else None)
    return SubmissionCall(submission, pictures, dry_run)


def permitted(request: Request, priority: Priority) -> Priority:
    """Return the priority if the caller may have it: staff may, a key that says so, and all where keys are off."""
    key = caller_key(request)
    staff = getattr(request.user, "is_staff", False)
    may = staff or not settings.REQUIRE_API_KEY or (key is not None and key.high_priority)
    if priority == Priority.HIGH and not may:
        raise PriorityRefused("This key may not ask for priority=high; whoever runs this service can allow it")
    return priority


def _pictures(request: Request, field: str, url: str | None, *, most: int | None) -> list[UploadedFile[Any]]:
    """Return the pictures that were sent, or the one that the service fetches; at least one."""
    sent: list[UploadedFile[Any]] = request.FILES.getlist(field)
    if most is not None and len(sent) + bool(url) > most:
        raise serializers.ValidationError({field: "Give one picture, as a file or as image_url"})
    if url:
        fetched = image_url.fetch(url)
        close_with(request, fetched)
        return [fetched]
    if not sent:
        raise serializers.ValidationError({field: "No file was sent: a picture is required"})
    return sent


def _refuse_wrong_files(sent: Mapping[str, Any], files_field: str) -> None:
    problem = f"A file is not expected here; the picture's field is {files_field}"
    wrong = {name[:60]: problem for name in sent if name != files_field}
    if wrong:
        raise serializers.ValidationError(wrong)


def _idempotency_key(request: Request) -> str:
    key = request.headers.get("Idempotency-Key", "").strip()
    if len(key) > MAX_KEY_CHARACTERS or not key.isprintable() or not key.isascii():
        problem = f"At most {MAX_KEY_CHARACTERS} printable ASCII characters"
        raise serializers.ValidationError({"Idempotency-Key": problem})
    return key


def _body(request: Request, file_fields: set[str]) -> dict[str, list[Any]]:
    """Return the body's fields that are no files, each with all its values."""
    data = request.data
    if not isinstance(data, Mapping):
        raise serializers.ValidationError("The body must be a JSON object")
    if not hasattr(data, "lists"):  # JSON has one value per name
        return {str(name): [value] for name, value in data.items()}
    fields: dict[str, list[Any]] = {}
    for name, values in data.lists():
        texts = [value for value in values if isinstance(value, str)]
        if texts and name in file_fields:
            raise serializers.ValidationError({name: "Not a file: send the picture as a file, with a filename"})
        if texts:
            fields[name] = texts
    return fields
