"""Parsers of the bodies that hold pictures: a form with one or many, or the picture alone."""

from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from django.http import QueryDict
from django.utils.datastructures import MultiValueDict
from django.utils.http import parse_header_parameters
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser, DataAndFiles, MultiPartParser

from jobs.storage.file_names import last_part
from jobs.submission.uploads import FORM_OVERHEAD_BYTES, BoundedUploadHandler, close_with, too_large


def _declared_length(context: Mapping[str, Any]) -> int:
    try:
        return int(context["request"].META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        return 0


class ImageFormParser(MultiPartParser):
    """multipart/form-data with one picture. A Content-Length beyond the limit is refused before anything is read."""

    spare_the_rest = False

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> DataAndFiles:  # type: ignore[type-arg]  # generic in the stubs alone
        """Return the fields and the files, which lie in FILE_UPLOAD_TEMP_DIR until the request ends."""
        context = parser_context or {}
        if not self.spare_the_rest and _declared_length(context) > settings.MAX_UPLOAD_BYTES + FORM_OVERHEAD_BYTES:
            raise too_large()
        request = context["request"]
        handler = BoundedUploadHandler(request, spare_the_rest=self.spare_the_rest)
        request.upload_handlers = [handler]
        try:
            return super().parse(stream, media_type, context)
        except BaseException:
            handler.abandon()
            raise


class BatchFormParser(ImageFormParser):
    """multipart/form-data with many pictures, each of which has the limit for itself."""

    spare_the_rest = True


class RawImageParser(BaseParser):
    """A body that is the picture itself (``Content-Type: image/…``); the options are in the query string.

    The file's name is that of ``Content-Disposition: attachment; filename="…"`` where given.
    """

    media_type = "image/*"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> DataAndFiles:  # type: ignore[type-arg]  # generic in the stubs alone
        """Return no fields and the file ``image``."""
        context = parser_context or {}
        declared = _declared_length(context)
        if declared > settings.MAX_UPLOAD_BYTES:
            raise too_large()
        handler = BoundedUploadHandler(context["request"])
        handler.new_file("image", _raw_name(context["request"], media_type or ""), media_type or "", declared)
        received = 0
        try:
            while piece := stream.read(handler.chunk_size):
                handler.receive_data_chunk(piece, received)
                received += len(piece)
            if received < declared:
                raise ParseError(f"The body ended after {received} of {declared} bytes")
        except BaseException:
            handler.abandon()
            raise
        upload = handler.file_complete(received)
        assert upload is not None  # handlers may return None where another handler made the file
        close_with(context["request"], upload)
        return DataAndFiles(QueryDict(), MultiValueDict({"image": [upload]}))


def _raw_name(request: Any, media_type: str) -> str:
    # WSGI decodes header bytes as latin-1; today's callers send UTF-8, older ones anything.
    header = request.headers.get("Content-Disposition", "").encode("latin-1", "replace").decode("utf-8", "replace")
    try:
        _, parameters = parse_header_parameters(header)
    except ValueError:  # an unknown encoding (RFC 2231)
        parameters = {}
    name = last_part(parameters.get("filename", ""))
    if not name:
        subtype = media_type.split(";", maxsplit=1)[0].rpartition("/")[2].strip()
        name = f"image.{subtype}" if subtype.isalnum() and len(subtype) <= 10 else "image"
    return name
