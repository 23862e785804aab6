"""Batches: where they stand, and their results as one ZIP file."""

from django.http import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response

from jobs.api.docs import batches as docs
from jobs.api.serializers.batch import BatchResultsQuerySerializer, BatchSerializer
from jobs.api.serializers.submission import query
from jobs.api.views.archive import send_archive
from jobs.api.views.base import ApiViewSet, find_batch
from jobs.errors import ResultNotFound
from jobs.models.batch_state import state_of
from jobs.progress.eta import Forecast
from jobs.states import Status
from jobs.storage.archive import archive_of
from modelstore.sentences import told


class BatchViewSet(ApiViewSet):
    """Batches that were submitted before."""

    @docs.BATCH
    def retrieve(self, request: Request, batch_id: str) -> Response:
        """Return one batch with its jobs and counts."""
        state = state_of(find_batch(request, batch_id))
        return Response(BatchSerializer(state, context={"forecast": Forecast(state.jobs)}).data)

    @docs.BATCH_RESULTS
    def results(self, request: Request, batch_id: str) -> HttpResponseBase:
        """Return a ZIP file of the results, when all jobs have ended or so far (``partial=true``); 202 until then."""
        state = state_of(find_batch(request, batch_id))
        partial = query(request.query_params, BatchResultsQuerySerializer)["partial"]
        if state.status != "completed" and not partial:
            shape = BatchSerializer(state, context={"forecast": Forecast(state.jobs)}).data
            return Response(
                {"detail": told("Batch still processing"), **shape}, status=202, headers={"Retry-After": "5"}
            )
        if not state.counts[Status.COMPLETED]:
            raise ResultNotFound(f"Result not found: no picture of batch {state.batch.id} was upscaled")
        done = [job for job in state.jobs if job.status == Status.COMPLETED]
        return send_archive(request, archive_of(state), done, name=f"upscaled-{state.batch.id}.zip")
