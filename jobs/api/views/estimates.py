"""GET /estimate: what a picture would become and cost, before it is sent."""

from rest_framework.request import Request
from rest_framework.response import Response

from jobs.api.docs.submission import ESTIMATE
from jobs.api.serializers.estimate import EstimateQuerySerializer
from jobs.api.serializers.job import PlanSerializer
from jobs.api.views.base import ApiViewSet
from jobs.api.views.request_form import permitted
from jobs.auth.authentication import caller_key
from jobs.auth.callers import caller_of
from jobs.states import Priority
from jobs.submission import submit
from jobs.submission.request import Submission


class EstimateViewSet(ApiViewSet):
    """The size of a picture in, its dry run out."""

    @ESTIMATE
    def retrieve(self, request: Request) -> Response:
        """Return the dry run of a picture of this size."""
        query = EstimateQuerySerializer.read(request.query_params)
        submission = Submission(
            query.model_name,
            query.options,
            api_key=caller_key(request),
            caller=caller_of(request),
            priority=permitted(request, query.priority_from(Priority.ASYNC)),
            target=query.target,
        )
        report = submit.estimate(query.header, submission)
        return Response(PlanSerializer(report).data, headers={"Cache-Control": "no-store"})
