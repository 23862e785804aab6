"""The verbs for rows that the operator's catalogue lists. An installed model keeps its file, whatever the list says."""

from typing import Any

from django.db.models import Q

from modelstore.claims import ClaimQuerySet, Row
from modelstore.states import REQUESTABLE, Origin, State

#: What was found in a file, and is unknown again when another file is awaited.
_UNEXAMINED: dict[str, Any] = {"architecture": "", "scale": 0, "network": {}, "error": "", "offered": None}


class CatalogQuerySet(ClaimQuerySet[Row]):
    """Each verb changes rows of the catalogue only: an official or imported model of the same name is not touched."""

    def put_listed(self, name: str, facts: dict[str, Any]) -> bool:
        """Make the row of an entry or bring it up to date; safe to repeat. False: the name is another model's.

        Where a file is here, or on its way, and the entry names another one by now, it is kept and the entry noted.
        """
        row, created = self.get_or_create(name=name, defaults={"origin": Origin.CATALOG, **facts})
        if created:
            return True
        mine = self.filter(pk=row.pk, origin=Origin.CATALOG)
        # The file keeps its name, and a description that its examination found stays where the entry has none.
        same = {key: value for key, value in facts.items() if key != "file_name" and (value or key != "description")}
        if mine.filter(sha256=facts["sha256"]).update(**same, offered=None):
            return True
        if mine.filter(state__in=REQUESTABLE).update(state=State.MISSING, **facts, **_UNEXAMINED):
            return True
        return mine.update(offered=facts) == 1

    def unlist(self, listed: set[str]) -> list[str]:
        """Remove the rows of entries that are listed no longer, and return their names; keep files that are here."""
        gone = self.filter(origin=Origin.CATALOG).exclude(name__in=listed)
        removable = gone.filter(state__in=REQUESTABLE)
        names = list(removable.values_list("name", flat=True))
        removable.delete()
        gone.update(offered={})
        return names

    def take_offer(self, pk: int) -> bool:
        """Make a row whose file was deleted what the catalogue says by now: another file, or no row at all."""
        row = self.filter(Q(pk=pk, origin=Origin.CATALOG, state__in=REQUESTABLE), offered__isnull=False)
        offered = row.values_list("offered", flat=True).first()
        if offered is None:
            return False
        if not offered:
            row.delete()
            return True
        return row.update(state=State.MISSING, **offered, **_UNEXAMINED) == 1
