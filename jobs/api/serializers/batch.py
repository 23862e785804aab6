"""Batches as callers see them."""

from typing import Any

from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from jobs.api.serializers.fields import Switch, ToldOrNull
from jobs.api.serializers.job import JobSerializer
from jobs.models import Batch
from jobs.models.batch_state import BatchState
from jobs.states import BATCH_STATUSES, Status
from modelstore.sentences import told


class RejectedSerializer(serializers.Serializer[Any]):
    """A picture of the batch that was not accepted."""

    index = serializers.IntegerField(help_text="Place in the call, from 0.")
    filename = serializers.CharField()
    detail = ToldOrNull(help_text="Why, for people, in their language.")
    code = serializers.CharField(help_text="Why, for programs.")


class BatchResultsQuerySerializer(serializers.Serializer[dict[str, Any]]):
    """The choice of a batch's results."""

    partial = Switch(  # type: ignore[assignment]  # the parameter's name; the metaclass takes it away
        default=False, help_text="Do not wait: what is done by now."
    )


class BatchAcceptedSerializer(serializers.Serializer[Batch]):
    """The guide's answer to upscale-batch, and where to look further."""

    success = serializers.SerializerMethodField()
    job_ids = serializers.SerializerMethodField()
    total = serializers.SerializerMethodField()
    message = serializers.SerializerMethodField()
    batch_id = serializers.UUIDField(source="id")
    status_url = serializers.SerializerMethodField()
    results_url = serializers.SerializerMethodField()
    rejected = RejectedSerializer(many=True)

    def to_representation(self, instance: Batch) -> dict[str, Any]:
        """Look the ids up once for all fields."""
        self._ids = list(instance.jobs.order_by("batch_index").values_list("id", flat=True))
        return super().to_representation(instance)

    def get_success(self, _batch: Batch) -> bool:
        """Return True: a batch without an accepted picture is answered by an error."""
        return True

    @extend_schema_field(serializers.ListField(child=serializers.UUIDField()))
    def get_job_ids(self, _batch: Batch) -> list[str]:
        """Return the ids in the order of the call."""
        return [str(job_id) for job_id in self._ids]

    def get_total(self, _batch: Batch) -> int:
        """Return the number of accepted pictures."""
        return len(self._ids)

    def get_message(self, batch: Batch) -> str:
        """Return the guide's sentence, and the pictures that were refused."""
        if batch.rejected:
            return told(f"Batch processing started for {len(self._ids)} images; {len(batch.rejected)} refused")
        return told(f"Batch processing started for {len(self._ids)} images")

    def get_status_url(self, batch: Batch) -> str:
        """Return the batch's address."""
        return reverse("batch", args=[batch.id])

    def get_results_url(self, batch: Batch) -> str:
        """Return the address of its results, as one ZIP file."""
        return reverse("batch-results", args=[batch.id])


class BatchSerializer(serializers.Serializer[BatchState]):
    """A batch with its jobs."""

    batch_id = serializers.UUIDField(source="batch.id")
    status = serializers.ChoiceField(
        choices=BATCH_STATUSES, help_text="completed: every job has ended, however it ended."
    )
    created_at = serializers.DateTimeField(source="batch.created_at")
    total = serializers.IntegerField(help_text="Accepted pictures.")
    counts = serializers.SerializerMethodField()
    job_ids = serializers.SerializerMethodField()
    jobs = JobSerializer(many=True)
    rejected = RejectedSerializer(source="batch.rejected", many=True)
    status_url = serializers.SerializerMethodField()
    results_url = serializers.SerializerMethodField()

    @extend_schema_field(
        {"type": "object", "properties": {s: {"type": "integer"} for s in Status.values}, "required": Status.values}
    )
    def get_counts(self, state: BatchState) -> dict[str, int]:
        """Return the number of jobs by status, with every status named."""
        return state.counts

    @extend_schema_field(serializers.ListField(child=serializers.UUIDField()))
    def get_job_ids(self, state: BatchState) -> list[str]:
        """Return the ids in the order of the call."""
        return [str(job.id) for job in state.jobs]

    def get_status_url(self, state: BatchState) -> str:
        """Return this object's address."""
        return reverse("batch", args=[state.batch.id])

    def get_results_url(self, state: BatchState) -> str:
        """Return the address of the results, as one ZIP file."""
        return reverse("batch-results", args=[state.batch.id])


class PendingBatchSerializer(BatchSerializer):
    """The answer to whoever asks for the results of a batch that is not done."""

    detail = serializers.CharField(help_text="What is still to come.")
