"""Jobs: create, list, look, cancel, retry, delete."""

from rest_framework.request import Request
from rest_framework.response import Response

from jobs import actions
from jobs.api.docs import jobs as docs
from jobs.api.docs.submission import CREATE_JOB
from jobs.api.pagination import page_of
from jobs.api.serializers.job import JobSerializer, PlanSerializer
from jobs.api.serializers.listing import ListQuery
from jobs.api.views import responses
from jobs.api.views.base import ApiViewSet, find_job, visible_jobs
from jobs.api.views.request_form import PICTURE_PARSERS, read_submission
from jobs.progress.eta import Forecast
from jobs.states import LIVE, Priority, Status
from jobs.submission import submit


class JobsViewSet(ApiViewSet):
    """All jobs, and new ones."""

    parser_classes = PICTURE_PARSERS
    throttle_scope = {"POST": "upscale", "*": "read"}

    @CREATE_JOB
    def create(self, request: Request) -> Response:
        """Accept a picture and answer at once."""
        call = read_submission(request, Priority.ASYNC)
        if call.dry_run:
            return Response(PlanSerializer(submit.plan(call.pictures[0], call.submission)).data)
        return responses.accepted(submit.submit(call.pictures[0], call.submission))

    @docs.LIST_JOBS
    def list(self, request: Request) -> Response:
        """List jobs, newest first."""
        query = ListQuery.read(request.query_params)
        page = page_of(visible_jobs(request), query.filters, limit=query.limit, cursor=query.cursor)
        context = {"forecast": Forecast(page.jobs)}
        shapes = JobSerializer(page.jobs, many=True, context=context).data  # type: ignore[arg-type]  # a list with many
        body = {"total": page.total, "returned": len(shapes), "jobs": shapes, "next_cursor": page.next_cursor}
        if page.next_cursor is None:
            return Response(body)
        following = request.query_params.copy()
        following["cursor"] = page.next_cursor
        return Response(body, headers={"Link": f'<{request.path}?{following.urlencode()}>; rel="next"'})


class JobViewSet(ApiViewSet):
    """One job that was submitted before."""

    @property
    def staff_permission(self) -> str | None:
        """The permission that a staff session needs, as in the admin; deleting a live job is its cancelling."""
        permissions = {"cancel": "jobs.operate_job", "retry": "jobs.operate_job", "destroy": "jobs.delete_job"}
        return permissions.get(self.action or "")

    @docs.GET_JOB
    def retrieve(self, request: Request, job_id: str) -> Response:
        """Return one job, with its progress and the engine's report."""
        job = find_job(request, job_id)
        headers = {"Cache-Control": "no-store"}
        if job.status in LIVE:
            headers["Retry-After"] = str(responses.retry_after(job))
        return Response(responses.detail(job), headers=headers)

    @docs.CANCEL_JOB
    def cancel(self, request: Request, job_id: str) -> Response:
        """Cancel a waiting job at once, a running one between two tiles (202 until that has happened)."""
        job = actions.cancel(visible_jobs(request), find_job(request, job_id).id)
        return Response(responses.detail(job), status=200 if job.status == Status.CANCELLED else 202)

    @docs.RETRY_JOB
    def retry(self, request: Request, job_id: str) -> Response:
        """Put a failed or cancelled job back into the queue."""
        job = actions.retry(visible_jobs(request), find_job(request, job_id).id)
        return responses.accepted(job)

    @docs.DELETE_JOB
    def destroy(self, request: Request, job_id: str) -> Response:
        """Cancel a live job; delete an ended one with its files."""
        job = find_job(request, job_id)
        if job.status in LIVE:
            return self.cancel(request, job_id)
        actions.delete(visible_jobs(request), job.id)
        return Response(status=204)
