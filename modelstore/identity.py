"""The identity of this service: one for all hosts of one database, and another for every other service."""

import uuid

from django.db import connection, models


class ServiceIdentity(models.Model):
    """One row, made when somebody first asks. A copy of the database is the same service: give it stores of its own."""

    key = models.PositiveSmallIntegerField(primary_key=True, default=1)
    id = models.UUIDField(default=uuid.uuid4)

    def __str__(self) -> str:
        return str(self.id)


def service_id() -> str:
    """Return the service's identity; by a connection that is closed again where this thread had none open."""
    lent = connection.connection is not None
    try:
        return str(ServiceIdentity.objects.get_or_create(key=1)[0].id)
    finally:
        if not lent:
            connection.close()
