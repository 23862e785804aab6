"""From a model's name to weights that can be used: for the web, whether; for a worker, where.

Importing this never imports torch.
"""

import logging
import os
import uuid
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import transaction

from modelstore import catalog, dispatch
from modelstore.errors import OFFLINE_ADVICE, DenoiseUnsupported, ModelNotReady, ModelUnknown, StorageUnavailable
from modelstore.models import Model
from modelstore.networks.spec import NetworkSpec
from modelstore.states import DOWNLOADABLE, PENDING, Origin, State
from modelstore.storage import checksums, shared
from modelstore.storage.partial_file import Part
from modelstore.storage.paths import local_file, size_on_disk, stored_file

logger = logging.getLogger(__name__)

_COMING = "Its file was damaged and is being fetched again; try again in a minute"


@dataclass(frozen=True)
class LocalWeights:
    """Files on this host, and what they must hold.

    The network is ``blend * path + (1 - blend) * second``; alone where second is None.

    ``path`` differs between models of different content, so it (with second and blend) may key a pool of networks.
    """

    name: str
    path: Path
    second: Path | None
    blend: float
    scale: int
    sha256: str  # of the file at ``path``
    second_sha256: str = ""  # of the file at ``second``
    spec: NetworkSpec | None = None  # what the model's examination found; None: nothing


def require_usable(name: str, denoise_strength: float | None = None) -> Model:
    """Return the model, when a job that names it can run now. Cheap: one or two queries and a stat.

    :param denoise_strength: None or 1 for the model alone; below 1 its denoising partner must be usable too.
    :raises ModelUnknown: when no model has this name.
    :raises ModelNotReady: when its weights, or its partner's, are not here; the message says how to get them.
    :raises DenoiseUnsupported: when the model has no partner.
    """
    model = _find(name)
    _require_ready(model)
    if denoise_strength is not None:
        if not model.denoise_partner:
            raise DenoiseUnsupported(name)
        if denoise_strength < 1:
            _require_ready(_find(model.denoise_partner))
    return model


def count_usable() -> int:
    """Count the models that can be used now, for readiness. A query, and a stat for each.

    Where weights are in a bucket, rows are believed: a probe does not wait for a bucket that hangs, and another check
    of readiness tells of it.
    """
    if shared.is_used():
        return Model.objects.filter(state=State.READY).count()
    return sum(is_available(model) for model in Model.objects.filter(state=State.READY))


def is_available(model: Model) -> bool:
    """Return True if the model is ready and its file is on the disk, or in the bucket, with the right size."""
    if model.state != State.READY:
        return False
    if size_on_disk(model) == model.size_bytes:
        return True
    try:
        return shared.has(model)
    except StorageUnavailable:
        return True  # as its row says; who needs the file now is told


def weights_for(name: str, denoise_strength: float | None = None) -> LocalWeights:
    """Return the files of a model on this host, for workers, which check the digests of the bytes that they load.

    Here a file is read only when it changed since this process read it. For damage found at loading, see `reread`.

    A damaged copy of this host is replaced from the shared storage; a damaged shared file is requested again.

    :raises ModelUnknown, ModelNotReady, DenoiseUnsupported: as `require_usable`; ModelNotReady.coming tells whether
        waiting can help.
    """
    model = require_usable(name, denoise_strength)
    path = _verified_copy(model)
    if denoise_strength is None or denoise_strength >= 1:
        return LocalWeights(name, path, None, 1.0, model.scale, model.sha256, spec=model.spec)
    partner = _find(model.denoise_partner)
    second = _verified_copy(partner)
    return LocalWeights(name, path, second, denoise_strength, model.scale, model.sha256, partner.sha256, model.spec)


def reread(local: LocalWeights) -> None:
    """Check files whose bytes did not have the accepted digests when they were loaded, and handle the damaged ones.

    The next `weights_for` copies them anew to this host, or waits for a download, or says that they are missing.
    """
    for model in Model.objects.listed().filter(sha256__in=[local.sha256, local.second_sha256]):
        path = local_file(model)
        if path not in (local.path, local.second) or checksums.is_genuine(
            path, model.size_bytes, model.sha256, reread=True
        ):
            continue
        if path == stored_file(model) and not _can_fetch(model):
            report_damage(model)
        else:
            logger.warning("this host's copy of the weights was damaged model=%s", model.name)
            path.unlink(missing_ok=True)


