"""The table of known models. Every change of state is one conditional UPDATE: a verb of the queryset.

A row is claimed with a token and a lease by the database's clock. Only the holder of the token can change the row, so
one download runs per model however many ask, and a worker that was given up as lost cannot overrule its successor.
"""

import uuid
from datetime import timedelta
from typing import Any, ClassVar, Self

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models, transaction
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Now

from modelstore.catalog_rows import CatalogQuerySet
from modelstore.claims import UNCLAIMED, lease
from modelstore.identity import ServiceIdentity  # noqa: F401 - Django looks for tables here
from modelstore.licences import forbids_commercial_use
from modelstore.names import NAME_PATTERN
from modelstore.networks.spec import NetworkSpec
from modelstore.states import DOWNLOADABLE, PENDING, REQUESTABLE, Origin, State, Use

#: Attempts of a download whose worker dies; then the row fails, instead of killing workers for ever.
MAX_ATTEMPTS = 3
#: Seconds after which a ring that was not followed by a claim is repeated.
RING_AGAIN_SECONDS = 60


def _lease() -> Any:
    return lease(timedelta(seconds=settings.JOB_LEASE_SECONDS))


class ModelQuerySet(CatalogQuerySet["Model"]):
    """The verbs. Each returns whether it happened (or how many rows changed): False means somebody else was first."""

    claimed: ClassVar[dict[str, Any]] = {"state": State.DOWNLOADING}

    def listed(self) -> Self:
        """Return the models that callers may see: an upload that is not accepted, or was refused, is no model."""
        return self.exclude(sha256="")

    def pending(self) -> Self:
        """Return the models that wait or download."""
        return self.filter(state__in=PENDING)

    def request(self, name: str, provider: str = "") -> bool:
        """Ask for the weights of a model that has sources. The caller rings, in the same transaction."""
        changed = self.filter(name=name, origin__in=DOWNLOADABLE, state__in=REQUESTABLE).update(
            state=State.REQUESTED, provider=provider, requested_at=Now(), rung_at=Now(), attempts=0, error="", notes=""
        )
        return changed == 1

    def claim(
        self, worker: str, *, name: str | None = None, provider: str = "", at_most: int | None = None
    ) -> "Model | None":
        """Take the row that waits longest (or the one called ``name``, asked for or not) for one lease.

        :param provider: replaces the one that was asked for. Empty: leave it.
        :param at_most: do nothing while so many rows are being downloaded: the other workers are for other work.
        """
        waiting = self.filter(state=State.REQUESTED)
        if name is not None:
            waiting = self.filter(name=name).filter(
                Q(state=State.REQUESTED) | Q(state__in=REQUESTABLE, origin__in=DOWNLOADABLE)
            )
        with transaction.atomic():
            if at_most is not None and self.filter(state=State.DOWNLOADING).count() >= at_most:
                return None
            model = waiting.select_for_update(skip_locked=True).order_by("requested_at", "pk").first()
            if model is None:
                return None
            token = uuid.uuid4()
            self.filter(pk=model.pk).update(
                state=State.DOWNLOADING,
                token=token,
                lease_until=_lease(),
                worker=worker,
                attempts=F("attempts") + 1,
                started_at=Now(),
                received_bytes=0,
                error="",
                notes="",
                **({"provider": provider} if provider else {}),
            )
        return self.get(pk=model.pk)

    def heartbeat(self, claim: "Model", received_bytes: int) -> bool:
        """Extend the lease and publish progress. False: the claim is lost, or the download was cancelled."""
        return self.held(claim).update(lease_until=_lease(), received_bytes=received_bytes) == 1

    def mark_ready(self, claim: "Model", **facts: Any) -> bool:
        """Mark a model ready: the verified file is in its place.

        :param facts: source, notes, and for an import all that was found out.
        """
        return (
            self.held(claim).update(
                state=State.READY, ready_at=Now(), verified_at=Now(), error="", incoming="", **UNCLAIMED, **facts
            )
            == 1
        )

    def mark_failed(self, claim: "Model", error: str) -> bool:
        """Mark a model failed, for a cause that trying again does not remove; ``error`` says why."""
        changed = self.held(claim).update(state=State.FAILED, error=error, incoming="", received_bytes=0, **UNCLAIMED)
        return changed == 1

    def release(self, claim: "Model") -> bool:
        """Release the claim of a worker that was asked to stop. The attempt does not count. The caller rings."""
        return (
            self.held(claim).update(
                state=State.REQUESTED, attempts=F("attempts") - 1, rung_at=Now(), requested_at=Now(), **UNCLAIMED
            )
            == 1
        )

    def cancel(self, name: str) -> bool:
        """Give up a waiting or running download. Its worker notices at the next heartbeat."""
        changed = self.filter(name=name, origin__in=DOWNLOADABLE, state__in=PENDING).update(
            state=State.MISSING, received_bytes=0, **UNCLAIMED
        )
        return changed == 1

    def mark_damaged(self, model: "Model", error: str) -> bool:
        """Mark the accepted file as gone or changed. One that has sources is requested again (the caller rings)."""
        again = When(origin__in=DOWNLOADABLE, then=Value(State.REQUESTED.value))
        changed = self.filter(pk=model.pk, state=State.READY, sha256=model.sha256).update(
            state=Case(again, default=Value(State.FAILED.value)),
            error=error,
            attempts=0,
            received_bytes=0,
            requested_at=Now(),
            rung_at=Now(),
        )
        return changed == 1

    def mark_verified(self, model: "Model") -> bool:
        """Note that the file was read again and is unchanged."""
        return self.filter(pk=model.pk, state=State.READY, sha256=model.sha256).update(verified_at=Now()) == 1

    def adopt(self, model: "Model", source: str) -> bool:
        """Mark an official model ready whose verified file is in its place without a download; cancel one that runs."""
        changed = (
            self.filter(pk=model.pk, sha256=model.sha256)
            .exclude(state=State.READY)
            .update(
                state=State.READY, ready_at=Now(), verified_at=Now(), error="", notes="", source=source, **UNCLAIMED
            )
        )
        return changed == 1

    def forget_failure(self, model: "Model") -> bool:
        """Make a failed model one that is merely missing."""
        return self.filter(pk=model.pk, state=State.FAILED).update(state=State.MISSING, error="") == 1

    def put_bundled(self, name: str, facts: dict[str, Any]) -> None:
        """Make the model that comes with the service ready, as its file was found; safe to repeat."""
        facts = {**facts, "state": State.READY, "error": ""}
        model, created = self.get_or_create(
            name=name, defaults={"origin": Origin.BUNDLED, "ready_at": Now(), "verified_at": Now(), **facts}
        )
        if not created:
            self.filter(pk=model.pk).update(**facts)

    def lose_bundled(self, name: str, error: str) -> bool:
        """Mark the model that comes with the service as failed: its file is gone."""
        return self.filter(name=name, state=State.READY).update(state=State.FAILED, error=error) == 1

    def retire(self, model: "Model") -> bool:
        """Begin to delete a model: from here on nobody is told that it is usable."""
        return self.filter(pk=model.pk, state=State.READY).update(state=State.MISSING, ready_at=None) == 1

    def unretire(self, model: "Model") -> bool:
        """Take back `retire`, when the deletion was refused after all."""
        return self.filter(pk=model.pk, state=State.MISSING).update(state=State.READY, ready_at=model.ready_at) == 1

    def reclaim_lost(self) -> int:
        """Requeue rows whose lease has expired, or fail them after MAX_ATTEMPTS. Return how many changed."""
        lost = self.lapsed()
        error = f"the worker died {MAX_ATTEMPTS} times while it worked on this model"
        failed = lost.filter(attempts__gte=MAX_ATTEMPTS).update(state=State.FAILED, error=error, **UNCLAIMED)
        waiting = lost.filter(attempts__lt=MAX_ATTEMPTS).update(
            state=State.REQUESTED, rung_at=Now() - timedelta(seconds=RING_AGAIN_SECONDS), **UNCLAIMED
        )
        return failed + waiting

    def take_unheard(self) -> int:
        """Stamp rows that have waited since a ring that seems lost. Return how many; the caller rings for each."""
        stale = Now() - timedelta(seconds=RING_AGAIN_SECONDS)
        return self.filter(state=State.REQUESTED).filter(Q(rung_at__lte=stale) | Q(rung_at=None)).update(rung_at=Now())


