"""Models that people bring: from a file to a row that is ready, or to a clear refusal with nothing kept.

An official file is known by its digest and needs no examination. Any other, also one that a catalogue lists, is opened
in a process of its own (inspection.py), where its network is deduced from its tensors and small pictures are run
through it.
"""

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from audit.log import record
from audit.models import Action
from modelstore import catalog, dispatch
from modelstore.errors import DownloadStopped, ImportRefused
from modelstore.imports.quarantine import Incoming, receive, settle
from modelstore.models import Model
from modelstore.names import checked
from modelstore.states import Origin, State, Use
from modelstore.storage import checksums, shared
from modelstore.storage.paths import SUFFIXES, incoming_directory, stored_file, unexamined_file

logger = logging.getLogger(__name__)

#: Importing torch takes seconds, and so does measuring most networks, the largest a few minutes of a processor. On a
#: busy machine the clock says little, so the child bounds its processor time, too (inspection.py).
EXAMINATION_SECONDS = 1800
PROCESSOR_SECONDS = 900
_CODE_ROOT = Path(__file__).resolve().parent.parent.parent


def bring(
    blocks: Iterable[bytes],
    name: str,
    *,
    default_name: str = "",
    description: str = "",
    licence: str = "",
    use: str = "",
) -> Model:
    """Take a file and make a row that waits for its examination; an official file is ready at once.

    A file that a catalogue lists becomes that entry's, without a download.

    :param name: empty to let the digest tell which known model it is, and to take ``default_name`` when it is none.
    :param use: a value of `Use`; empty to let the examination tell: restoration at scale 1, else photos.
    :raises NameRefused, ImportRefused: nothing was kept.
    """
    if name:
        _require_free(checked(name))
    incoming = receive(blocks)
    try:
        with transaction.atomic():
            model = _accept(
                incoming, name, default_name=default_name, description=description, licence=licence, use=use
            )
            record(Action.MODEL_IMPORTED, "model", [model.name], sha256=incoming.sha256)
        return model
    except BaseException:
        incoming.path.unlink(missing_ok=True)
        raise


def _accept(incoming: Incoming, name: str, *, default_name: str, description: str, licence: str, use: str) -> Model:
    """Make the row of a file that was received, or find the one that it belongs to. Parameters: `bring`."""
    official = catalog.by_digest(incoming.sha256)
    if official is not None and name in ("", official.name):
        return _accept_official(official, incoming)
    listed = Model.objects.filter(origin=Origin.CATALOG, sha256=incoming.sha256).first()
    if listed is not None and name in ("", listed.name):
        return _accept_listed(listed, incoming)
    if not name:
        name = checked(default_name)
        _require_free(name)
    if name in catalog.OFFICIAL:
        entry = catalog.OFFICIAL[name]
        raise ImportRefused(
            f"the file is not the official {name}: it has {incoming.size_bytes} bytes and SHA-256 "
            f"{incoming.sha256[:12]}…, the official one {entry.size_bytes} bytes and {entry.sha256[:12]}…"
        )
    if (entry_row := Model.objects.filter(name=name, origin=Origin.CATALOG).first()) is not None:
        raise ImportRefused(
            f"the catalogue lists {name} as another file: SHA-256 {entry_row.sha256[:12]}…, not "
            f"{incoming.sha256[:12]}…; choose another name"
        )
    return _enqueue(incoming, name, description, licence, use)


def accept_upload(claim: Model, still_mine: Callable[[], bool]) -> None:
    """Examine the uploaded file of a claimed row and make the row ready.

    :raises ImportRefused: the file is no usable model; it was deleted.
    :raises DownloadStopped: the claim was lost meanwhile.
    """
    path = incoming_directory() / claim.incoming
    if claim.incoming:
        shared.fetch_incoming(claim.incoming)
    if not claim.incoming or not path.is_file():
        path = _already_settled(claim)
    network = _examined(path, still_mine, incoming=claim.incoming)
    destination = _destination(claim, _suffix(path))
    _settle_as(
        claim,
        path,
        destination,
        network,
        file_name=destination.name,
        sha256=claim.network["upload_sha256"],
        use=claim.use or (Use.RESTORE if network["scale"] == 1 else Use.PHOTO),
    )


def accept_listed(claim: Model, path: Path, still_mine: Callable[[], bool], **facts: Any) -> None:
    """Examine the genuine file of a catalogue's entry, at ``path``, and make its row ready.

    :param facts: what else is known by now: source, notes.
    :raises ImportRefused, DownloadStopped: as `accept_upload`.
    """
    network = _examined(path, still_mine)
    _settle_as(claim, path, stored_file(claim), network, **facts)


def _examined(path: Path, still_mine: Callable[[], bool], incoming: str = "") -> dict[str, Any]:
    try:
        network = examine(path)
    except ImportRefused:
        if still_mine():
            path.unlink(missing_ok=True)
            shared.forget_incoming(incoming)
        raise
    if not still_mine():
        raise DownloadStopped("the import was cancelled")
    return network


def _settle_as(
    claim: Model,
    path: Path,
    destination: Path,
    network: dict[str, Any],
    **facts: Any,
) -> None:
    """Put an examined file into its place and make its row ready."""
    if path != destination:
        settle(path, destination)
    shared.share(destination, facts.get("sha256", claim.sha256), patience=shared.PATIENCE_SECONDS)
    accepted = Model.objects.mark_ready(
        claim,
        architecture=network["architecture"],
        scale=network["scale"],
        description=claim.description or _described(network["scale"], claim.origin),
        network=network,
        received_bytes=claim.size_bytes,
        **facts,
    )
    if not accepted:
        # Another worker may have finished the same file, or be about to: it is deleted only where nobody wants it.
        if not Model.objects.filter(pk=claim.pk).exclude(state=State.MISSING).exists():
            destination.unlink(missing_ok=True)
        raise DownloadStopped("the import was cancelled")
    shared.forget_incoming(claim.incoming)
    logger.info(
        "model imported model=%s architecture=%s scale=%d", claim.name, network["architecture"], network["scale"]
    )


