"""The stores that the settings choose."""

from functools import cache
from pathlib import Path

from django.conf import settings

from modelstore.identity import service_id
from modelstore.stores.address import Address
from modelstore.stores.base import Store
from modelstore.stores.bucket import Bucket
from modelstore.stores.directory import Directory


def pictures() -> Store:
    """Return the store of jobs' files."""
    address: Address | None = settings.STORAGE_ADDRESS
    directory = Path(settings.MEDIA_ROOT)
    return Directory(directory) if address is None else _bucket(address, directory)


def weights() -> Store | None:
    """Return the bucket through which hosts share weights; None where they share MODELS_DIR."""
    address: Address | None = settings.STORAGE_ADDRESS
    return None if address is None else _bucket(address, Path(settings.MEDIA_ROOT))


@cache
def _bucket(address: Address, scratch: Path) -> Bucket:
    return Bucket(address, scratch, service_id)
