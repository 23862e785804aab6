"""Writing the log: `record`, in the transaction of what it tells. Who acts, a context says.

A request's context is set by the web process (jobs/auth/auditing.py), which alone knows keys and addresses; everything
else is done by the service itself, or by a command.
"""

import getpass
import hmac
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils.crypto import salted_hmac

from audit.models import Action, Actor, Entry, Kind

_SALT = "audit"
#: Characters of a name that are kept.
_NAME = 200


@dataclass(frozen=True)
class Acting:
    """The one who acts now, and the request by which."""

    kind: Kind
    reference: str  # not empty: the id of a key or an account, or what the kind consists of
    name: str
    request_id: str = ""
    address: str = ""  # only its hash is written


SERVICE = Acting(Kind.SYSTEM, "service", "the service")

_acting: ContextVar[Callable[[], Acting]] = ContextVar("audit_acting", default=lambda: SERVICE)
acting_by = _acting.set
acting_no_more = _acting.reset


def acting() -> Acting:
    """Return who acts in this context."""
    return _acting.get()()


@contextmanager
def command(name: str) -> Iterator[None]:
    """Act as a command that the operating system's user has started."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = "somebody"
    by = Acting(Kind.SYSTEM, "command", f"{name}, by {user}"[:_NAME])
    before = _acting.set(lambda: by)
    try:
        yield
    finally:
        _acting.reset(before)


def record(
    action: Action, object_kind: str, object_ids: Iterable[object], *, by: Acting | None = None, **detail: Any
) -> None:
    """Write one entry for each object, in the open transaction or in one of their own.

    :param by: who acted; None: who acts now. :param detail: what else is worth knowing, no names and no secrets.
    """
    ids = [str(each)[:200] for each in object_ids]
    if not ids:
        return
    by = by or acting()
    known = {name: value for name, value in detail.items() if value not in (None, "")}
    with transaction.atomic():
        actor = _row_of(by)
        Entry.objects.bulk_create(
            [
                Entry(
                    actor_id=actor,
                    action=action,
                    object_kind=object_kind,
                    object_id=each,
                    detail=known,
                    request_id=by.request_id[:64],
                    address_hash=hash_of(by.address),
                )
                for each in ids
            ],
            batch_size=500,
        )


def _row_of(by: Acting) -> int:
    """Return the actor's row. A new one is made once, however many see it at the same moment."""
    names = {"kind": by.kind, "reference": by.reference[:40], "name": by.name[:_NAME]}
    found = Actor.objects.filter(**names).values_list("pk", flat=True)
    row = found.first()
    if row is None:
        Actor.objects.bulk_create([Actor(**names)], ignore_conflicts=True)
        row = found.get()
    return int(row)


def hash_of(address: str) -> str:
    """Return 16 hex digits that are the same for the same address, and say nothing without SECRET_KEY; "" for ""."""
    return salted_hmac(_SALT, address, algorithm="sha256").hexdigest()[:16] if address else ""


def pseudonym_of(reference: str) -> str:
    """Return the name that stands for an erased key, always the same one: nobody can tell back who it was."""
    return "erased-" + hmac.new(settings.SECRET_KEY.encode(), reference.encode(), sha256).hexdigest()[:12]


def pseudonymise(reference: str) -> int:
    """Replace the names and the id of a key among the actors by its pseudonym. Return how many names there were."""
    return Actor.objects.filter(kind=Kind.KEY, reference=reference).update(reference="", name=pseudonym_of(reference))


def purge() -> int:
    """Delete entries older than AUDIT_DAYS, by the database's own function: nothing else can. Return how many."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT audit_purge(%s)", [settings.AUDIT_DAYS])
        return int(cursor.fetchone()[0])
