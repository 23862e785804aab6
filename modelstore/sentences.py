"""Texts for people at the edge: what rooms raise, note and store in English, in the language of whoever reads it.

Errors are raised where no request is, in the engine and in workers, and lie in rows for as long as the jobs do. So the
English sentence is what travels, and it is translated when it is shown: the catalogue ``errors`` (`make messages` reads
its templates out of the code, ``f"Job not found: {job_id}"``) tells which sentence it is and what was filled in.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache

from django.utils import translation
from django.utils.translation.trans_real import DjangoTranslation

from modelstore.errors import for_callers
from modelstore.formatting import closest

_DOMAIN = "errors"
_PLACE = re.compile(r"\{(\w+)\}")
#: Places for what callers wrote, or may write: a status that they filter by stays what it is.
_NAMES = {"shown", "near", "there", "known", "word", "text", "names", "name", "host", "id"}
#: An ordinary word at the beginning. What goes on otherwise is a name: of a field, a file, a model.
_SMALL = re.compile(r"[a-zà-öø-ÿ]+(\u2019|('s)?[ ,])")
_FULL_STOP = re.compile(r"(?<![.…])[.。]$")


def told(text: str) -> str:
    """Return an error or a note as people read it: in the active language, with a capital, without a full stop.

    What is for operators only is left out: `modelstore.errors.for_callers`.
    """
    shown = _FULL_STOP.sub("", translated(for_callers(text)))
    return shown[:1].upper() + shown[1:] if _SMALL.match(shown) else shown


def translated(text: str) -> str:
    """Return a text in the active language where it is one of ours; what operators wrote stays as it is."""
    return _in(translation.get_language() or "en", text)


def unknown(word: str, known: Iterable[str]) -> str:
    """Return the sentence about a word that nobody knows: which was meant, where that shows, and which there are."""
    names = sorted(known)
    near = closest(word, names)
    shown = word if len(word) <= 60 else f"{word[:60]}…"
    there = ", ".join(names)
    return (
        f'"{shown}" is not known. Did you mean "{near}"? There are: {there}'
        if near
        else f'"{shown}" is not known. There are: {there}'
    )


@dataclass(frozen=True)
class _Template:
    """A sentence with places to be filled in, and its translation."""

    pattern: re.Pattern[str]
    target: str


@lru_cache(maxsize=1000)
def _in(language: str, text: str) -> str:
    plain, templates = _catalogue(language)
    if text in plain:
        return plain[text]
    for template in templates:
        found = template.pattern.fullmatch(text)
        if found:
            return _filled(language, template.target, found)
    return text


def _filled(language: str, target: str, found: re.Match[str]) -> str:
    """Fill a translation's places. What was filled in may be a sentence itself, as a reason or an advice; or a name."""
    return _PLACE.sub(lambda place: found[place[1]] if place[1] in _NAMES else _in(language, found[place[1]]), target)


@cache
def _catalogue(language: str) -> tuple[dict[str, str], list[_Template]]:
    """Return the language's sentences: whole ones, and templates, those with the most words of their own first."""
    # There is no public way to all of a catalogue: Django's own JavaScriptCatalog reads it so, too.
    entries = vars(DjangoTranslation(language, domain=_DOMAIN))["_catalog"].items()
    texts = {source: target for source, target in entries if source and isinstance(source, str) and target}
    plain = {source: target for source, target in texts.items() if not _PLACE.search(source)}
    filled = sorted(texts.keys() - plain.keys(), key=lambda source: (-len(_PLACE.sub("", source)), source))
    return plain, [_Template(_pattern(source), texts[source]) for source in filled]


def _pattern(source: str) -> re.Pattern[str]:
    pieces = _PLACE.split(source)  # text, name, text, name … text
    parts = [f"(?P<{piece}>.*?)" if number % 2 else re.escape(piece) for number, piece in enumerate(pieces)]
    return re.compile("".join(parts), re.DOTALL)
