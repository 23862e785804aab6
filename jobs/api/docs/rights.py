"""Rights of data: everything of a key, erased or handed out."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse

from jobs.api.docs.parts import RETRY_AFTER, answer, header, operation
from jobs.api.serializers.rights import ErasureQuerySerializer, ErasureSerializer, WhoseQuerySerializer

_ERASED = {
    "done": True,
    "dry_run": False,
    "jobs": 12,
    "bytes": 345678901,
    "batches": 1,
    "webhooks": 13,
    "idempotency_keys": 2,
    "names": 1,
    "pending_jobs": 0,
    "failed_files": 0,
}
ERASE = operation(
    "erasure",
    "Your data",
    ("key_not_found", "validation_error"),
    summary="Erase everything of a key",
    description="Cancels the key's jobs and erases them with all their pictures, its batches, webhooks and "
    "Idempotency-Keys; in the audit log and in the usage ledger a pseudonym takes its name's place. What the key makes "
    "after the call stays. 202 while running jobs have yet to stop: the service goes on by itself, and repeating it "
    "tells how far it is. Calls without a key own nothing, so nothing is erased by one.",
    parameters=[ErasureQuerySerializer, RETRY_AFTER],
    request=None,
    responses={
        200: answer(ErasureSerializer, "Erased", _ERASED, "200"),
        202: answer(
            ErasureSerializer,
            "Running jobs have yet to stop",
            {**_ERASED, "done": False, "names": 0, "pending_jobs": 1},
            "202",
        ),
    },
)
EXPORT = operation(
    "export",
    "Your data",
    ("key_not_found", "validation_error"),
    summary="Download everything of a key",
    description="One ZIP file, streamed: `key.json` (never the key itself), `jobs.json`, `batches.json`, "
    "`webhooks.json`, `idempotency_keys.json`, `audit.json` (what the audit log has of it), and the pictures in "
    "`inputs/` and `results/`. What goes while it is sent is named in `MISSING.txt`. Calls without a key own nothing.",
    parameters=[WhoseQuerySerializer, header("Content-Disposition", "The file's name.", "200")],
    responses={(200, "application/zip"): OpenApiResponse(OpenApiTypes.BINARY, "The data")},
)
