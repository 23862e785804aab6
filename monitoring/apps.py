"""The monitoring room as a Django app."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate


class MonitoringConfig(AppConfig):
    """Registers the system checks and, after migrations, the staff groups."""

    name = "monitoring"
    verbose_name = "Monitoring"

    def ready(self) -> None:
        """Connect what Django only finds when it is imported."""
        from jobs.queue import periodic  # noqa: PLC0415 - models exist only now
        from monitoring import checks, groups, ledger  # noqa: F401, PLC0415 - as above; importing registers the checks

        # This app is migrated last, so the permissions of all others exist by then.
        pre_migrate.connect(groups.note_permissions, sender=self, dispatch_uid="monitoring.groups.note")
        post_migrate.connect(groups.create_groups, sender=self, dispatch_uid="monitoring.groups")
        periodic.register("ledger", ledger.upkeep)
