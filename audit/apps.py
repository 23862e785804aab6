"""The audit room as a Django app."""

from django.apps import AppConfig


class AuditConfig(AppConfig):
    """Records log-ins of staff, which Django announces by signals."""

    name = "audit"
    verbose_name = "Audit"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect the signals of log-ins."""
        from django.contrib.auth import signals  # noqa: PLC0415 - needs the registry of apps

        from audit import logins  # noqa: PLC0415 - as above

        signals.user_logged_in.connect(logins.logged_in, dispatch_uid="audit.logged_in")
        signals.user_login_failed.connect(logins.login_failed, dispatch_uid="audit.login_failed")