def forget_refused(model: Model) -> None:
    """Delete the row of an upload that was refused; its file is gone already."""
    Model.objects.filter(pk=model.pk, origin=Origin.IMPORTED, state=State.FAILED, sha256="").delete()


def _already_settled(claim: Model) -> Path:
    """Return the file in its final place, where a worker moved it that died before it could update the row.

    :raises ImportRefused: when it is not there either, or is not what was uploaded; nothing is left.
    """
    for suffix in SUFFIXES.values():
        path = _destination(claim, suffix)
        if checksums.is_genuine(path, claim.size_bytes, claim.network.get("upload_sha256", "")):
            return path
        path.unlink(missing_ok=True)
    raise ImportRefused("the uploaded file is gone; import it again")


def _destination(claim: Model, suffix: str) -> Path:
    return stored_file(Model(origin=Origin.IMPORTED, file_name=f"imported-{claim.pk}{suffix}"))


def _described(scale: int, origin: str) -> str:
    where = " (imported)" if origin == Origin.IMPORTED else ""
    return f"{scale}x upscaling{where}" if scale > 1 else f"Restoration at the same size{where}"


def examine(path: Path) -> dict[str, Any]:
    """Return the network that a file holds, as a dictionary of NetworkSpec, found out in a child process.

    :raises ImportRefused: when it holds none that can be used.
    """
    threads = str(max(1, (os.cpu_count() or 1) // 2))  # the others compute jobs
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": threads, "PYTHONPATH": str(_CODE_ROOT)}
    command = [sys.executable, "-m", "modelstore.imports.inspection", str(path), str(PROCESSOR_SECONDS)]
    try:
        process = subprocess.run(
            command,
            check=False,
            env=environment,
            cwd=_CODE_ROOT,
            capture_output=True,
            text=True,
            timeout=EXAMINATION_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise ImportRefused(f"examining the file took longer than {EXAMINATION_SECONDS} s") from None
    lines = process.stdout.splitlines()
    try:
        outcome: dict[str, Any] = json.loads(lines[-1]) if lines else {}
    except ValueError:
        outcome = {}
    if "refused" in outcome:
        # The file is stored under an internal name, which means nothing to the user.
        raise ImportRefused(str(outcome["refused"]).replace(path.name, "the file"))
    if process.returncode == -signal.SIGXCPU:
        raise ImportRefused(f"examining the file took more than {PROCESSOR_SECONDS} s of a processor")
    if process.returncode != 0 or "network" not in outcome:
        logger.error("inspection crashed code=%d stderr=%s", process.returncode, process.stderr[-2000:])
        raise ImportRefused("examining the file crashed the process that opened it")
    network: dict[str, Any] = outcome["network"]
    return network


def _accept_official(entry: catalog.CatalogEntry, incoming: Incoming) -> Model:
    model = Model.objects.get(name=entry.name)
    settle(incoming.path, stored_file(model))
    shared.share(stored_file(model), incoming.sha256)
    Model.objects.adopt(model, source="imported")
    logger.info("official model imported model=%s", model.name)
    model.refresh_from_db()
    return model


def _accept_listed(model: Model, incoming: Incoming) -> Model:
    """Let a worker examine the file on the road of downloads, which finds it where it would have put it."""
    if model.state == State.READY:
        incoming.path.unlink(missing_ok=True)
        return model
    settle(incoming.path, unexamined_file(model))
    with transaction.atomic():
        if Model.objects.request(model.name):
            dispatch.ring()
    model.refresh_from_db()
    return model


def _enqueue(incoming: Incoming, name: str, description: str, licence: str, use: str) -> Model:
    shared.share_incoming(incoming.path)
    try:
        with transaction.atomic():
            _replaceable(name).delete()
            model = Model.objects.create(
                name=name,
                origin=Origin.IMPORTED,
                state=State.REQUESTED,
                description=description,
                licence=licence,
                use=use,
                incoming=incoming.path.name,
                size_bytes=incoming.size_bytes,
                network={"upload_sha256": incoming.sha256},
                source="imported",
                requested_at=Now(),
                rung_at=Now(),
            )
            dispatch.ring()
    except IntegrityError:
        raise ImportRefused(f"a model called {name} exists already") from None
    model.refresh_from_db()
    return model


def _require_free(name: str) -> None:
    """Refuse a name that is taken, before the file is read."""
    if name == catalog.BUNDLED_NAME:
        raise ImportRefused(f"{name} is the name of the model that comes with the service")
    if name in catalog.OFFICIAL or Model.objects.filter(name=name, origin=Origin.CATALOG).exists():
        return  # under a known name only the known bytes are accepted
    if Model.objects.filter(name=name).exists() and not _replaceable(name).exists():
        raise ImportRefused(f"a model called {name} exists already; delete it first or choose another name")


def _replaceable(name: str) -> Any:
    """Return the imported model of that name whose file was refused or lost: uploading the file again replaces it."""
    return Model.objects.filter(name=name, origin=Origin.IMPORTED, state__in=(State.FAILED, State.MISSING))


def _suffix(path: Path) -> str:
    """Return the suffix by content, as checkpoint.py decides: safetensors begins with the length of a JSON table."""
    with path.open("rb") as file:
        return SUFFIXES["safetensors" if file.read(9)[8:9] == b"{" else "pickle"]
