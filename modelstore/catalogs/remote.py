"""The catalogue at MODEL_CATALOG_URL: fetched now and then, and kept on the disk for starts without a network.

The copy is replaced only by what can be read as a catalogue: a server that is down, slow, or sends something else takes
nothing away.
"""

import hashlib
import json
import logging
import time
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpcore
from django.conf import settings

from modelstore import safe_http
from modelstore.catalogs.entry import Rules
from modelstore.catalogs.toml_file import MOST_BYTES, NotACatalog, read
from modelstore.errors import TargetRefused
from modelstore.formatting import byte_size

logger = logging.getLogger(__name__)

#: Seconds for the whole exchange, and between two of them: after a good one, and after one that failed.
TIMEOUT_SECONDS = 20.0
AGAIN_SECONDS = 6 * 3600
RETRY_SECONDS = 900
_MOST_REDIRECTS = 3


class CatalogUnreachable(Exception):
    """The address gave no catalogue; the message says why."""


def copy() -> bytes | None:
    """Return the last good catalogue of this address; None where there was none yet."""
    try:
        return _place("toml").read_bytes()
    except OSError:
        return None


def problem() -> str:
    """Return why the last try failed; empty where it did not, or there was none."""
    return str(_state().get("error", ""))


def due() -> bool:
    """Return whether it is time to fetch it."""
    state = _state()
    pause = RETRY_SECONDS if state.get("error") else AGAIN_SECONDS
    return time.time() - float(state.get("tried_at", 0)) >= pause


def refresh(rules: Rules) -> str:
    """Fetch the catalogue and keep it. Return why that failed; empty where it did not."""
    error = ""
    try:
        data = _fetch(settings.MODEL_CATALOG_URL, rules)
        if read(data, rules).entries:
            _write(_place("toml"), data)
        else:  # as a server sends it that lost its file; taken at its word, it would take everything away
            error = "What it sends lists no model"
    except CatalogUnreachable as failure:
        error = str(failure)
    except NotACatalog as failure:
        error = f"What it sends is no catalogue: {failure}"
    if error:
        logger.warning("catalogue not fetched url=%s error=%s", settings.MODEL_CATALOG_URL, error)
    _write(_place("json"), json.dumps({"tried_at": time.time(), "error": error}).encode())
    return error


def _fetch(url: str, rules: Rules) -> bytes:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    try:
        for _ in range(_MOST_REDIRECTS + 1):
            target = safe_http.target_of(url)
            if target.scheme != "https" and not rules.allow_private:
                raise CatalogUnreachable("The address must begin with https://")
            headers = {"user-agent": "upscaler-model-store", "accept-encoding": "identity", "connection": "close"}
            seconds = max(deadline - time.monotonic(), 0)
            with safe_http.request(
                "GET", target, headers=headers, seconds=seconds, allow_private=rules.allow_private
            ) as answer:
                location = _header(answer, b"location")
                if answer.status in (301, 302, 303, 307, 308) and location:
                    url = urljoin(target.url, location)
                    continue
                return _body(answer)
    except (TargetRefused, ValueError) as refusal:  # ValueError: a redirect to brackets that hold no address
        raise CatalogUnreachable(f"{str(refusal)[:1].upper()}{str(refusal)[1:]}") from None
    except httpcore.TimeoutException:
        raise CatalogUnreachable(f"There was no complete answer within {TIMEOUT_SECONDS:g} s") from None
    except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as failure:
        raise CatalogUnreachable(f"The server cannot be reached: {failure or type(failure).__name__}") from None
    raise CatalogUnreachable(f"There were more than {_MOST_REDIRECTS} redirects")


def _body(answer: httpcore.Response) -> bytes:
    if answer.status != 200:
        raise CatalogUnreachable(f"The server answered with status {answer.status}")
    if _header(answer, b"content-encoding") not in ("", "identity"):
        raise CatalogUnreachable("The server compressed its answer although it was asked not to")
    data = bytearray()
    for block in answer.iter_stream():
        data += block
        if len(data) > MOST_BYTES:
            raise CatalogUnreachable(f"The answer is larger than {byte_size(MOST_BYTES)}")
    return bytes(data)


def _header(answer: httpcore.Response, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in answer.headers if key.lower() == name), "")


def _state() -> dict[str, Any]:
    try:
        state = json.loads(_place("json").read_bytes())
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def _place(suffix: str) -> Path:
    """Return a path that hosts share, another for each address: what one sent is not taken for the other's."""
    key = hashlib.sha256(settings.MODEL_CATALOG_URL.encode()).hexdigest()[:12]
    return Path(settings.MODELS_DIR) / "catalog" / f"{key}.{suffix}"


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{uuid.uuid4().hex}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
