"""Batches, and the results of several jobs as one file."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from jobs.api.docs import examples as example
from jobs.api.docs.parts import BATCH_ID, RETRY_AFTER, answer, operation
from jobs.api.serializers.archive import ArchiveQuerySerializer
from jobs.api.serializers.batch import BatchSerializer, PendingBatchSerializer

BATCH = operation(
    "batches_retrieve",
    "Batches",
    ("batch_not_found",),
    summary="Get a batch with its jobs",
    parameters=[BATCH_ID],
    responses={200: answer(BatchSerializer, "The batch", example.BATCH, "200")},
)
BATCH_RESULTS = operation(
    "batches_results",
    "Batches",
    ("batch_not_found", "result_not_found", "validation_error"),
    summary="Download a batch's results as one ZIP file",
    description="Holds the pictures, and `batch.json`, which tells of every picture sent. 202 until all jobs ended.",
    parameters=[
        BATCH_ID,
        OpenApiParameter("partial", bool, OpenApiParameter.QUERY, description="Do not wait: what is done by now."),
        RETRY_AFTER,
    ],
    responses={
        (200, "application/zip"): OpenApiResponse(OpenApiTypes.BINARY, "The results"),
        202: answer(
            PendingBatchSerializer, "Still processing", {"detail": "Batch still processing", **example.BATCH}, "202"
        ),
    },
)
ARCHIVE = operation(
    "jobs_archive",
    "Jobs",
    ("validation_error", "job_not_found", "result_not_found", "address_too_long"),
    summary="Download the results of several jobs as one ZIP file",
    description="Jobs that are not completed are left out; 404 when none is.",
    parameters=[ArchiveQuerySerializer],
    responses={
        (200, "application/zip"): OpenApiResponse(OpenApiTypes.BINARY, "The results"),
    },
)
