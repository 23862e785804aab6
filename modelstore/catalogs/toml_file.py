"""A catalogue as people write it: TOML with a table ``[[model]]`` for each entry. Every mistake is told by name.

Nothing is fetched here, and nothing of the database is known.
"""

import tomllib
from dataclasses import dataclass
from typing import Any

from modelstore.catalogs.entry import Listed, Rules, nearest, parse
from modelstore.formatting import byte_size

#: Bytes of a catalogue: some thousand entries. A parser written in Python reads that in a second.
MOST_BYTES = 500_000
MOST_ENTRIES = 500


@dataclass(frozen=True)
class Reading:
    """The right entries of a catalogue in their order, and one sentence for each mistake."""

    entries: tuple[Listed, ...] = ()
    problems: tuple[str, ...] = ()


class NotACatalog(ValueError):
    """The whole file is none; the message says why."""


def read(data: bytes, rules: Rules) -> Reading:
    """Read a catalogue. A wrong entry is left out and named; the others hold.

    :raises NotACatalog: nothing of it can be read.
    """
    tables = _tables(data)
    entries: dict[str, Listed] = {}
    problems: list[str] = []
    digests: dict[str, str] = {}
    for number, table in enumerate(tables, start=1):
        name = table.get("name") if isinstance(table, dict) else None
        where = f'Entry {number} ("{name[:60]}")' if isinstance(name, str) and name else f"Entry {number}"
        wrong, entry = parse(table, rules)
        if entry is not None and entry.name in entries:
            wrong = [f"name: an entry before it is called {entry.name}, too"]
        elif entry is not None and entry.sha256 in digests:
            wrong = [f"sha256: {digests[entry.sha256]} has this digest, too"]
        elif entry is not None:
            entries[entry.name] = entry
            digests[entry.sha256] = entry.name
        problems += [f"{where}: {each}" for each in wrong]
    return Reading(tuple(entries.values()), tuple(problems))


def _tables(data: bytes) -> list[Any]:
    if len(data) > MOST_BYTES:
        raise NotACatalog(f"it has {byte_size(len(data))}; the limit is {byte_size(MOST_BYTES)}")
    try:
        document = tomllib.loads(data.decode())
    except UnicodeDecodeError:
        raise NotACatalog("it is no text in UTF-8") from None
    except RecursionError:
        raise NotACatalog("it is nested too deeply") from None
    except ValueError as error:  # what is no TOML, and numbers of thousands of digits
        raise NotACatalog(f"it is not TOML: {error}") from None
    unknown = [f'"{key[:60]}"{nearest(key, ["model"])}' for key in document if key != "model"]
    if unknown:
        raise NotACatalog(f"it holds {', '.join(unknown[:5])}, and may hold nothing but [[model]] tables")
    tables = document.get("model", [])
    if not isinstance(tables, list):
        raise NotACatalog('each entry begins with [[model]], in two brackets, not with [model] or "model ="')
    if len(tables) > MOST_ENTRIES:
        raise NotACatalog(f"it has {len(tables)} entries; the limit is {MOST_ENTRIES}")
    return tables
