"""The rows of the models that everybody has, the catalogue's and the bundled one: up to date after each migrate."""

import json
import logging
import struct
from dataclasses import asdict
from math import isqrt, prod
from pathlib import Path
from typing import Any

from modelstore import catalog
from modelstore.models import Model, ModelQuerySet
from modelstore.networks.spec import NetworkSpec
from modelstore.states import Origin, State
from modelstore.storage import checksums
from modelstore.storage.paths import bundled_file, stored_file

logger = logging.getLogger(__name__)


def register_known_models(using: str = "default") -> None:
    """Make the rows, or bring them up to date; running it again changes nothing."""
    rows = Model.objects.using(using)
    for entry in catalog.OFFICIAL.values():
        _register_official(rows, entry)
    _register_bundled(rows)


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
