"""Reads a submission out of a request: multipart form, raw picture, or JSON with an image_url."""

from collections.abc import Mapping
from typing import Any, cast

from django.core.files.uploadedfile import UploadedFile
from rest_framework import serializers
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.settings import api_settings

from jobs.api.parsers import ImageFormParser, RawImageParser
from jobs.api.serializers.fields import Switch
from jobs.api.serializers.submission import SubmissionSerializer, merged
from jobs.auth.authentication import caller_key
from jobs.states import Priority
from jobs.submission import image_url as fetch
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


class SubmissionForm:
    """The parameters and files of one request. Constructing it parses the body; raises what the parsers raise."""

    def __init__(self, request: Request, *, files_field: str, image_url: bool) -> None:
        self.request = request
        self.files_field = files_field
        fields = SubmissionSerializer().fields
        known = {*fields, DRY_RUN} - (set() if image_url else {"image_url"})
        uploads = request.FILES
        self._refuse_wrong_files(uploads)
        values = merged([dict(request.query_params.lists()), _body(request, set(uploads) | {files_field})], known)
        self.dry_run = Switch().run_validation(values.pop(DRY_RUN, "false"))
        self.serializer = SubmissionSerializer(data=values)
        self.serializer.is_valid(raise_exception=True)

    def submission(self, priority: Priority) -> Submission:
        """Everything but the picture. Raises WebhookRefused for an address that will never be delivered to."""
        data = self.serializer.validated_data
        webhook_url, webhook_events = accept(data.get("webhook_url", ""), data.get("webhook_events", ()))
        return Submission(
            model=self.serializer.model_name,
            options=self.serializer.options,
            priority=priority,
            api_key=caller_key(self.request),
            request_id=str(getattr(self.request, "request_id", "")),
            webhook_url=webhook_url,
            webhook_events=tuple(webhook_events),
            reuse=data.get("reuse"),
            idempotency_key=self._idempotency_key(),
        )

    def picture(self) -> UploadedFile[Any]:
        """The one picture: sent, or fetched from image_url."""
        sent = self.request.FILES.getlist(self.files_field)
        url = self.serializer.validated_data.get("image_url")
        if len(sent) > 1 or (sent and url):
            raise serializers.ValidationError({self.files_field: "Give one picture, as a file or as image_url."})
        if url:
            fetched = fetch.fetch(url)
            close_with(self.request, fetched)
            return fetched
        return self.pictures()[0]

    def pictures(self) -> list[UploadedFile[Any]]:
        """All pictures, at least one."""
        sent: list[UploadedFile[Any]] = self.request.FILES.getlist(self.files_field)
        if not sent:
            raise serializers.ValidationError({self.files_field: "No file was sent: a picture is required."})
        return sent

    def _refuse_wrong_files(self, uploads: Mapping[str, Any]) -> None:
        problem = f"A file is not expected here; the picture's field is {self.files_field}."
        wrong = {name[:60]: problem for name in uploads if name != self.files_field}
        if wrong:
            raise serializers.ValidationError(wrong)

    def _idempotency_key(self) -> str:
        key = self.request.headers.get("Idempotency-Key", "").strip()
        if len(key) > MAX_KEY_CHARACTERS or not key.isprintable() or not key.isascii():
            problem = f"At most {MAX_KEY_CHARACTERS} printable ASCII characters."
            raise serializers.ValidationError({"Idempotency-Key": problem})
        return key


def _body(request: Request, file_fields: set[str]) -> dict[str, list[Any]]:
    """The body's fields that are no files, each with all its values."""
    data = request.data
    if not isinstance(data, Mapping):
        raise serializers.ValidationError("The body must be a JSON object.")
    if not hasattr(data, "lists"):  # JSON has one value per name
        return {str(name): [value] for name, value in data.items()}
    fields: dict[str, list[Any]] = {}
    for name, values in data.lists():
        texts = [value for value in values if isinstance(value, str)]
        if texts and name in file_fields:
            raise serializers.ValidationError({name: "Not a file: send the picture as a file, with a filename."})
        if texts:
            fields[name] = texts
    return fields
