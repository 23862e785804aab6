"""The three groups of staff, made after every migration so that a permission added later reaches them.

Viewers look. Operators also act on jobs and downloads. Managers also delete, import, clean up and hand out keys.
Members still need "staff status" to enter the admin. What was added to a group by hand stays.
"""

from typing import Any

from django.apps import apps

VIEWERS = (
    "jobs.view_job",
    "jobs.view_batch",
    "jobs.view_worker",
    "jobs.view_webhookmessage",
    "modelstore.view_model",
    "monitoring.view_operations",
)
OPERATORS = (*VIEWERS, "jobs.operate_job", "jobs.replay_webhook", "modelstore.operate_model")
MANAGERS = (
    *OPERATORS,
    "jobs.delete_job",
    "jobs.cleanup_job",
    "jobs.view_apikey",
    "jobs.add_apikey",
    "jobs.change_apikey",
    "modelstore.manage_model",
)
GROUPS = {"Viewers": VIEWERS, "Operators": OPERATORS, "Managers": MANAGERS}


def create_groups(**kwargs: Any) -> None:
    """Receiver of post_migrate. A permission of an app that is not migrated yet is added at the next call."""
    group_model = apps.get_model("auth", "Group")
    permission_model = apps.get_model("auth", "Permission")
    using = kwargs.get("using", "default")
    known = {
        f"{app_label}.{codename}": pk
        for app_label, codename, pk in permission_model.objects.using(using).values_list(
            "content_type__app_label", "codename", "pk"
        )
    }
    for name, wanted in GROUPS.items():
        group, _ = group_model.objects.using(using).get_or_create(name=name)
        group.permissions.add(*(known[permission] for permission in wanted if permission in known))
