"""The rows of the models that are known without an import: the catalogues' and the bundled one."""

import json
import logging
import struct
from dataclasses import asdict
from functools import lru_cache
from math import isqrt, prod
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import transaction

from modelstore import catalog
from modelstore.catalogs.known import Known, known, refresh_when_due
from modelstore.models import Model, ModelQuerySet
from modelstore.networks.spec import NetworkSpec
from modelstore.states import Origin, State
from modelstore.storage import checksums, shared
from modelstore.storage.paths import bundled_file, stored_file

logger = logging.getLogger(__name__)


def register_known_models(using: str = "default") -> None:
    """Make the rows, or bring them up to date; running it again changes nothing."""
    rows = Model.objects.using(using)
    for entry in catalog.OFFICIAL.values():
        _register_official(rows, entry)
    _register_bundled(rows)
    catalogs = known()
    if catalogs.own_problems:
        raise ImproperlyConfigured("MODEL_CATALOG is wrong. " + "; ".join(catalogs.own_problems))
    register_listed(catalogs, using)


def register_listed(catalogs: Known, using: str = "default") -> list[str]:
    """Bring the rows of the operator's catalogues up to date. Return what is wrong, by name.

    A row is removed only where both lists are whole, and its file is not here.
    """
    rows = Model.objects.using(using)
    with transaction.atomic(using):
        taken = [entry.name for entry in catalogs.entries if not rows.put_listed(entry.name, entry.facts)]
        if catalogs.whole:
            rows.unlist({entry.name for entry in catalogs.entries})
    problems = [*catalogs.problems, *(_collision(name) for name in taken), *_kept(rows)]
    _log(tuple(problems))
    return problems


def problems_of_catalogs() -> list[str]:
    """Say what is wrong with the operator's catalogues, as things stand. Nothing is changed."""
    catalogs = known()
    names = [entry.name for entry in catalogs.entries]
    others = Model.objects.filter(name__in=names).exclude(origin=Origin.CATALOG).order_by("name")
    taken = others.values_list("name", flat=True)
    return [*catalogs.problems, *(_collision(name) for name in taken), *_kept(Model.objects.all())]


def keep_listed() -> None:
    """Fetch the remote catalogue where it is due, and bring the rows up to date; safe to do twice."""
    refresh_when_due()
    register_listed(known())
    shared.share_all()


@lru_cache(maxsize=1)
def _log(problems: tuple[str, ...]) -> None:
    """Log what is wrong; once, until something else is."""
    for problem in problems:
        logger.warning("catalogue problem=%s", problem)


def _collision(name: str) -> str:
    return f"{name}: a model of this name was imported; delete that, or give the entry another name"


def _kept(rows: ModelQuerySet) -> list[str]:
    """Name the installed models of which the catalogue says something else by now."""
    changed = rows.filter(origin=Origin.CATALOG, offered__isnull=False).order_by("name")
    return [
        f"{model.name}: the catalogue names another file by now (SHA-256 {model.offered['sha256'][:12]}…, not "
        f"{model.sha256[:12]}…). The installed one is kept; delete the model and download it again to have the other"
        for model in changed
        if model.offered
    ]


def adopt_present_files(using: str = "default") -> list[str]:
    """Verify official files that an operator put into the models directory and mark them ready. Return their names."""
    rows = Model.objects.using(using)
    adopted = []
    for model in rows.filter(origin=Origin.OFFICIAL, state__in=(State.MISSING, State.FAILED)):
        if checksums.is_genuine(stored_file(model), model.size_bytes, model.sha256) and rows.adopt(
            model, "found in the models directory"
        ):
            logger.info("model found in the models directory model=%s", model.name)
            adopted.append(model.name)
    return adopted


def _register_official(rows: ModelQuerySet, entry: catalog.CatalogEntry) -> None:
    facts: dict[str, Any] = {
        "architecture": entry.network.architecture,
        "scale": entry.scale,
        "network": asdict(entry.network),
        "description": entry.description,
        "licence": entry.licence,
        "homepage": entry.homepage,
        "author": entry.author,
        "use": entry.use.value,
        "denoise_partner": entry.denoise_partner,
        "file_name": entry.file_name,
        "size_bytes": entry.size_bytes,
        "sha256": entry.sha256,
        "sources": [[provider.value, path] for provider, paths in entry.paths.items() for path in paths],
    }
    model, created = rows.get_or_create(name=entry.name, defaults={"origin": Origin.OFFICIAL, **facts})
    if not created:
        rows.filter(pk=model.pk, origin=Origin.OFFICIAL).update(**facts)


def _register_bundled(rows: ModelQuerySet) -> None:
    path = bundled_file()
    name = catalog.BUNDLED_NAME
    if not path.is_file():
        rows.lose_bundled(name, f"{path.name} is missing")
        return
    network = compact_network(path)
    facts: dict[str, Any] = {
        "architecture": network.architecture,
        "scale": network.scale,
        "description": catalog.BUNDLED_DESCRIPTION,
        "licence": catalog.BUNDLED_LICENCE,
        "use": catalog.BUNDLED_USE.value,
        "file_name": path.name,
        "size_bytes": path.stat().st_size,
        "sha256": checksums.digest_of(path),
        "source": "comes with the service",
        "network": asdict(network),
    }
    rows.put_bundled(name, facts)


def compact_network(path: Path) -> NetworkSpec:
    """Return the SRVGGNetCompact in a safetensors file, read from its header: this process must not import torch.

    The header is eight bytes of length, then JSON. `checkpoint.inspect` says the same of the file; a test holds the two
    together.
    """
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        table = json.loads(file.read(length))
    shapes = {key: entry["shape"] for key, entry in table.items() if key != "__metadata__"}
    last = max(int(key.split(".")[1]) for key in shapes)
    features, channels, *_ = shapes["body.0.weight"]
    outputs = shapes[f"body.{last}.weight"][0]
    blocks = last // 2 - 1
    return NetworkSpec(
        architecture="srvggnet",
        scale=isqrt(outputs // channels),
        channels=channels,
        features=features,
        blocks=blocks,
        growth=0,
        unshuffle=1,
        receptive_radius=blocks + 2,
        mflop_per_pixel=2 * 9 * features * (channels + features * blocks + outputs) / 1e6,
        parameters=sum(prod(shape) for shape in shapes.values()),
    )
