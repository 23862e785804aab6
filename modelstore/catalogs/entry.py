"""One entry of a catalogue: its keys, what each must hold, and what is said where it does not."""

import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from modelstore import catalog, safe_http
from modelstore.errors import NameRefused, TargetRefused
from modelstore.formatting import byte_size, closest
from modelstore.names import checked
from modelstore.states import Use

MOST_SOURCES = 8
#: Characters, as the columns of the table hold them.
_MOST_CHARACTERS = {"licence": 100, "author": 200, "description": 300, "homepage": 300, "example": 300}
_SHA256 = re.compile(r"[0-9a-f]{64}")
#: What an entry's prefix is at which provider: such a source is asked for at the base address of the setting.
_PROVIDERS = {
    catalog.Provider.GITHUB: "https://github.com/xinntao/Real-ESRGAN/releases/download/",
    catalog.Provider.HUGGINGFACE: "https://huggingface.co/",
}
#: The provider of sources that no base address covers.
ELSEWHERE = "web"


@dataclass(frozen=True)
class Rules:
    """The bounds that the operator's settings set."""

    most_model_bytes: int
    allow_private: bool


@dataclass(frozen=True)
class Listed:
    """One entry, as it was found to be right."""

    name: str
    sources: tuple[str, ...]
    size_bytes: int
    sha256: str
    licence: str
    author: str
    use: Use
    example: str = ""
    homepage: str = ""
    description: str = ""

    @property
    def file_name(self) -> str:
        """The name of the file in the models directory; other bytes have another, so a kept file is not overwritten."""
        suffix = ".safetensors" if urlsplit(self.sources[0]).path.lower().endswith(".safetensors") else ".pth"
        return f"catalog-{self.name}-{self.sha256[:12]}{suffix}"

    @property
    def facts(self) -> dict[str, Any]:
        """The columns of the table that the entry tells."""
        return {
            "description": self.description,
            "licence": self.licence,
            "author": self.author,
            "use": self.use.value,
            "homepage": self.homepage,
            "example": self.example,
            "size_bytes": self.size_bytes,
            "sha256": self.sha256,
            "file_name": self.file_name,
            "sources": [_pair(source) for source in self.sources],
        }


class _Wrong(ValueError):
    """A value is not what its key wants; the message begins with the key."""


def parse(table: Any, rules: Rules) -> tuple[list[str], Listed | None]:
    """Return what is wrong with an entry, or the entry."""
    if not isinstance(table, dict):
        return ["it must be a table that begins with [[model]]"], None
    wrong = [f'"{key[:60]}" is no key of an entry{nearest(key, list(_KEYS))}' for key in table if key not in _KEYS]
    values: dict[str, Any] = {}
    for key, (needed, reader) in _KEYS.items():
        if key not in table:
            if needed:
                wrong.append(f"{key} is missing: {_EXPECTED[key]}")
            continue
        try:
            values[key] = reader(key, table[key], rules)
        except _Wrong as mistake:
            wrong.append(str(mistake))
    if wrong:
        return wrong, None
    values["size_bytes"] = values.pop("size")
    return [], Listed(**values)


def nearest(key: str, known: list[str]) -> str:
    """Return the end of a sentence about an unknown word: which was meant, or which there are."""
    near = closest(key, known)
    return f'; did you mean "{near}"?' if near else f"; known are {', '.join(known)}" if len(known) > 1 else ""


def _name(key: str, value: Any, rules: Rules) -> str:
    text = _text(key, value, rules)
    try:
        checked(text)
    except NameRefused as refusal:
        raise _Wrong(f"{key}: {refusal}") from None
    if text in catalog.OFFICIAL or text == catalog.BUNDLED_NAME:
        raise _Wrong(f"{key}: {text} is a model that the service knows already; choose another name")
    return text


def _text(key: str, value: Any, rules: Rules) -> str:  # noqa: ARG001 - all readers are called alike
    if not isinstance(value, str) or not value.strip():
        raise _Wrong(f"{key} must be {_EXPECTED[key]}, not {_shown(value)}")
    text = value.strip()
    most = _MOST_CHARACTERS.get(key, 100)
    if len(text) > most:
        raise _Wrong(f"{key} has {len(text)} characters; the limit is {most}")
    if not text.isprintable():
        raise _Wrong(f"{key} holds line breaks or control characters")
    return text