def is_intact(model: Model) -> bool:
    """Read the shared file of a ready model again; return whether it is what was accepted. Changes nothing."""
    return checksums.is_genuine(stored_file(model), model.size_bytes, model.sha256, reread=True)


def verify(model: Model) -> bool:
    """Read the shared file of a ready model again. When it is damaged it is deleted and asked for again (or fails)."""
    if is_intact(model) or shared.fetch(model):
        Model.objects.mark_verified(model)
        return True
    report_damage(model)
    return False


def report_damage(model: Model) -> None:
    """Mark the model damaged: the shared file is gone or is not what was accepted."""
    fixable = model.origin in DOWNLOADABLE
    error = "its file was damaged" if fixable else "its file is damaged and must be brought again"
    with transaction.atomic():
        if not Model.objects.mark_damaged(model, error):
            return  # another process reported it first
        if fixable:
            dispatch.ring()
    logger.error("model damaged model=%s origin=%s", model.name, model.origin)
    if model.origin != Origin.BUNDLED:  # the bundled file is part of the code and not ours to delete
        stored_file(model).unlink(missing_ok=True)


def _find(name: str) -> Model:
    model = Model.objects.listed().filter(name=name).first()
    if model is None:
        raise ModelUnknown(name, known=Model.objects.listed().values_list("name", flat=True))
    return model


def _require_ready(model: Model) -> None:
    if is_available(model):
        return
    if model.state in PENDING:
        done = f" ({model.percent} %)" if model.percent is not None else ""
        raise ModelNotReady(model.name, f"It is being downloaded{done}; try again in a minute", coming=True)
    if model.state == State.READY:
        report_damage(model)
        if model.origin in DOWNLOADABLE:
            raise ModelNotReady(model.name, _COMING, coming=True)
    if model.origin in DOWNLOADABLE:
        advice = "Download it first using /api/v1/models/download"
        if model.state == State.FAILED:
            advice = f"Download it first using /api/v1/models/download; the last download failed: {model.error}"
        elif not Model.objects.filter(state=State.READY).exists():
            advice = (
                "Download it first using /api/v1/models/download or "
                f"`python manage.py download_models {model.name}`. {OFFLINE_ADVICE}"
            )
        raise ModelNotReady(model.name, advice)
    if model.origin == Origin.BUNDLED:
        raise ModelNotReady(model.name, f"The file {catalog.BUNDLED_FILE} of this installation is missing or damaged")
    raise ModelNotReady(model.name, "Its file is missing or damaged; import it again")


def _verified_copy(model: Model) -> Path:
    local, common = local_file(model), stored_file(model)
    if checksums.may_be_genuine(local, model.size_bytes, model.sha256):
        return local
    if _fetched(model) and local == common:
        return local
    if local != common and _copy(model, common, local):
        return local
    report_damage(model)
    raise ModelNotReady(model.name, _COMING, coming=model.origin in DOWNLOADABLE)


def _fetched(model: Model) -> bool:
    """Bring the file from the bucket, where there is one and this host lacks it."""
    if checksums.may_be_genuine(stored_file(model), model.size_bytes, model.sha256):
        return True
    return shared.fetch(model)


def _can_fetch(model: Model) -> bool:
    try:
        return shared.has(model)
    except StorageUnavailable:
        return True  # nothing is known to be wrong with the shared one


def _copy(model: Model, common: Path, local: Path) -> bool:
    """Copy the shared file to this host. Return False when the shared bytes are not the right ones."""
    with Part(local, uuid.uuid4().hex) as part:
        try:
            with common.open("rb") as file:
                while block := file.read(1 << 20):
                    part.write(block)
        except OSError as error:
            logger.warning("cannot read shared weights model=%s error=%s", model.name, error)
            part.discard()
            return False
        if part.sha256 != model.sha256:
            part.discard()
            return False
        part.accept()
    logger.info("copied weights to this host model=%s bytes=%d", model.name, model.size_bytes)
    _prune(local.parent)
    return checksums.is_genuine(local, model.size_bytes, model.sha256)


def _prune(cache: Path) -> None:
    """Remove this host's copies of models that are no longer known under that content."""
    if cache == Path(settings.MODELS_DIR):
        return
    known = set(Model.objects.listed().values_list("sha256", flat=True))
    for entry in os.scandir(cache):
        stem = entry.name.split(".", 1)[0]
        if entry.is_file() and len(stem) == 64 and stem not in known:
            Path(entry.path).unlink(missing_ok=True)
