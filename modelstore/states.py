"""The life of a model's weights, once.

``missing → requested → downloading → ready | failed``; ``failed → requested`` by asking again; ``requested |
downloading → missing`` by cancelling; ``downloading → requested`` when a worker stops or is lost and attempts are left;
``ready → requested`` when the file is found damaged and can be fetched again (``→ failed`` where it cannot); ``ready →
missing`` by deleting. An uploaded file goes the same way: its "download" is its
examination. A file of the operator's catalogue is downloaded and examined before it is ready.
"""

from django.db.models import TextChoices


class State(TextChoices):
    """The state of a model's weights."""

    MISSING = "missing", "not downloaded"
    REQUESTED = "requested", "waiting"
    DOWNLOADING = "downloading", "downloading"
    READY = "ready", "ready"
    FAILED = "failed", "failed"


class Origin(TextChoices):
    """The origin of a model: the built-in catalogue, the operator's, the service itself, or an import."""

    OFFICIAL = "official", "official"
    CATALOG = "catalog", "catalogue"
    BUNDLED = "bundled", "bundled"
    IMPORTED = "imported", "imported"


class Use(TextChoices):
    """The pictures that a model is for, in the order in which models are grouped."""

    PHOTO = "photo", "photos"
    ILLUSTRATION = "illustration", "illustrations"
    TEXT = "text", "text"
    RESTORE = "restore", "restoration"


#: Their files can be had from a source; those of the others cannot.
DOWNLOADABLE = frozenset({Origin.OFFICIAL, Origin.CATALOG})
#: A worker downloads or imports it, or will.
PENDING = frozenset({State.REQUESTED, State.DOWNLOADING})
#: States in which a download may be requested.
REQUESTABLE = frozenset({State.MISSING, State.FAILED})
