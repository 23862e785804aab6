"""The stores that the settings choose."""

from pathlib import Path

from django.conf import settings

from modelstore.stores.base import Store
from modelstore.stores.directory import Directory


def pictures() -> Store:
    """Return the store of jobs' files."""
    return Directory(Path(settings.MEDIA_ROOT))
