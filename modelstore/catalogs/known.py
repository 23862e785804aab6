"""Both catalogues together: the entries, the operator's own first, and everything that is wrong with them."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from django.conf import settings

from modelstore.catalogs import remote
from modelstore.catalogs.entry import Listed, Rules
from modelstore.catalogs.toml_file import MOST_BYTES, NotACatalog, Reading, read


@dataclass(frozen=True)
class Known:
    """The merged entries. ``whole`` is False where some may be missing that are listed: then nothing is removed."""

    entries: tuple[Listed, ...]
    own_problems: tuple[str, ...]
    remote_problems: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """True when nothing is wrong with either."""
        return not self.own_problems and not self.remote_problems

    @property
    def problems(self) -> tuple[str, ...]:
        """All that is wrong, a sentence each."""
        return self.own_problems + self.remote_problems


def rules() -> Rules:
    """Return what the settings allow."""
    return Rules(settings.MAX_MODEL_UPLOAD_MB * 1_000_000, settings.MODEL_ALLOW_PRIVATE)


def known() -> Known:
    """Read both catalogues from the disk. Nothing is fetched, and nothing is raised: what is wrong is told."""
    own, own_problems = _own()
    far, far_problems = _remote() if settings.MODEL_CATALOG_URL else ((), [])
    merged = {entry.name: entry for entry in own}
    digests = {entry.sha256: entry.name for entry in own}
    for entry in far:
        if entry.name in merged:
            continue  # the operator's own word counts, and may be meant to replace the other's
        if entry.sha256 in digests:
            far_problems.append(f"{entry.name}: it is the file of {digests[entry.sha256]} in {settings.MODEL_CATALOG}")
            continue
        merged[entry.name] = entry
    where = f"MODEL_CATALOG_URL ({settings.MODEL_CATALOG_URL})"
    return Known(
        tuple(merged.values()),
        tuple(f"{settings.MODEL_CATALOG}: {each}" for each in own_problems),
        tuple(f"{where}: {each}" for each in far_problems),
    )


def refresh() -> str:
    """Fetch the remote catalogue. Return why that failed; empty where it did not."""
    return remote.refresh(rules())


def refresh_when_due() -> None:
    """Fetch the remote catalogue, where there is one and it is time."""
    if settings.MODEL_CATALOG_URL and remote.due():
        refresh()


def _own() -> tuple[tuple[Listed, ...], list[str]]:
    path = Path(settings.MODEL_CATALOG)
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return (), []
    except OSError as error:
        return (), [f"It cannot be read: {error.strerror}"]
    return _read(data)


def _remote() -> tuple[tuple[Listed, ...], list[str]]:
    data = remote.copy()
    error = remote.problem()
    if data is None:
        return (), [error or "It was not fetched yet"]
    entries, problems = _read(data)
    return entries, [*([f"{error}; the last good copy holds"] if error else []), *problems]


def _read(data: bytes) -> tuple[tuple[Listed, ...], list[str]]:
    reading = _parsed(data, rules())
    return reading.entries, list(reading.problems)


@lru_cache(maxsize=4)
def _parsed(data: bytes, allowed: Rules) -> Reading:
    """Read a catalogue once: pages of the admin ask for it each time."""
    try:
        return read(data, allowed)
    except NotACatalog as error:
        return Reading((), (f"{str(error)[:1].upper()}{str(error)[1:]}",))
