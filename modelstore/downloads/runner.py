"""A claimed row to its end: the awaited file is brought, verified and put into its place, or the reason is recorded.

The same road for the `io` cluster and for `manage.py download_models`: the claim decides who works, so one download
runs per model however many ask.
"""

import logging
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection, transaction

from modelstore import dispatch
from modelstore.catalog import DEFAULT_PROVIDER, Provider
from modelstore.catalogs.entry import ELSEWHERE
from modelstore.downloads.download import Bounds, Source, fetch
from modelstore.downloads.lease import LeaseKeeper
from modelstore.errors import OFFLINE_ADVICE, DownloadFailed, DownloadStopped, ImportRefused, StorageUnavailable
from modelstore.imports import importing, quarantine
from modelstore.models import Model
from modelstore.states import Origin, State
from modelstore.storage import checksums, shared
from modelstore.storage.paths import stored_file, unexamined_file

logger = logging.getLogger(__name__)

#: Downloads side by side, on all hosts together: fewer than a host's `io` workers, so that webhooks never wait for one.
SIDE_BY_SIDE = 3

_at_work: Model | None = None


def run_waiting() -> None:
    """Work on waiting rows until none waits, or enough others work."""
    while (model := Model.objects.claim(worker_name(), at_most=SIDE_BY_SIDE)) is not None:
        work_on(model)
    quarantine.remove_leftovers()


def sweep() -> int:
    """Requeue lost downloads, and ring again for waiting rows whose ring was lost. Return the number lost."""
    lost = Model.objects.reclaim_lost()
    with transaction.atomic():
        for _ in range(Model.objects.take_unheard()):
            dispatch.ring()
    return lost


def worker_name() -> str:
    """Return host and process id, for operators."""
    return f"{socket.gethostname()}:{os.getpid()}"


def hand_back() -> None:
    """Give back the row that this process works on, if any; from another thread, when the process is told to stop.

    The working thread does so itself on its way out, unless it is in a call that no signal ends (a resolver without a
    network, a disk that hangs) until the process is killed: then a mere stop would count as a worker that died.
    """
    model = _at_work
    if model is not None:
        _give_back(model)
        connection.close()  # this thread's own


def _give_back(model: Model) -> None:
    with transaction.atomic():
        if Model.objects.release(model):
            dispatch.ring()


def work_on(model: Model, on_progress: Callable[[int], None] | None = None) -> None:
    """Bring a claimed model to its end. What goes wrong is recorded in the row; the row tells how it went.

    :param on_progress: called with the bytes that are here, often.
    :raises BaseException: the process is asked to stop; the row was given back and rung for.
    """
    global _at_work  # noqa: PLW0603 - a process works on one model at a time, in its main thread
    logger.info("model download started model=%s worker=%s attempt=%d", model.name, model.worker, model.attempts)
    _at_work = model
    try:
        with LeaseKeeper(model) as keeper:
            if model.origin == Origin.IMPORTED:
                importing.accept_upload(model, keeper.confirm)
            else:
                _download(model, keeper, on_progress)
    except DownloadStopped as stop:
        logger.info("model download stopped model=%s reason=%s", model.name, stop)
    except (DownloadFailed, ImportRefused) as failure:
        offline = isinstance(failure, DownloadFailed) and failure.unreachable
        Model.objects.mark_failed(model, f"{failure}. {OFFLINE_ADVICE}" if offline else str(failure))
        logger.warning("model failed model=%s error=%s", model.name, failure)
    except StorageUnavailable as error:
        Model.objects.mark_failed(model, str(error))
        logger.warning("model failed model=%s error=%s", model.name, error.cause)
    except OSError as error:
        Model.objects.mark_failed(model, f"the models directory cannot be written: {error.strerror or error}")
        logger.exception("model failed model=%s", model.name)
    except Exception:  # the worker's edge: whatever happens, the row must record it
        Model.objects.mark_failed(model, "internal error; the log of the worker has the details")
        logger.exception("model failed model=%s", model.name)
    except BaseException:
        _give_back(model)
        raise
    finally:
        _at_work = None


