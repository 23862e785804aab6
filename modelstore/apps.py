"""Django's entry to the model store."""

from typing import Any

from django.apps import AppConfig
from django.core.checks import register
from django.db.models.signals import post_migrate


class ModelstoreConfig(AppConfig):
    """Registers the known models after each migrate, and the checks of this room's settings."""

    name = "modelstore"
    verbose_name = "Model store"

    def ready(self) -> None:
        """Connect; nothing is read or written yet."""
        from modelstore.checks import check_settings  # noqa: PLC0415 - the settings are read when apps are ready

        register(check_settings)
        post_migrate.connect(_after_migrate, sender=self, dispatch_uid="modelstore.register_known_models")


def _after_migrate(*, using: str, plan: Any = (), **_: Any) -> None:
    from modelstore.imports.registration import (  # noqa: PLC0415 - models can be imported only when all apps are loaded
        adopt_present_files,
        register_known_models,
    )

    backwards = any(migration.app_label == "modelstore" and back for migration, back in plan)
    if backwards:  # the table may be gone
        return
    register_known_models(using)
    adopt_present_files(using)
