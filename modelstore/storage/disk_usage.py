"""Disk usage of the models directory, read from the disk."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from modelstore.models import Model
from modelstore.states import Origin
from modelstore.storage.paths import size_on_disk


@dataclass(frozen=True)
class DirectoryInfo:
    """The models directory; the bundled model is not in it."""

    path: Path
    total_bytes: int
    model_count: int
    free_bytes: int  # of that disk, even where the directory does not exist yet


def directory_info() -> DirectoryInfo:
    """Look at the files of all known models."""
    path = Path(settings.MODELS_DIR)
    sizes = [size_on_disk(model) for model in Model.objects.exclude(origin=Origin.BUNDLED)]
    present = [size for size in sizes if size is not None]
    existing = next(place for place in (path, *path.parents) if place.is_dir())
    return DirectoryInfo(path, sum(present), len(present), shutil.disk_usage(existing).free)