def sources_of(model: Model) -> list[Source]:
    """Return the sources of a file: the preferred provider's first, then the others'."""
    wanted = model.provider or DEFAULT_PROVIDER
    pairs = sorted(model.sources, key=lambda pair: pair[0] != wanted)  # a stable sort keeps a provider's own order
    return [_source(provider, path) for provider, path in pairs]


def _source(provider: str, path: str) -> Source:
    """Return where a pair leads: below a base address of the settings, or anywhere, but then to public hosts only."""
    if provider == ELSEWHERE:
        return Source(urlsplit(path).hostname or ELSEWHERE, path, public_only=not settings.MODEL_ALLOW_PRIVATE)
    bases = {Provider.GITHUB: settings.MODEL_GITHUB_URL, Provider.HUGGINGFACE: settings.MODEL_HUGGINGFACE_URL}
    return Source(_label(provider, path), f"{bases[Provider(provider)]}/{path}")


def _label(provider: str, path: str) -> str:
    return provider if provider == Provider.GITHUB else f"{provider} {path.split('/resolve/', 1)[0]}"


def _download(model: Model, keeper: LeaseKeeper, on_progress: Callable[[int], None] | None) -> None:
    destination = unexamined_file(model) if model.origin == Origin.CATALOG else stored_file(model)
    shared.fetch(model)
    for place in (stored_file(model), destination):
        if checksums.is_genuine(place, model.size_bytes, model.sha256):
            _finish(model, keeper, place, source="found in the models directory", notes="")
            return
    _require_space(model)

    def progress(received_bytes: int) -> None:
        keeper.progress(received_bytes)
        if on_progress is not None:
            on_progress(received_bytes)

    sources = sources_of(model)
    notes = ""
    if model.provider and not any(provider == model.provider for provider, _ in model.sources):
        notes = f"{model.provider} does not have this model"
    fetched = fetch(
        sources,
        destination,
        size_bytes=model.size_bytes,
        sha256=model.sha256,
        bounds=Bounds(
            total_seconds=settings.MODEL_DOWNLOAD_TIMEOUT_SECONDS,
            stall_seconds=settings.MODEL_DOWNLOAD_STALL_SECONDS,
            retries=settings.MODEL_DOWNLOAD_RETRIES,
        ),
        token=str(model.token).replace("-", ""),
        on_progress=progress,
        stopped=keeper.lost,
    )
    notes = "; ".join([*filter(None, [notes]), *fetched.notes])
    _finish(model, keeper, destination, source=fetched.source.url, notes=notes)


def _finish(model: Model, keeper: LeaseKeeper, place: Path, *, source: str, notes: str) -> None:
    """Make the model ready whose genuine file lies at ``place``: a catalogue's is examined first, as imports are."""
    keeper.progress(model.size_bytes)
    if model.origin == Origin.CATALOG:
        importing.accept_listed(model, place, keeper.confirm, source=source[:500], notes=notes)
        return
    shared.share(place, model.sha256, patience=shared.PATIENCE_SECONDS)
    if not Model.objects.mark_ready(model, source=source[:500], notes=notes, received_bytes=model.size_bytes):
        # Cancelled at the last moment. The file is genuine but no longer wanted: delete it, unless another worker is
        # downloading the same file or has finished it.
        if Model.objects.filter(pk=model.pk, state=State.MISSING).exists():
            stored_file(model).unlink(missing_ok=True)
        raise DownloadStopped("cancelled at the end")
    logger.info("model ready model=%s source=%s", model.name, source)


def _require_space(model: Model) -> None:
    directory = stored_file(model).parent
    (unexamined_file(model).parent if model.origin == Origin.CATALOG else directory).mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(directory).free
    if free < model.size_bytes:
        raise DownloadFailed([f"the disk is full: {model.size_bytes} bytes are needed, {free} are free"])