def _size(key: str, value: Any, rules: Rules) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise _Wrong(f"{key} must be {_EXPECTED[key]}, not {_shown(value)}")
    if value > rules.most_model_bytes:
        limit = byte_size(rules.most_model_bytes)
        raise _Wrong(f"{key} is {byte_size(value)}; the limit is {limit} (MAX_MODEL_UPLOAD_MB)")
    return value


def _digest(key: str, value: Any, rules: Rules) -> str:  # noqa: ARG001 - all readers are called alike
    text = value.strip().lower() if isinstance(value, str) else ""
    if not _SHA256.fullmatch(text):
        length = f" of {len(text)} characters" if isinstance(value, str) else ""
        raise _Wrong(f"{key} must be {_EXPECTED[key]}, not {_shown(value)}{length}")
    official = catalog.by_digest(text)
    if official is not None:
        raise _Wrong(f"{key}: that is the official {official.name}, which the service knows already")
    return text


def _use(key: str, value: Any, rules: Rules) -> Use:  # noqa: ARG001 - all readers are called alike
    if not isinstance(value, str) or value not in Use.values:
        near = nearest(value, Use.values) if isinstance(value, str) else ""
        raise _Wrong(f"{key} must be {_EXPECTED[key]}, not {_shown(value)}{near if 'mean' in near else ''}")
    return Use(value)


def _address(key: str, value: Any, rules: Rules) -> str:
    """Check an address by its text; where a name leads is seen when it is connected to."""
    text = value.strip() if isinstance(value, str) else ""
    if not text:
        raise _Wrong(f"{key} must be {_EXPECTED[key]}, not {_shown(value)}")
    most = _MOST_CHARACTERS.get(key, safe_http.MAX_URL_CHARACTERS)
    if len(text) > most:
        raise _Wrong(f"{key} has {len(text)} characters; the limit is {most}")
    try:
        target = safe_http.target_of(text)
    except TargetRefused as refusal:
        raise _Wrong(f"{key}: {_shown(text)}: {refusal}") from None
    if any(part in (".", "..") for part in re.split(r"[/\\]", target.path.replace("%2e", ".").replace("%2E", "."))):
        raise _Wrong(f"{key}: {_shown(text)} leads through a folder above")
    if rules.allow_private:
        return target.url
    if target.scheme != "https":
        raise _Wrong(f"{key} must begin with https://, not {_shown(text)} (MODEL_ALLOW_PRIVATE=1 allows http://)")
    if _is_private(target.host):
        raise _Wrong(f"{key}: {target.host} is a private address (MODEL_ALLOW_PRIVATE=1 allows it)")
    return target.url


def _addresses(key: str, value: Any, rules: Rules) -> tuple[str, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MOST_SOURCES:
        raise _Wrong(f"{key} must be {_EXPECTED[key]}, not {_shown(value)}")
    return tuple(dict.fromkeys(_address(key, each, rules) for each in value))


def _is_private(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith((".localhost", ".local", ".internal"))
    return not safe_http.is_public(host)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"


def _pair(source: str) -> list[str]:
    """Return provider and path of a source that a provider's base address covers; else ELSEWHERE and the address."""
    for provider, prefix in _PROVIDERS.items():
        if source.startswith(prefix):
            return [provider.value, source.removeprefix(prefix)]
    return [ELSEWHERE, source]


def _quoted(words: Iterator[str]) -> str:
    return ", ".join(f'"{word}"' for word in words)


_Reader = Callable[[str, Any, Rules], Any]
#: key → whether an entry must have it, and who reads it.
_KEYS: dict[str, tuple[bool, _Reader]] = {
    "name": (True, _name),
    "sources": (True, _addresses),
    "size": (True, _size),
    "sha256": (True, _digest),
    "licence": (True, _text),
    "author": (True, _text),
    "use": (True, _use),
    "example": (False, _address),
    "homepage": (False, _address),
    "description": (False, _text),
}
_EXPECTED = {
    "name": "a text of letters, digits, dots, hyphens and underscores",
    "sources": f"a list of 1 to {MOST_SOURCES} https addresses of the file",
    "size": "the bytes of the file, as a whole number",
    "sha256": "the SHA-256 digest of the file, 64 hexadecimal digits",
    "licence": 'the name of the licence of the weights, such as "CC-BY-4.0"',
    "author": "the name of who made the weights",
    "use": f"one of {_quoted(iter(Use.values))}",
    "example": "the https address of a picture or page that shows what it does",
    "homepage": "an https address",
    "description": "one line",
}
