"""A job as callers see it."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from jobs.api.serializers.fields import TextOrNull, ToldOrNull
from jobs.models import Job
from jobs.states import PRIORITY_NAMES, Priority, Status
from jobs.submission.dry_run import DryRunReport
from modelstore.sentences import told


class ProgressSerializer(serializers.Serializer[dict[str, Any]]):
    """The progress of the running attempt."""

    tiles_done = serializers.IntegerField(help_text="Tiles that are finished.")
    tiles_total = serializers.IntegerField(
        allow_null=True, help_text="Tiles in all; null until the worker has planned them."
    )
    fraction = serializers.FloatField(allow_null=True, min_value=0, max_value=1, help_text="tiles_done / tiles_total.")


class JobSerializer(serializers.Serializer[Job]):
    """The guide's fields first, then ours. Times are ISO 8601 in UTC."""

    job_id = serializers.UUIDField(source="id")
    status = serializers.ChoiceField(choices=Status.choices)
    model = serializers.CharField(help_text="A model's name; of a chain, its members' names with + between them.")
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    completed_at = serializers.DateTimeField(
        source="finished_at", allow_null=True, help_text="When it ended, however it ended."
    )
    processing_time_seconds = serializers.FloatField(source="processing_seconds", allow_null=True)
    error = ToldOrNull(allow_null=True, help_text="Why it failed, for people, in their language.")
    error_code = TextOrNull(allow_null=True, help_text="Why it failed, for programs.")
    progress = serializers.SerializerMethodField()
    eta_seconds = serializers.SerializerMethodField(
        help_text="Seconds until the end, from measured throughput; null where that is not known, or nothing is left."
    )
    queue_position = serializers.SerializerMethodField(
        help_text="Place among the jobs that wait, 1: the next; null when it does not wait. More urgent jobs that "
        "come, and those of callers who were served less, go before it."
    )
    attempts = serializers.IntegerField()
    cancel_requested = serializers.BooleanField()
    priority = serializers.SerializerMethodField()
    options = serializers.DictField(help_text="The options that were given.")
    batch_id = serializers.UUIDField(allow_null=True)
    batch_index = serializers.IntegerField(allow_null=True, help_text="Place of the picture in its batch, from 0.")
    filename = TextOrNull(source="input_name", allow_null=True, help_text="The name under which the picture was sent.")
    input_format = serializers.CharField()
    input_width = serializers.IntegerField()
    input_height = serializers.IntegerField()
    input_frames = serializers.IntegerField()
    input_bytes = serializers.IntegerField()
    input_sha256 = serializers.CharField(help_text="Jobs of one picture have it in common.")
    result_format = TextOrNull(allow_null=True)
    result_width = serializers.IntegerField(allow_null=True)
    result_height = serializers.IntegerField(allow_null=True)
    result_bytes = serializers.IntegerField(allow_null=True)
    result_sha256 = TextOrNull(allow_null=True)
    input_available = serializers.SerializerMethodField(
        help_text="false: the picture was deleted when the job ended, and the job cannot be run again."
    )
    delete_after_download = serializers.BooleanField(help_text="It goes once its whole result was downloaded.")
    expires_at = serializers.SerializerMethodField(
        help_text="When the ended job goes with its pictures; null while it is live, and where nothing removes it."
    )
    reused_from = serializers.UUIDField(allow_null=True, help_text="The job whose result was taken over.")
    status_url = serializers.SerializerMethodField()
    result_url = serializers.SerializerMethodField()
    preview_url = serializers.SerializerMethodField()
    events_url = serializers.SerializerMethodField()

    @extend_schema_field(ProgressSerializer)
    def get_progress(self, job: Job) -> dict[str, Any]:
        """Return the tiles of the running attempt; all of a completed job, even if it was too quick for a heartbeat."""
        done, total = job.tiles_done, job.tiles_total
        if job.status == Status.COMPLETED:
            total = total or job.report.get("tiles") or 1
            done = total
        return {"tiles_done": done, "tiles_total": total, "fraction": done / total if total else None}

    @extend_schema_field(serializers.FloatField(allow_null=True))
    def get_eta_seconds(self, job: Job) -> float | None:
        """Read from the forecast that the view put into the context, so that a list costs no query per row."""
        forecast = self.context.get("forecast")
        return forecast.seconds_left(job) if forecast is not None else None

    @extend_schema_field(serializers.IntegerField(allow_null=True, min_value=1))
    def get_queue_position(self, job: Job) -> int | None:
        """Read from the forecast, as `get_eta_seconds`."""
        forecast = self.context.get("forecast")
        return forecast.position(job) if forecast is not None else None

    @extend_schema_field(serializers.ChoiceField(choices=PRIORITY_NAMES))
    def get_priority(self, job: Job) -> str:
        """Return the priority's name."""
        return Priority(job.priority).name.lower()

    def get_input_available(self, job: Job) -> bool:
        """Return whether the picture that was sent is still kept."""
        return job.has_input

    @extend_schema_field(serializers.DateTimeField(allow_null=True))
    def get_expires_at(self, job: Job) -> Any:
        """Return the row's own time, or the one at which the service's clean-up finds it old enough."""
        at = job.expires_at
        if at is None and job.finished_at is not None and settings.CLEANUP_INTERVAL_MINUTES:
            at = job.finished_at + timedelta(hours=settings.RESULT_TTL_HOURS)
        return at and serializers.DateTimeField().to_representation(at)

    def get_status_url(self, job: Job) -> str:
        """Return this object's address."""
        return reverse("job", args=[job.id])

    def get_result_url(self, job: Job) -> str:
        """Return the address where the result is, or will be."""
        return reverse("job-result", args=[job.id])

    def get_preview_url(self, job: Job) -> str:
        """Return the address where a small rendition of the result is, or will be."""
        return reverse("job-preview", args=[job.id])

    def get_events_url(self, job: Job) -> str:
        """Return the address of the job's event stream."""
        return reverse("job-events", args=[job.id])


