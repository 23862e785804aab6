"""The three groups of staff, made by the first migration; a permission that an upgrade brings reaches them, too.

Viewers look. Operators also act on jobs and downloads. Managers also delete, import, clean up and hand out keys.
Members still need "staff status" to enter the admin. What was added to a group or taken from it by hand stays so.
"""

from typing import Any

from django.apps import apps as django_apps
from django.db import ProgrammingError, transaction
from django.utils.translation import gettext_lazy as _

VIEWERS = (
    "jobs.view_job",
    "jobs.view_batch",
    "jobs.view_worker",
    "jobs.view_webhookmessage",
    "modelstore.view_model",
    "monitoring.view_operations",
)
OPERATORS = (*VIEWERS, "jobs.operate_job", "jobs.pause_queue", "jobs.replay_webhook", "modelstore.operate_model")
MANAGERS = (
    *OPERATORS,
    "jobs.delete_job",
    "jobs.cleanup_job",
    "jobs.view_apikey",
    "jobs.add_apikey",
    "jobs.change_apikey",
    "jobs.view_usageentry",
    "jobs.erase_apikey",
    "modelstore.manage_model",
    "audit.view_entry",
)
GROUPS = {"Viewers": VIEWERS, "Operators": OPERATORS, "Managers": MANAGERS}
#: What a member may do, for those who choose.
MEANINGS = {
    "Viewers": _("see jobs with their pictures, batches, workers, webhooks, models and Operations; change nothing"),
    "Operators": _(
        "all that Viewers may; also cancel and retry jobs, pause the queues, send webhooks again, download and verify "
        "models"
    ),
    "Managers": _(
        "all that Operators may; also delete jobs and models, import models, clean up, make and revoke API keys, see "
        "the usage of all, erase everything of a key, and read the audit log"
    ),
}


#: Ids of the permissions that were there before this run of `migrate`; None: not asked, or no table yet.
_known_before: set[int] | None = None


def note_permissions(**kwargs: Any) -> None:
    """Receive pre_migrate: remember which permissions exist, to tell those that this run of `migrate` adds."""
    global _known_before  # noqa: PLW0603 - one `migrate` per process; Django's two signals have no other link
    using = kwargs.get("using", "default")
    permission_model = django_apps.get_model("auth", "Permission")
    try:
        with transaction.atomic(using=using):
            _known_before = set(permission_model.objects.using(using).values_list("pk", flat=True))
    except ProgrammingError:  # a new database
        _known_before = None


def create_groups(**kwargs: Any) -> None:
    """Receive post_migrate: make the groups, and give them what is theirs.

    A group gets a permission twice in its life at most: when the group is made, or when the permission is (an upgrade
    that brings one). What staff took from a group, or added to it, stays so.
    """
    global _known_before
    group_model = django_apps.get_model("auth", "Group")
    permission_model = django_apps.get_model("auth", "Permission")
    using = kwargs.get("using", "default")
    known = {
        f"{app_label}.{codename}": pk
        for app_label, codename, pk in permission_model.objects.using(using).values_list(
            "content_type__app_label", "codename", "pk"
        )
    }
    before, _known_before = _known_before, None
    for name, wanted in GROUPS.items():
        group, made = group_model.objects.using(using).get_or_create(name=name)
        ids = {known[permission] for permission in wanted if permission in known}
        new = ids if made else set() if before is None else ids - before
        group.permissions.add(*new)
