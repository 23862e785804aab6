"""The monitoring room as a Django app."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class MonitoringConfig(AppConfig):
    """Registers the system checks and, after migrations, the staff groups."""

    name = "monitoring"
    verbose_name = "Monitoring"

    def ready(self) -> None:
        """Connect what Django only finds when it is imported."""
        from monitoring import checks, groups  # noqa: F401, PLC0415 - it registers the checks; models exist only now

        # This app is migrated last, so the permissions of all others exist by then.
        post_migrate.connect(groups.create_groups, sender=self, dispatch_uid="monitoring.groups")
