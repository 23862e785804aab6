"""The state machine of a job, once. Model, API, admin and tests all read it from here.

- ``queued -> processing -> completed | failed | cancelled``
- ``processing -> queued``: a worker was lost or asked to stop, and attempts are left
- ``queued -> cancelled``: cancelled before a worker took it
- ``failed | cancelled -> queued``: retry
"""

from django.db import models


class Status(models.TextChoices):
    """The status of a job; the values are the API's words."""

    QUEUED = "queued", "Queued"
    PROCESSING = "processing", "Processing"
    COMPLETED = "completed", "Completed"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


TERMINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})
LIVE = frozenset({Status.QUEUED, Status.PROCESSING})
RETRYABLE = frozenset({Status.FAILED, Status.CANCELLED})


class Priority(models.IntegerChoices):
    """The order of claims: the greater value first. Somebody waits for a sync request; nobody watches a batch.

    High is for those who may go before all others; who asks for low goes with the batches.
    """

    BATCH = 0, "Batch"
    ASYNC = 10, "Asynchronous"
    SYNC = 20, "Synchronous"
    HIGH = 30, "High"


#: The states of a batch: waiting, begun, and every job ended, however it ended.
BATCH_STATUSES = ["queued", "processing", "completed"]
#: The names of priorities in a job's JSON, and what a submission may ask for.
PRIORITY_NAMES = [priority.name.lower() for priority in Priority]
PRIORITIES_ASKED = ["high", "normal", "low"]
