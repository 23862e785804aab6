"""The tables of the jobs room."""

from jobs.models.allowance import Allowance
from jobs.models.api_key import ApiKey
from jobs.models.batch import Batch
from jobs.models.idempotency import IdempotencyKey
from jobs.models.job import Job
from jobs.models.pause import Pause
from jobs.models.periodic_task import Chore
from jobs.models.rate_limit import RateBucket
from jobs.models.staff_identity import StaffIdentity
from jobs.models.turn import Turn
from jobs.models.usage import UsageEntry, UsageNote, UsageTotal
from jobs.models.webhook import WebhookAttempt, WebhookMessage
from jobs.models.worker import Worker

__all__ = [
    "Allowance",
    "ApiKey",
    "Batch",
    "Chore",
    "IdempotencyKey",
    "Job",
    "Pause",
    "RateBucket",
    "StaffIdentity",
    "Turn",
    "UsageEntry",
    "UsageNote",
    "UsageTotal",
    "WebhookAttempt",
    "WebhookMessage",
    "Worker",
]
