"""Paths of model files. Names come from the catalogue, from row ids and from digests, never from callers."""

from pathlib import Path

from django.conf import settings

from modelstore import catalog
from modelstore.models import Model
from modelstore.states import Origin

#: The formats that are kept; the first is what a file is called when its content does not say.
SUFFIXES = {"pickle": ".pth", "safetensors": ".safetensors"}


def bundled_file() -> Path:
    """Return the weights that come with the service: part of the code, so never in the models directory."""
    return Path(__file__).resolve().parent.parent / "bundled" / catalog.BUNDLED_FILE


def stored_file(model: Model) -> Path:
    """Return the path of the file that all hosts share. It may be absent."""
    if model.origin == Origin.BUNDLED:
        return bundled_file()
    return Path(settings.MODELS_DIR) / model.file_name


def local_file(model: Model) -> Path:
    """Return the path of this host's own copy, named by content: a replaced model never meets the old copy."""
    cache, store = Path(settings.MODEL_CACHE_DIR), Path(settings.MODELS_DIR)
    if model.origin == Origin.BUNDLED or cache == store:
        return stored_file(model)
    return cache / f"{model.sha256}{Path(model.file_name).suffix}"


def incoming_directory() -> Path:
    """Return the directory of uploads that wait for inspection, in shared storage: another host may inspect them."""
    return Path(settings.MODELS_DIR) / "incoming"


def unexamined_file(model: Model) -> Path:
    """Return where the file of a catalogue's entry lies between its download and its examination."""
    return incoming_directory() / model.file_name


def size_on_disk(model: Model) -> int | None:
    """Return the bytes of the shared file, or None when there is none."""
    if not model.file_name:
        return None
    try:
        return stored_file(model).stat().st_size
    except OSError:
        return None
