"""Workers and disks as the Operations page shows them."""

from pathlib import Path
from typing import Any

import psutil
from django.conf import settings
from django.utils.translation import gettext as _

from jobs.admin import formatting
from jobs.models import Worker
from monitoring import system

#: Share of a disk above which its card turns red.
DISK_HIGH_PERCENT = 90


def workers() -> list[tuple[str, list[dict[str, Any]]]]:
    """Return the workers that have reported: (kind in words, rows for the template), pictures' workers first."""
    alive = set(Worker.objects.alive().values_list("pk", flat=True))
    kinds: dict[str, list[dict[str, Any]]] = {}
    for worker in Worker.objects.order_by("cluster", "host", "pid"):
        kinds.setdefault(worker.cluster, []).append(_worker(worker, worker.pk in alive))
    names = {"gpu": _("gpu workers: pictures"), "io": _("io workers: downloads, webhooks, clean-up")}
    return [(names.get(cluster, cluster), rows) for cluster, rows in kinds.items()]


def disks() -> list[dict[str, Any]]:
    """Return this host's disks of pictures and models, each once."""
    found: dict[int, dict[str, Any]] = {}
    pictures = _("Pictures") if settings.STORAGE_ADDRESS is None else _("Uploads and copies of pictures")
    for label, directory in ((pictures, settings.MEDIA_ROOT), (_("Models"), settings.MODELS_DIR)):
        path = system.existing(Path(directory))
        device = path.stat().st_dev
        if device in found:
            found[device]["labels"].append(label)
            continue
        usage = psutil.disk_usage(str(path))  # its percentage leaves out what only root may use, as df does
        percent = round(usage.percent)
        found[device] = {
            "labels": [label],
            "free": formatting.byte_size(usage.free),
            "total": formatting.byte_size(usage.total),
            "percent": percent,
            "share": percent * 10,
            "high": percent >= DISK_HIGH_PERCENT,
        }
    return list(found.values())


def _worker(worker: Worker, is_alive: bool) -> dict[str, Any]:
    state = ("busy" if worker.current_job else "alive") if is_alive else "silent"
    total = worker.memory_total or 0
    return {
        "row": worker,
        "state": state,
        "label": {"busy": _("at work"), "alive": _("idle"), "silent": _("silent")}[state],
        "seen": formatting.age(worker.seen_at),
        "running": formatting.age(worker.started_at),
        "memory": f"{formatting.byte_size(worker.memory_used)} / {formatting.byte_size(total)}"
        if total
        else formatting.DASH,
        "memory_share": round(1000 * (worker.memory_used or 0) / total) if total else 0,
    }
