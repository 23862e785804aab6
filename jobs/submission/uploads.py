"""Uploads are streamed to the disk, never held whole in memory, and cut off at MAX_UPLOAD_MB."""

import errno
import shutil
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import TemporaryUploadedFile, UploadedFile
from django.core.files.uploadhandler import FileUploadHandler, TemporaryFileUploadHandler
from django.http import HttpRequest
from django.utils.datastructures import MultiValueDict

from jobs.errors import StorageFull, UploadTooLarge

#: Bytes of a multipart body that are not the pictures themselves: boundaries, part headers, fields.
FORM_OVERHEAD_BYTES = 2_500_000
_DISK_CHECK_BYTES = 16_000_000


def too_large() -> UploadTooLarge:
    """Return the error with the guide's wording."""
    return UploadTooLarge(f"Upload file exceeds maximum size: {settings.MAX_UPLOAD_MB} MB")


class BoundedUploadHandler(TemporaryFileUploadHandler):
    """Writes one file after another to FILE_UPLOAD_TEMP_DIR.

    A file beyond the limit ends the request at once; with ``spare_the_rest`` (a batch: one bad file must not sink it)
    its surplus is read and dropped instead, all but one byte, which tells intake that it was too large.
    """

    def __init__(self, request: HttpRequest | None = None, *, spare_the_rest: bool = False) -> None:
        super().__init__(request)
        self.spare_the_rest = spare_the_rest

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        """Open the next temporary file. Its name on the disk owes nothing to the caller's, which may be too long."""
        Path(settings.FILE_UPLOAD_TEMP_DIR).mkdir(parents=True, exist_ok=True)
        require_disk()
        FileUploadHandler.new_file(self, *args, **kwargs)
        self.file = TemporaryUploadedFile("image", self.content_type, 0, self.charset, self.content_type_extra)
        self.file.name = self.file_name

    def abandon(self) -> None:
        """Remove the file that is being received, if any: the request broke off."""
        if hasattr(self, "file"):
            self.file.close()

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Write one piece. Raises UploadTooLarge or StorageFull, leaving no file."""
        end = start + len(raw_data)
        if end > settings.MAX_UPLOAD_BYTES:
            if not self.spare_the_rest:
                self.abandon()
                raise too_large()
            raw_data = raw_data[: max(0, settings.MAX_UPLOAD_BYTES + 1 - start)]
        try:
            if start // _DISK_CHECK_BYTES != end // _DISK_CHECK_BYTES:
                require_disk()
            self.file.write(raw_data)
        except StorageFull:
            self.abandon()
            raise
        except OSError as error:
            self.abandon()
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StorageFull("The disk is full") from error
            raise


def close_with(request: Any, upload: UploadedFile[Any]) -> None:
    """Have the temporary file removed when the request ends, as Django does it for forms only."""
    django_request = request._request  # noqa: SLF001 - DRF's own way to Django's request
    if not isinstance(getattr(django_request, "_files", None), MultiValueDict):
        django_request._files = MultiValueDict()  # noqa: SLF001 - what HttpRequest.close() closes
    django_request._files.appendlist("", upload)  # noqa: SLF001 - as above


def require_disk() -> None:
    """Check the free disk of the upload directory.

    :raises StorageFull: when less than MIN_FREE_DISK_MB is left.
    """
    free = shutil.disk_usage(settings.FILE_UPLOAD_TEMP_DIR).free
    if free < settings.MIN_FREE_DISK_MB * 1_000_000:
        raise StorageFull(
            f"The disk has {free // 1_000_000} MB left; uploads must leave {settings.MIN_FREE_DISK_MB} MB"
        )