class Model(models.Model):
    """One model: what it is, where its weights are, and who is working on them."""

    name = models.CharField(max_length=100, unique=True, validators=[RegexValidator(NAME_PATTERN)])
    origin = models.CharField(max_length=10, choices=Origin.choices)
    state = models.CharField(max_length=12, choices=State.choices, default=State.MISSING)

    architecture = models.CharField(max_length=20, blank=True)
    scale = models.PositiveSmallIntegerField(default=0)
    description = models.CharField(max_length=300, blank=True)
    licence = models.CharField(max_length=100, blank=True)
    homepage = models.CharField(max_length=300, blank=True)
    author = models.CharField(max_length=200, blank=True, default="", db_default="")
    example = models.CharField(max_length=300, blank=True, default="", db_default="", help_text="where to see its work")
    use = models.CharField(
        max_length=12,
        blank=True,
        choices=Use.choices,
        default=Use.PHOTO,
        db_default="photo",
        help_text="empty: an import that did not say and was not examined yet",
    )
    denoise_partner = models.CharField(max_length=100, blank=True, help_text="mixed in for a denoise strength below 1")
    network = models.JSONField(
        default=dict, blank=True, help_text="what its tensors show: see modelstore.networks.spec"
    )

    file_name = models.CharField(
        max_length=150, blank=True, help_text="inside the models directory; made by the service"
    )
    size_bytes = models.BigIntegerField(default=0, help_text="of the accepted or awaited file")
    sha256 = models.CharField(max_length=64, blank=True, help_text="empty: an upload that was not accepted yet")
    sources = models.JSONField(default=list, blank=True, help_text="pairs of provider and path, the best first")
    offered = models.JSONField(
        null=True, blank=True, help_text="what the catalogue says by now, where that is another file; {}: nothing"
    )

    provider = models.CharField(max_length=20, blank=True, help_text="whom the caller wants to be asked first")
    source = models.CharField(max_length=500, blank=True, help_text="where the file came from")
    incoming = models.CharField(max_length=100, blank=True, help_text="an uploaded file that waits for its examination")
    received_bytes = models.BigIntegerField(default=0)
    error = models.TextField(blank=True)
    notes = models.TextField(blank=True, help_text="which sources failed before one succeeded")

    attempts = models.PositiveSmallIntegerField(default=0)
    token = models.UUIDField(null=True, blank=True, editable=False)
    lease_until = models.DateTimeField(null=True, blank=True)
    worker = models.CharField(max_length=200, blank=True)

    created_at = models.DateTimeField(auto_now_add=True)
    requested_at = models.DateTimeField(null=True, blank=True)
    rung_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ready_at = models.DateTimeField(null=True, blank=True)
    verified_at = models.DateTimeField(null=True, blank=True)

    objects = ModelQuerySet.as_manager()

    class Meta:
        ordering = ("name",)
        permissions = (
            ("operate_model", "Can download, cancel and verify models"),
            ("manage_model", "Can import and delete models"),
        )
        constraints = (
            models.CheckConstraint(name="model_state_known", condition=Q(state__in=State.values)),
            models.CheckConstraint(name="model_origin_known", condition=Q(origin__in=Origin.values)),
            models.CheckConstraint(
                name="model_downloading_is_claimed",
                condition=Q(state=State.DOWNLOADING, token__isnull=False, lease_until__isnull=False)
                | (~Q(state=State.DOWNLOADING) & Q(token__isnull=True, lease_until__isnull=True)),
            ),
            models.CheckConstraint(
                name="model_ready_is_pinned",
                condition=~Q(state=State.READY) | (~Q(sha256="") & ~Q(file_name="") & Q(size_bytes__gt=0)),
            ),
        )
        indexes = (models.Index(name="model_waiting", fields=["requested_at"], condition=Q(state=State.REQUESTED)),)

    def __str__(self) -> str:
        return self.name

    @property
    def spec(self) -> NetworkSpec | None:
        """The model's network; None when its file was never examined, or by a version that asked for less.

        A worker then examines it anew each time that it loads it; importing the file again ends that.
        """
        try:
            return NetworkSpec.from_table(self.network)
        except (KeyError, TypeError):
            return None

    @property
    def non_commercial(self) -> bool:
        """True when the licence, by its name, forbids commercial use."""
        return forbids_commercial_use(self.licence)

    @property
    def percent(self) -> int | None:
        """Progress of a running download, 0 to 100."""
        if self.state != State.DOWNLOADING or self.size_bytes <= 0:
            return None
        return min(100, self.received_bytes * 100 // self.size_bytes)
