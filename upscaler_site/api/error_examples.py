"""Every error code with its status and an example of its words, for the API's description; a test compares them."""

EXAMPLES: dict[str, tuple[int, str]] = {
    "malformed_request": (400, "Multipart form parse error - Invalid boundary in multipart: None"),
    "image_invalid": (400, "the file is not an image that we can read"),
    "image_too_large": (400, "The image is 30000×30000 px, 900 megapixels; the limit is 50 megapixels"),
    "size_unreachable": (
        400,
        "The picture is 4032×3024 px: its longest side can become 4032 to 64512 px, not 3840",
    ),
    "too_expensive": (
        400,
        "The picture would take about 44.1 seconds of a device; max_device_seconds is 10",
    ),
    "format_unsupported": (400, "JPEG cannot hold the result: 70000 px is beyond its 65535"),
    "denoise_unsupported": (400, "RealESRGAN_x4plus has no denoise strength"),
    "image_url_failed": (400, "The picture could not be fetched: example.org does not answer"),
    "batch_rejected": (400, "none of the 2 images can be upscaled"),
    "not_authenticated": (401, "Authentication credentials were not provided."),
    "permission_denied": (403, "This key does not allow that"),
    "job_not_found": (404, "Job not found: invalid-job-id"),
    "batch_not_found": (404, "Batch not found: invalid-batch-id"),
    "result_not_found": (404, "Result not found: job 550e8400-e29b-41d4-a716-446655440000 was cancelled"),
    "preview_not_found": (404, "Preview not found: job 550e8400-e29b-41d4-a716-446655440000 has none"),
    "pyramid_not_found": (404, "Tile not found: level 0, column 90, row 0"),
    "model_not_found": (404, "Model not found: RealESRGAN_x5"),
    "job_state_conflict": (
        409,
        "Job 550e8400-e29b-41d4-a716-446655440000 is completed already and cannot be cancelled",
    ),
    "key_not_found": (404, "API key not found: k3x9d2ab"),
    "input_deleted": (
        409,
        "Job 550e8400-e29b-41d4-a716-446655440000 cannot be run again: its picture was deleted; send it anew",
    ),
    "idempotency_key_in_progress": (409, "The first call with this Idempotency-Key is still being submitted"),
    "import_refused": (400, "a network that fills holes (LaMa), and wants a mask beside the picture"),
    "model_in_use": (409, "RealESRGAN_x4plus cannot be deleted: 2 jobs need it"),
    "model_fixed": (409, "The bundled model is part of the service"),
    "body_too_slow": (408, "The body arrives too slowly: the least rate is 1000 bytes per second"),
    "precondition_failed": (412, "The file is not the one that If-Match names"),
    "upload_too_large": (413, "Upload file exceeds maximum size: 500 MB"),
    "body_too_large": (413, "A body of this type may have at most 2500000 bytes"),
    "address_too_long": (414, "The address has 9000 bytes; the limit is 8190"),
    "unsupported_media_type": (415, 'Unsupported media type "text/plain" in request.'),
    "range_not_satisfiable": (416, "The range lies beyond the file, which has 1234 bytes"),
    "validation_error": (422, "tile_size: A valid integer is required"),
    "too_many_fields": (422, "The form has too many fields"),
    "too_many_files": (422, "The form has too many files"),
    "idempotency_key_reused": (422, "This Idempotency-Key was used with another picture or other options"),
    "precision_unavailable": (422, "precision: no worker computes in fp16 here; there is fp32"),
    "chain_refused": (422, "4 models are named; a chain has at most 3"),
    "priority_refused": (403, "This key may not ask for priority=high; whoever runs this service can allow it"),
    "webhook_url_refused": (422, "webhook_url: the address is private"),
    "image_url_refused": (422, "image_url: the host example.org is not allowed here"),
    "batch_too_large": (422, "a batch has 1 to 100 images, this one has 101"),
    "header_too_large": (431, "The header has more than 65536 bytes"),
    "throttled": (429, "Request was throttled. Expected available in 12 seconds."),
    "queued_jobs_limit": (429, "Your limit of waiting jobs is 10: 10 wait already, this call has 1"),
    "stored_bytes_limit": (429, "Your limit of stored pictures is 2 GB: 1.99 GB are stored, this call has 24 MB"),
    "daily_megapixels_limit": (
        429,
        "Your limit of megapixels a day is 500: 490.2 are used, this call has 12.19; a day ends at 0:00 UTC",
    ),
    "internal_error": (500, "Internal server error. The log has the reason under request 6f1c2e7a"),
    "job_failed": (500, "the worker died 3 times while it worked on this job"),
    "out_of_memory": (500, "the device ran out of memory even at the smallest tile"),
    "model_not_available": (
        503,
        "Model not available: RealESRGAN_x4plus. Download it first using /api/v1/models/download",
    ),
    "queue_full": (503, "1000 jobs wait already, the limit is 1000"),
    "no_worker": (503, "no inference worker is running, so this picture would wait for one; POST /jobs accepts it"),
    "too_many_waiting": (503, "100 event streams are open already"),
    "pyramids_busy": (503, "8 pictures are being prepared for viewing already; try again soon"),
    "database_unavailable": (503, "The database does not answer; try again soon"),
    "storage_unavailable": (503, "The storage does not answer; try again soon"),
    "storage_full": (507, "The disk has 400 MB left; uploads must leave 500 MB"),
}

#: Errors of any call.
ALWAYS = (
    "malformed_request",
    "not_authenticated",
    "permission_denied",
    "throttled",
    "internal_error",
    "database_unavailable",
    "storage_unavailable",
)
#: Further errors of calls with a body.
WITH_BODY = ["body_too_slow", "body_too_large", "unsupported_media_type"]

#: Errors of operations whose views do not name them.
BY_OPERATION: dict[str, tuple[str, ...]] = {
    "models_list": ("validation_error",),
    "models_retrieve": ("model_not_found",),
    "models_delete": ("model_not_found", "model_in_use", "model_fixed"),
    "models_import": ("import_refused", "validation_error", "storage_full"),
    "models_download": ("model_not_found", "validation_error", "storage_full"),
}
