"""Deleting a model: the disk is freed, unless jobs need it."""

import logging

from django.db import transaction

from audit.log import record
from audit.models import Action
from modelstore import usage
from modelstore.errors import ModelFixed, ModelInUse, ModelUnknown
from modelstore.models import Model
from modelstore.states import PENDING, Origin, State
from modelstore.storage import shared
from modelstore.storage.partial_file import leftovers
from modelstore.storage.paths import incoming_directory, local_file, stored_file, unexamined_file

logger = logging.getLogger(__name__)


def delete(name: str) -> int:
    """Remove a model's files, and the row of an imported one. One that has sources can be downloaded again.

    A running download is called off. Returns the bytes that were freed.

    :raises ModelUnknown, ModelInUse, ModelFixed: nothing changed.
    """
    model = Model.objects.filter(name=name).first()
    if model is None:
        raise ModelUnknown(name)
    if model.origin == Origin.BUNDLED:
        raise ModelFixed(f"{name} comes with the service and cannot be deleted")
    # Counted first: a refused deletion must not hide the model even for a moment, in which a job would fail. Counted
    # again after it was retired: a job that was submitted between the two keeps its model. From then on submissions are
    # refused, since the model is not there.
    if model.state == State.READY:
        _require_unused(name)
    if Model.objects.retire(model):
        try:
            _require_unused(name)
        except ModelInUse:
            Model.objects.unretire(model)
            raise
    with transaction.atomic():
        if model.origin == Origin.IMPORTED:
            Model.objects.filter(pk=model.pk).delete()  # a worker that examines it loses its claim by this
        elif model.state in PENDING:
            Model.objects.cancel(name)
        else:
            Model.objects.forget_failure(model)
        record(Action.MODEL_DELETED, "model", [name])
    freed = _remove_files(model)
    shared.forget(model)
    Model.objects.take_offer(model.pk)
    logger.info("model deleted model=%s bytes=%d", name, freed)
    return freed


def _require_unused(name: str) -> None:
    if jobs := _jobs_that_need(name):
        raise ModelInUse(name, ["1 unfinished job needs it" if jobs == 1 else f"{jobs} unfinished jobs need it"])


def _jobs_that_need(name: str) -> int:
    """Count unfinished jobs of the model itself, and of models that it may be mixed into."""
    mixed_into = Model.objects.filter(denoise_partner=name).values_list("name", flat=True)
    return sum(usage.jobs_that_need(each) for each in (name, *mixed_into))


def _remove_files(model: Model) -> int:
    paths = set()
    if model.file_name:
        paths |= {stored_file(model), local_file(model), *leftovers(stored_file(model))}
        if model.origin == Origin.CATALOG:
            paths |= {unexamined_file(model), *leftovers(unexamined_file(model))}
    if model.incoming:
        paths.add(incoming_directory() / model.incoming)
    freed = 0
    for path in paths:
        try:
            size = path.stat().st_size
            path.unlink()
        except FileNotFoundError:
            continue
        freed += size
    return freed
