"""Weights in the bucket of STORAGE, for hosts that share no directory: each fetches a file once, and verifies it.

Without STORAGE the models directory itself is what hosts share, and nothing here does anything.
"""

import fcntl
import logging
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelstore.backoff import Backoff
from modelstore.errors import StorageUnavailable
from modelstore.models import Model
from modelstore.states import Origin, State
from modelstore.storage import checksums
from modelstore.storage.partial_file import Part
from modelstore.storage.paths import incoming_directory, size_on_disk, stored_file
from modelstore.stores import chosen

logger = logging.getLogger(__name__)

_KIND = "models"
_BLOCK = 1 << 20
#: Seconds for which a worker tries to store what it has downloaded or examined.
PATIENCE_SECONDS = 120.0
#: Seconds for which the bucket's answer about one file is believed, where it has it.
_FRESH_SECONDS = 60.0
#: Seconds that a process waits for another one of this host that fetches.
_LOCK_SECONDS = 1800.0

#: Seconds for which a bucket that did not answer is not asked again.
_PASS_SECONDS = 10.0

_seen: dict[str, float] = {}
_away_until = 0.0


def is_used() -> bool:
    """Return whether hosts share weights through a bucket."""
    return chosen.weights() is not None


def has(model: Model) -> bool:
    """Return whether other hosts can fetch the model's file. Cheap: seldom asks.

    :raises StorageUnavailable: that cannot be known now.
    """
    store, name = chosen.weights(), _name(model)
    if store is None or not name:
        return False
    if time.monotonic() - _seen.get(name, -_FRESH_SECONDS) < _FRESH_SECONDS:
        return True
    global _away_until  # noqa: PLW0603 - a list of models asks for each, and waits for a hanging bucket once
    if time.monotonic() < _away_until:
        raise StorageUnavailable("The object storage does not answer", "it did not a moment ago")
    try:
        stat = store.stat(name)
    except StorageUnavailable:
        _away_until = time.monotonic() + _PASS_SECONDS
        raise
    if stat is None or stat.bytes != model.size_bytes:
        return False
    _seen[name] = time.monotonic()
    return True


def share(path: Path, sha256: str, *, patience: float = 0.0) -> None:
    """Store a genuine file for the other hosts, unless it is there.

    :param patience: seconds for which it is tried again; 0 where somebody waits.
    :raises StorageUnavailable: it could not be stored.
    """
    name = f"{_KIND}/{sha256}{path.suffix}"
    until, backoff = time.monotonic() + patience, Backoff(1.0, 10.0)
    while True:
        try:
            return _put(path, name)
        except StorageUnavailable as error:
            if time.monotonic() >= until:
                raise
            logger.warning("weights not stored yet name=%s reason=%s", name, error.cause)
        time.sleep(backoff.next())


def share_all() -> None:
    """Store what this host alone has: files of before STORAGE was set, brought while it was away, or damaged there.

    A model that failed since its object was damaged is ready again then.
    """
    if chosen.weights() is None:
        return
    accepted = Model.objects.filter(state__in=(State.READY, State.FAILED), ready_at__isnull=False)
    for model in accepted.exclude(origin=Origin.BUNDLED):
        path = stored_file(model)
        if size_on_disk(model) != model.size_bytes or (model.state == State.READY and has(model)):
            continue
        if checksums.is_genuine(path, model.size_bytes, model.sha256):
            share(path, model.sha256)
            logger.info("weights stored for the other hosts model=%s bytes=%d", model.name, model.size_bytes)
            if model.state == State.FAILED and Model.objects.adopt(model, model.source):
                logger.info("model ready again, this host has its file model=%s", model.name)


def fetch(model: Model) -> bool:
    """Bring the model's file to this host's models directory. False where the bucket does not have the right bytes.

    :raises StorageUnavailable: the bucket is away; :raises OSError: this host's disk refuses.
    """
    store, name = chosen.weights(), _name(model)
    if store is None or not name:
        return False
    path = stored_file(model)
    with _one_at_a_time(path.parent):
        if checksums.is_genuine(path, model.size_bytes, model.sha256):
            return True  # another process of this host was faster
        try:
            file = store.open(name)
        except FileNotFoundError:
            _seen.pop(name, None)
            return False
        with file, Part(path, uuid.uuid4().hex) as part:
            try:
                while block := file.read(_BLOCK):
                    part.write(block)
                if part.sha256 == model.sha256:
                    part.accept()
                    logger.info("fetched weights to this host model=%s bytes=%d", model.name, part.length)
                    return True
            finally:
                part.discard()
        logger.error("weights in the object storage were damaged, deleted model=%s", model.name)
        _seen.pop(name, None)
        store.delete([name])
        return False


def forget(model: Model) -> None:
    """Delete a model's file, and its upload, from the bucket. Raises nothing: what stays is logged."""
    store, name = chosen.weights(), _name(model)
    if store is not None:
        _seen.pop(name, None)
        store.delete([each for each in (name, model.incoming and _incoming(model.incoming)) if each])


def share_incoming(path: Path) -> None:
    """Store an upload for the host that will examine it.

    :raises StorageUnavailable: it could not be stored now.
    """
    _put(path, _incoming(path.name))


def fetch_incoming(name: str) -> None:
    """Bring an upload to this host, where another one received it. What is not there is looked for by the caller.

    :raises StorageUnavailable: the bucket is away.
    """
    store, path = chosen.weights(), incoming_directory() / name
    if store is None or path.is_file():
        return
    try:
        with store.local(_incoming(name)) as fetched:
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
            shutil.copyfile(fetched, part)
            part.replace(path)
    except FileNotFoundError:
        return


def forget_incoming(name: str) -> None:
    """Delete an upload from the bucket: it was examined. Raises nothing."""
    store = chosen.weights()
    if store is not None and name:
        store.delete([_incoming(name)])


def _put(path: Path, name: str) -> None:
    store = chosen.weights()
    if store is None:
        return
    size = path.stat().st_size
    stat = store.stat(name)
    if stat is not None and stat.bytes == size:
        return
    draft = store.draft(f"{_KIND}/{uuid.uuid4().hex}.part")
    try:
        try:
            os.link(path, draft)
        except OSError:  # another disk
            shutil.copyfile(path, draft)
        store.put(draft, name)
    finally:
        draft.unlink(missing_ok=True)


def _name(model: Model) -> str:
    """Return the storage name of a model's file, by content; "" where it has none or comes with the service."""
    if model.origin == Origin.BUNDLED or not model.sha256 or not model.file_name:
        return ""
    return f"{_KIND}/{model.sha256}{Path(model.file_name).suffix}"


def _incoming(name: str) -> str:
    return f"{_KIND}/incoming/{name}"


@contextmanager
def _one_at_a_time(directory: Path) -> Iterator[None]:
    """Hold the lock of this host's models directory, so that the processes of a host fetch a file once."""
    directory.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + _LOCK_SECONDS
    with (directory / ".fetch.lock").open("a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    advice = "Another process of this host fetches weights and does not end: look at its log"
                    raise StorageUnavailable(advice) from None
            time.sleep(0.2)
        yield
