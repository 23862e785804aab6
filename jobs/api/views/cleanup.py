"""POST /cleanup: remove old jobs now."""

from rest_framework.request import Request
from rest_framework.response import Response

from jobs.api.docs import jobs as docs
from jobs.api.serializers.cleanup import CleanupQuery
from jobs.api.views.base import ApiViewSet
from jobs.storage import retention


class CleanupViewSet(ApiViewSet):
    """The clean-up, on demand."""

    required_scope = "manage"

    @docs.CLEANUP
    def create(self, request: Request) -> Response:
        """Remove ended jobs and their files."""
        query = CleanupQuery.read(request.query_params)
        report = retention.cleanup(hours=query.hours, dry_run=query.dry_run)
        verb = "Would clean up" if query.dry_run else "Cleaned up"
        message = f"{verb} {report.jobs} job directories older than {query.hours} hours"
        if report.complaint:
            message += f"; {report.complaint}"
        return Response(
            {
                "success": not report.failed,
                "cleaned_jobs": report.jobs,
                "message": message,
                "cleaned_files": report.files,
                "freed_bytes": report.bytes,
                "orphaned_files": report.orphans,
                "failed_files": report.failed,
                "dry_run": query.dry_run,
            }
        )
