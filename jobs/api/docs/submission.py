"""Pictures in: what is sent, and what comes back."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiRequest

from jobs.api.docs import examples as example
from jobs.api.docs.parts import (
    DRY_RUN,
    FILE_HEADERS,
    IDEMPOTENCY_KEY,
    LOCATION,
    PICTURE_TYPES,
    PREFER,
    PROCESSING_TIME,
    RETRY_AFTER,
    answer,
    header,
    operation,
    pictures,
)
from jobs.api.serializers.batch import BatchAcceptedSerializer
from jobs.api.serializers.estimate import EstimateQuerySerializer
from jobs.api.serializers.forms import BatchFormSerializer, ImageFormSerializer, ImageUrlSerializer
from jobs.api.serializers.job import AcceptedSerializer, PlanSerializer

_ERRORS = (
    *("validation_error", "malformed_request", "too_many_fields", "too_many_files"),
    *("unsupported_media_type", "upload_too_large"),
    *("image_invalid", "image_too_large", "size_unreachable", "format_unsupported", "denoise_unsupported"),
    "too_expensive",
    *("model_not_found", "model_not_available", "queue_full", "storage_full"),
    *("queued_jobs_limit", "stored_bytes_limit", "daily_megapixels_limit"),
    *("precision_unavailable", "chain_refused"),
    *("idempotency_key_reused", "idempotency_key_in_progress", "webhook_url_refused"),
    "priority_refused",
)
_IMAGE_URL_ERRORS = ("image_url_refused", "image_url_failed")

_ONE_PICTURE = {
    "multipart/form-data": OpenApiRequest(
        ImageFormSerializer,
        examples=[
            OpenApiExample("A form", {"image": "(the file)", "model": "bundled-compact-x4"}, request_only=True),
            OpenApiExample(
                "Two models in turn", {"image": "(the file)", "model": "denoise+RealESRGAN_x4plus"}, request_only=True
            ),
        ],
    ),
    "image/*": OpenApiTypes.BINARY,
    "application/json": OpenApiRequest(
        ImageUrlSerializer,
        examples=[
            OpenApiExample("A picture elsewhere", {"image_url": "https://example.org/cat.jpg"}, request_only=True)
        ],
    ),
}
_BODIES = """

The picture is the form's file `image`, or the body itself (`Content-Type: image/…`; the parameters are then in the
query string), or, where the operator allows its host, `image_url` in a form or in JSON. A parameter that nobody
knows or that is given twice is refused (422).

`model` may name up to three models with + between them: the picture goes through them in turn, as one job. In a query
string write %2B, since + means a blank there."""

UPSCALE = operation(
    "upscale",
    "Upscaling",
    (*_ERRORS, *_IMAGE_URL_ERRORS, "no_worker", "result_not_found", "out_of_memory"),
    summary="Upscale a picture and get it back",
    description="Waits for the result. When that takes longer than `Prefer: wait=N` or the service's own limit: 202, "
    "and the job goes on. `dry_run=true` answers 200 with an estimate as JSON." + _BODIES,
    parameters=[DRY_RUN, PREFER, IDEMPOTENCY_KEY, *FILE_HEADERS, PROCESSING_TIME, LOCATION, RETRY_AFTER,
                header("Preference-Applied", "What of Prefer was honoured.", "200", "202"),
                header("X-Job-ID", "The job that did it.", "200", "202")],
    request=_ONE_PICTURE,
    responses={
        (200, "application/json"): answer(PlanSerializer, "With dry_run=true: the estimate", example.PLAN, "200"),
        **pictures(PICTURE_TYPES, 200, "The upscaled picture"),
        202: answer(AcceptedSerializer, "Not done yet: the job goes on", example.ACCEPTED, "202"),
    },
)  # fmt: skip
CREATE_JOB = operation(
    "jobs_create",
    "Jobs",
    (*_ERRORS, *_IMAGE_URL_ERRORS),
    summary="Create a job",
    description="Answers at once; the picture is upscaled in the background." + _BODIES,
    parameters=[DRY_RUN, IDEMPOTENCY_KEY, LOCATION, RETRY_AFTER],
    request=_ONE_PICTURE,
    responses={
        200: answer(PlanSerializer, "With dry_run=true: the estimate", example.PLAN, "200"),
        202: answer(AcceptedSerializer, "Accepted", example.ACCEPTED, "202"),
    },
)
ESTIMATE = operation(
    "estimate",
    "Upscaling",
    ("validation_error", "address_too_long", "image_invalid", "image_too_large", "size_unreachable",
     "format_unsupported", "denoise_unsupported", "model_not_found", "model_not_available", "precision_unavailable",
     "chain_refused", "priority_refused"),
    summary="Tell what a picture would become and cost",
    description="The dry run for a picture that is not sent: its size is enough. Counted as 8-bit colour without "
    "transparency; `dry_run=true` on `/upscale` looks at the picture itself.",
    parameters=[EstimateQuerySerializer],
    responses={200: answer(PlanSerializer, "The estimate", {**example.PLAN, "input_format": None}, "200")},
)  # fmt: skip
CREATE_BATCH = operation(
    "upscale_batch",
    "Upscaling",
    (*_ERRORS, "batch_rejected", "batch_too_large"),
    summary="Submit many pictures",
    description="At most 100 files `images` in one form. A bad file does not sink the rest: it is named in `rejected`; "
    "when all are bad, the answer is 400 with them in `errors`.",
    parameters=[IDEMPOTENCY_KEY, LOCATION, RETRY_AFTER],
    request={
        "multipart/form-data": OpenApiRequest(
            BatchFormSerializer,
            examples=[OpenApiExample(
                    "Two pictures", {"images": ["(file)", "(file)"], "model": "bundled-compact-x4"}, request_only=True
                )],
        )
    },
    responses={202: answer(BatchAcceptedSerializer, "Accepted", example.BATCH_ACCEPTED, "202")},
)  # fmt: skip
