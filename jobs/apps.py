"""The jobs room, and the wires between django-q2's signals and our cluster processes."""

from pathlib import Path

from django.apps import AppConfig
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


class JobsConfig(AppConfig):
    """Connects the rooms to each other, and to the signals that fire inside cluster processes only."""

    name = "jobs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect the cluster's signals, and make the directory in which Django's upload handler starts its files."""
        from django_q import signals  # noqa: PLC0415 - needs the registry of apps

        from jobs import checks, model_usage  # noqa: F401, PLC0415 - as above; importing registers the checks
        from jobs.models import UsageEntry, job_changes  # noqa: PLC0415 - as above
        from jobs.queue import periodic, shared_state  # noqa: PLC0415 - as above
        from jobs.webhooks import outbox  # noqa: PLC0415 - as above
        from modelstore import usage  # noqa: PLC0415 - as above
        from modelstore.imports import registration  # noqa: PLC0415 - as above

        signals.post_spawn.connect(shared_state.worker_started, dispatch_uid="jobs.worker_started")
        signals.pre_execute.connect(shared_state.task_picked, dispatch_uid="jobs.task_picked")
        signals.post_execute_in_worker.connect(shared_state.task_done, dispatch_uid="jobs.task_done")
        signals.post_execute.connect(shared_state.result_collected, dispatch_uid="jobs.result_collected")
        job_changes.register(on_change=outbox.enqueue, on_progress=outbox.enqueue_progress)
        periodic.register("catalogues", registration.keep_listed)
        periodic.register("usage", UsageEntry.objects.fold)
        usage.register(model_usage.unfinished_jobs)
        usage.register_loaded(model_usage.loaded_in)
        try:
            Path(settings.FILE_UPLOAD_TEMP_DIR).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ImproperlyConfigured(f"FILES_DIR: {settings.MEDIA_ROOT} cannot be used: {error.strerror}") from error
