"""Job: the row is the job. Its life is told in jobs/states.py; its verbs stand in jobs/models/job_queryset.py."""

import uuid
from datetime import timedelta

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from jobs import chains
from jobs.models.api_key import ApiKey
from jobs.models.batch import Batch
from jobs.models.job_expiry import ByteRanges
from jobs.models.job_queryset import JobQuerySet
from jobs.options import JobOptions
from jobs.states import LIVE, TERMINAL, Priority, Status

#: What equal jobs have in common beside their files.
_OF_RESULT = (
    "result_bytes",
    "result_format",
    "result_width",
    "result_height",
    "result_sha256",
    "report",
    "tiles_total",
)


class Job(models.Model):
    """One picture to upscale, from its acceptance to the removal of its result."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.QUEUED)
    priority = models.SmallIntegerField(choices=Priority.choices, default=Priority.ASYNC)
    batch = models.ForeignKey(Batch, null=True, blank=True, on_delete=models.SET_NULL, related_name="jobs")
    batch_index = models.PositiveIntegerField(null=True, blank=True)  # place of the picture in the call, from 0
    api_key = models.ForeignKey(ApiKey, null=True, blank=True, on_delete=models.SET_NULL, related_name="jobs")
    caller = models.CharField(max_length=60, blank=True, db_default="")  # jobs/auth/callers.py; outlives the key's row
    request_id = models.CharField(max_length=64, blank=True)  # X-Request-ID of the call, for the logs
    traceparent = models.CharField(max_length=55, blank=True, db_default="")  # of the call; modelstore/tracing.py

    # The request. The model is a name, or a chain of names (jobs/chains.py), not a foreign key: a job outlives the
    # model's row.
    model = models.CharField(max_length=chains.LONGEST)
    options = models.JSONField(default=dict, blank=True)  # JobOptions.as_json()
    fingerprint = models.CharField(max_length=64, blank=True)  # JobOptions.fingerprint()

    # The input, as the probe of its header saw it
    input_file = models.CharField(max_length=200, blank=True)  # name in the default storage; "" when it was deleted
    input_name = models.CharField(max_length=255, blank=True)  # the caller's file name, for the download's name only
    input_sha256 = models.CharField(max_length=64)
    input_bytes = models.BigIntegerField()
    input_format = models.CharField(max_length=16)
    input_width = models.PositiveIntegerField()
    input_height = models.PositiveIntegerField()
    input_frames = models.PositiveIntegerField(default=1)

    # The result
    result_file = models.CharField(
        max_length=200, blank=True
    )  # carries the token, so that a stale worker cannot overwrite it
    preview_file = models.CharField(max_length=200, blank=True)  # a small rendition for pages
    result_bytes = models.BigIntegerField(null=True, blank=True)
    result_format = models.CharField(max_length=16, blank=True)
    result_width = models.PositiveIntegerField(null=True, blank=True)
    result_height = models.PositiveIntegerField(null=True, blank=True)
    result_sha256 = models.CharField(max_length=64, blank=True)  # the ETag
    reused_from = models.UUIDField(null=True, blank=True)  # the job whose result was copied instead of computed
    report = models.JSONField(default=dict, blank=True)  # the engine's Report
    processing_seconds = models.FloatField(null=True, blank=True)  # claim to end of the accepted attempt

    # Life
    created_at = models.DateTimeField()  # database clock
    queued_at = models.DateTimeField()  # last time that it entered the queue
    turn = models.FloatField(db_default=0.0)  # orders jobs of one priority (jobs/models/turn.py)
    promoted_at = models.DateTimeField(null=True, blank=True)  # when its priority was raised, since it waited long
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    token = models.UUIDField(null=True, blank=True)  # the claim; a worker with another token has lost the job
    lease_until = models.DateTimeField(null=True, blank=True)
    deadline = models.DateTimeField(null=True, blank=True)  # the hard limit; the heartbeat extends no lease beyond it
    worker = models.CharField(max_length=100, blank=True)
    tiles_done = models.PositiveIntegerField(default=0)
    tiles_total = models.PositiveIntegerField(null=True, blank=True)
    cancel_requested = models.BooleanField(default=False)
    error = models.TextField(blank=True)
    error_code = models.CharField(max_length=50, blank=True)

    # The end of an ended job (jobs/models/job_expiry.py)
    retain_hours = models.PositiveIntegerField(null=True, blank=True)  # None: RESULT_TTL_HOURS, whatever it will be
    expires_at = models.DateTimeField(null=True, blank=True)  # goes then; None: by the clean-up's age
    delete_after_download = models.BooleanField(default=False, db_default=False)
    delivered = ByteRanges(null=True, blank=True, editable=False)  # bytes of the result that its caller was given
    drop_input = models.BooleanField(default=False, db_default=False)  # the input goes when the job has ended

    webhook_url = models.CharField(max_length=2000, blank=True)
    webhook_events = models.JSONField(default=list, blank=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            # The claim: one short index of waiting rows only, in claiming order, however many rows are finished.
            models.Index(
                fields=["-priority", "turn", "queued_at", "id"],
                include=["caller"],  # those of one caller are counted without a look at the rows
                condition=Q(status=Status.QUEUED),
                name="job_claim",
            ),
            models.Index(fields=["caller"], condition=Q(api_key__isnull=True) & ~Q(caller=""), name="job_caller"),
            models.Index(fields=["lease_until"], condition=Q(status=Status.PROCESSING), name="job_lease"),
            models.Index(fields=["finished_at"], condition=Q(status__in=sorted(TERMINAL)), name="job_finished"),
            models.Index(fields=["expires_at"], condition=Q(expires_at__isnull=False), name="job_expires"),
            models.Index(fields=["finished_at"], condition=Q(drop_input=True), name="job_drop_input"),
            models.Index(fields=["-created_at", "-id"], name="job_newest"),
            models.Index(fields=["status", "-created_at", "-id"], name="job_status_newest"),
            models.Index(fields=["model", "-created_at", "-id"], name="job_model_newest"),
            models.Index(
                fields=["-created_at", "-id"],
                condition=Q(model__contains=chains.SEPARATOR),
                name="job_chain_newest",
            ),
            models.Index(
                fields=["error_code", "-created_at", "-id"], condition=Q(status=Status.FAILED), name="job_error_newest"
            ),
            models.Index(fields=["fingerprint"], condition=Q(status=Status.COMPLETED), name="job_reuse"),
            models.Index(
                fields=["model", "-finished_at"],
                condition=Q(status=Status.COMPLETED, reused_from__isnull=True),
                name="job_measured",
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(status__in=sorted(Status)), name="job_status_known"),
            models.CheckConstraint(
                condition=(
                    Q(
                        status=Status.PROCESSING,
                        token__isnull=False,
                        lease_until__isnull=False,
                        started_at__isnull=False,
                    )
                    | (~Q(status=Status.PROCESSING) & Q(token__isnull=True, lease_until__isnull=True))
                ),
                name="job_processing_has_lease",
            ),
            models.CheckConstraint(
                condition=(
                    Q(status__in=sorted(TERMINAL), finished_at__isnull=False)
                    | Q(status__in=sorted(LIVE), finished_at__isnull=True)
                ),
                name="job_finished_has_time",
            ),
            models.CheckConstraint(
                condition=~Q(status=Status.COMPLETED) | ~Q(result_file=""), name="job_completed_has_result"
            ),
        ]
        permissions = [
            ("operate_job", "Can cancel and retry jobs"),
            ("cleanup_job", "Can run the clean-up"),
        ]

    def __str__(self) -> str:
        return str(self.id)

    def begin_completed(self, source: "Job", *, result_file: str, preview_file: str) -> None:
        """Let this unsaved job begin its life as completed, with the result of an equal one: nothing is computed.

        :param source: the completed job; :param result_file, preview_file: storage names of this job's own files.
        """
        for name in _OF_RESULT:
            setattr(self, name, getattr(source, name))
        self.status = Status.COMPLETED
        self.result_file, self.preview_file = result_file, preview_file
        self.reused_from = source.id
        self.tiles_done = source.tiles_total or 0
        self.started_at = self.finished_at = Now()  # the database's clock, when it is saved
        if self.retain_hours is not None:
            self.expires_at = Now() + timedelta(hours=self.retain_hours)
        self.processing_seconds = 0.0

    @property
    def has_input(self) -> bool:
        """True while the picture that was sent may be looked at: one that is to go with the job's end is gone by then.

        The file itself follows within seconds (jobs/storage/retention.py).
        """
        return bool(self.input_file) and not (self.drop_input and self.status in TERMINAL)

    @property
    def job_options(self) -> JobOptions:
        """The stored options in their typed form."""
        return JobOptions.from_json(self.options)
