"""GET /usage: what was computed, by day, model, device and key."""

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import ValidationError

from jobs.api.docs.usage import USAGE
from jobs.api.serializers.usage import MOST_ROWS, UsageQuery, usage_shape
from jobs.api.views.base import ApiViewSet
from jobs.auth.authentication import seen_by
from jobs.models import ApiKey, UsageEntry
from jobs.models.api_key import Scope


class UsageViewSet(ApiViewSet):
    """The usage ledger."""

    staff_permission = "jobs.view_usageentry"

    @USAGE
    def retrieve(self, request: Request) -> Response:
        """Return the caller's own usage; everybody's for the scope manage, for staff, and where keys are off."""
        query = UsageQuery.read(request.query_params, UsageEntry.objects.today())
        caller = seen_by(request)
        only = None if caller is None or Scope.MANAGE in caller.scopes else caller.prefix
        rows = UsageEntry.objects.added_up(query.first, query.last, query.groups, key_prefix=only, most=MOST_ROWS + 1)
        if len(rows) > MOST_ROWS:
            problem = f"These days have more than {MOST_ROWS} rows: ask for fewer days, or group by less"
            raise ValidationError({"group_by": problem})
        prefixes = {row.key_prefix for row in rows if row.key_prefix}
        names = dict(ApiKey.objects.filter(prefix__in=prefixes).values_list("prefix", "name")) if prefixes else {}
        return Response(usage_shape(query, rows, names), headers={"Cache-Control": "no-store"})
