"""Weights for work without the service: by path, bundled, or official, with no database; imported ones by their row."""

from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import DatabaseError

from jobs import chains
from jobs.engine.types import Weights
from modelstore import catalog
from modelstore.errors import DenoiseUnsupported, ModelNotReady, ModelStoreError
from modelstore.formatting import closest
from modelstore.storage.checksums import is_genuine
from modelstore.storage.paths import bundled_file
from modelstore.storage.weights import weights_for

_WEIGHTS_SUFFIXES = (".pth", ".pt", ".ckpt", ".safetensors")


@dataclass(frozen=True)
class Chosen:
    """Weights and the network's own scale; None where the file has yet to be read to tell."""

    weights: Weights
    scale: int | None


class UnknownHere(ModelStoreError):
    """The name is none that is known without the service's database, and that cannot be asked."""

    def __init__(self, model: str) -> None:
        names = [catalog.BUNDLED_NAME, *catalog.OFFICIAL]
        near, known = closest(model, names), ", ".join(names)
        meant = f' Did you mean "{near}"?' if near else ""
        super().__init__(
            f"Model not found: {model}.{meant} Without the service's database, which cannot be asked here, these are "
            f"known: {known}; and the path of any .pth or .safetensors file"
        )


def choose_chain(text: str, denoise_strength: float | None) -> tuple[Chosen, ...]:
    """Return the weights of all that ``text`` names: a model or a file, or up to three with + between them.

    A file whose path holds a + is taken for one.

    :raises ChainRefused: when they are too many, or one is missing. :raises ModelStoreError: as `choose`.
    """
    names = (text,) if Path(text).is_file() else chains.parse(text)
    return chains.resolved(names, denoise_strength, choose)


def choose(model: str, denoise_strength: float | None) -> Chosen:
    """Return the weights that ``model`` names: a path to a weights file, or the name of a model.

    :param denoise_strength: for models that are published as a pair: 1 is the model alone, 0 its partner alone.
    :raises ModelStoreError: when there is no such model, its file is not here, or it has no denoise strength; the
        message says what can be done.
    """
    path = Path(model)
    if path.suffix.lower() in _WEIGHTS_SUFFIXES:
        if not path.is_file():
            raise ModelNotReady(model, "There is no such file")
        if denoise_strength is not None:
            raise DenoiseUnsupported(model)
        return Chosen(Weights(path.stem, path), None)
    if model == catalog.BUNDLED_NAME:
        if denoise_strength is not None:
            raise DenoiseUnsupported(model)
        if not bundled_file().is_file():
            raise ModelNotReady(model, f"The file {catalog.BUNDLED_FILE} of this installation is missing")
        return Chosen(Weights(model, bundled_file()), catalog.BUNDLED_SCALE)
    if model in catalog.OFFICIAL:
        return _official(catalog.OFFICIAL[model], denoise_strength)
    return _imported(model, denoise_strength)


def _official(entry: catalog.CatalogEntry, denoise_strength: float | None) -> Chosen:
    path = _verified(entry)
    if denoise_strength is None or not entry.denoise_partner:
        if denoise_strength is not None:
            raise DenoiseUnsupported(entry.name)
        return Chosen(Weights(entry.name, path, sha256=entry.sha256), entry.scale)
    partner = catalog.OFFICIAL[entry.denoise_partner]
    second = _verified(partner) if denoise_strength < 1 else None
    return Chosen(Weights(entry.name, path, second, denoise_strength, entry.sha256, partner.sha256), entry.scale)


def _verified(entry: catalog.CatalogEntry) -> Path:
    path = Path(settings.MODELS_DIR) / entry.file_name
    if not is_genuine(path, entry.size_bytes, entry.sha256):
        state = "is not the official one" if path.exists() else "is not here"
        raise ModelNotReady(
            entry.name,
            f"Its file {path} {state}. Get it with `python manage.py download_models {entry.name}`, or bring it and "
            f"run `python manage.py import_model {entry.file_name}`; or use "
            f"--model {catalog.BUNDLED_NAME}, which needs none",
        )
    return path


def _imported(model: str, denoise_strength: float | None) -> Chosen:
    try:
        local = weights_for(model, denoise_strength)
    except DatabaseError as error:
        raise UnknownHere(model) from error
    digests = (local.sha256, local.second_sha256)
    return Chosen(Weights(local.name, local.path, local.second, local.blend, *digests, local.spec), local.scale)