class JobDetailSerializer(JobSerializer):
    """One job, with the engine's account of what it did."""

    report = serializers.DictField(
        help_text="Device, precision, tiles and seconds per span, of a chain also for each of its members; empty until "
        "the job is completed."
    )

    def to_representation(self, instance: Job) -> dict[str, Any]:
        """Tell the notes of the report in the caller's language."""
        shape: dict[str, Any] = super().to_representation(instance)
        if shape["report"].get("notes"):
            shape["report"] = {**shape["report"], "notes": [told(note) for note in shape["report"]["notes"]]}
        return shape


class AcceptedSerializer(serializers.Serializer[Job]):
    """The answer to a submission whose result is not there yet."""

    success = serializers.SerializerMethodField()
    job_id = serializers.UUIDField(source="id")
    status_url = serializers.SerializerMethodField()
    result_url = serializers.SerializerMethodField()
    status = serializers.ChoiceField(choices=Status.choices)
    events_url = serializers.SerializerMethodField()

    def get_success(self, _job: Job) -> bool:
        """Return True: a refused submission is answered by an error."""
        return True

    get_status_url = JobSerializer.get_status_url
    get_result_url = JobSerializer.get_result_url
    get_events_url = JobSerializer.get_events_url


class PendingSerializer(AcceptedSerializer):
    """The answer to whoever asks for something that a job has not made yet."""

    detail = serializers.CharField(help_text="What is still to come.")


class PlanSerializer(serializers.Serializer[DryRunReport]):
    """The answer to a dry run: nothing was created. null stands for what this installation cannot know yet."""

    dry_run = serializers.SerializerMethodField()
    input_format = serializers.CharField(
        source="format", allow_null=True, help_text="null where no file was sent (`GET /estimate`)."
    )
    input_width = serializers.IntegerField(source="width")
    input_height = serializers.IntegerField(source="height")
    input_frames = serializers.IntegerField(source="frames")
    output_width = serializers.IntegerField()
    output_height = serializers.IntegerField()
    scale = serializers.FloatField(help_text="Output side / input side.")
    passes = serializers.IntegerField(allow_null=True, help_text="Times that the picture goes through a network.")
    tiles = serializers.IntegerField(allow_null=True)
    memory_bytes = serializers.IntegerField(allow_null=True, help_text="Host memory at the peak, estimated.")
    seconds = serializers.FloatField(
        allow_null=True,
        help_text="Of computing, from jobs of this model that were measured here; null where all of them were much "
        "smaller.",
    )
    device_seconds = serializers.FloatField(
        allow_null=True,
        help_text="Of the device alone, as the usage ledger counts them; null where `seconds` is.",
    )
    price = serializers.DecimalField(
        allow_null=True,
        max_digits=24,
        decimal_places=6,
        help_text="By the operator's tariff; null where there is none, or where it needs unknown device seconds.",
    )
    currency = serializers.CharField(allow_null=True, help_text="Of the price (ISO 4217); null: there is no tariff.")
    jobs_ahead = serializers.IntegerField(help_text="Jobs that are computed now, or wait and come before.")
    wait_seconds = serializers.FloatField(allow_null=True, help_text="Until these are done.")

    def get_dry_run(self, _plan: DryRunReport) -> bool:
        """Return True."""
        return True
