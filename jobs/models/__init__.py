"""The tables of the jobs room."""

from jobs.models.api_key import ApiKey
from jobs.models.batch import Batch
from jobs.models.job import Job
from jobs.models.webhook import WebhookAttempt, WebhookMessage

__all__ = ["ApiKey", "Batch", "Job", "WebhookAttempt", "WebhookMessage"]
