"""Search of the job list: ids by their index, file names in a bounded part of the list."""

import uuid

from django.db.models import Q, QuerySet

from jobs.models import Job

#: File names are searched in so many of the newest rows that pass the other filters: no index serves "contains".
NAMES_AMONG = 100_000
#: Up to so many matches are named by their ids to the queries that follow.
FEW = 200


def find(queryset: QuerySet[Job], term: str) -> QuerySet[Job]:
    """Return the jobs that ``term`` means.

    A whole id of a job or batch, its beginning, a request id, part of a name.
    """
    term = term.strip()
    if not term:
        return queryset
    exact = _uuid(term)
    if exact is not None:
        return queryset.filter(Q(pk=exact) | Q(batch_id=exact))
    start = _uuid_range(term)
    if start is not None:
        first, last = start
        by_id = queryset.filter(pk__gte=first, pk__lte=last)
        if by_id.exists():
            return by_id
    newest = queryset.order_by("-created_at", "-id")
    oldest_row = newest.values_list("created_at", flat=True)[NAMES_AMONG : NAMES_AMONG + 1].first()
    if oldest_row is not None:
        queryset = queryset.filter(created_at__gte=oldest_row)
    found = queryset.filter(Q(input_name__icontains=term) | Q(request_id=term))
    # A rare name is looked for in all of those rows: once, not by the count and by the page again.
    few = list(found.order_by().values_list("pk", flat=True)[: FEW + 1])
    return found if len(few) > FEW else queryset.filter(pk__in=few)


def _uuid(term: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(term)
    except ValueError:
        return None


def _uuid_range(term: str) -> tuple[uuid.UUID, uuid.UUID] | None:
    """Return the first and last id that begin with ``term``, as the list shows ids; None when no id can."""
    digits = term.replace("-", "").lower()
    if not 6 <= len(digits) < 32 or set(digits) - set("0123456789abcdef"):
        return None
    return uuid.UUID(digits.ljust(32, "0")), uuid.UUID(digits.ljust(32, "f"))
