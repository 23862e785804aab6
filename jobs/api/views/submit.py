"""POST /upscale answers the picture; POST /upscale-batch tells where the pictures will be. POST /jobs: see jobs.py."""

from contextlib import suppress
from functools import partial

from django.conf import settings
from django.http import HttpResponseBase
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import ValidationError

from jobs.api.docs import submission as docs
from jobs.api.parsers import BatchFormParser
from jobs.api.serializers.batch import BatchAcceptedSerializer
from jobs.api.serializers.job import PlanSerializer
from jobs.api.views import responses
from jobs.api.views.base import ApiViewSet
from jobs.api.views.request_form import PICTURE_PARSERS, read_submission
from jobs.errors import WaitersExceeded
from jobs.models import Pause
from jobs.progress import disconnect
from jobs.progress.wait import wait_for
from jobs.queue import dispatch
from jobs.states import TERMINAL, Priority
from jobs.submission import submit
from jobs.submission.admission import require_worker
from modelstore.prefer_header import preference


class SubmitViewSet(ApiViewSet):
    """One picture in. The file is streamed to the disk before anything is decided."""

    parser_classes = PICTURE_PARSERS
    throttle_scope = "upscale"

    @docs.UPSCALE
    def upscale(self, request: Request) -> HttpResponseBase:
        """Upscale a picture and answer it, or 202 when it takes longer than the caller or the service waits."""
        wish = preference(request.headers.get("Prefer", ""), settings.SYNC_WAIT_SECONDS)
        has_left = partial(disconnect.has_left, request.META)
        if wish.wait_seconds:
            call = read_submission(request, Priority.SYNC, require_worker=partial(require_worker, has_left))
        else:
            call = read_submission(request, Priority.ASYNC)
        if call.dry_run:
            return Response(PlanSerializer(submit.plan(call.pictures[0], call.submission)).data)
        job = submit.submit(call.pictures[0], call.submission)
        paused = Pause.objects.is_on(dispatch.GPU)  # nobody knows until when, so nobody waits for it
        with suppress(WaitersExceeded):  # nothing is lost: the job goes on, and a 202 has its address
            job = wait_for(job.id, 0 if paused else wish.wait_seconds, has_left=has_left)
        if job.status not in TERMINAL:
            return responses.accepted(job, preference_applied=wish.applied)
        responses.refuse_unfinished(job, blame_picture=True)
        response = responses.result(request, job)
        if wish.applied:
            response.headers["Preference-Applied"] = wish.applied
        return response


class SubmitBatchViewSet(ApiViewSet):
    """Many pictures in."""

    parser_classes = [BatchFormParser]
    throttle_scope = "upscale"

    @docs.CREATE_BATCH
    def create(self, request: Request) -> Response:
        """Accept many pictures. Those that cannot be upscaled are named in ``rejected`` and do not sink the rest."""
        call = read_submission(request, Priority.BATCH, files_field="images")
        if call.dry_run:
            raise ValidationError({"dry_run": "Not for batches: ask for one picture at a time"})
        batch = submit.submit_batch(call.pictures, call.submission)
        shape = BatchAcceptedSerializer(batch).data
        return Response(shape, status=202, headers={"Location": shape["status_url"], "Retry-After": "5"})
