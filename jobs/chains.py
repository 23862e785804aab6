"""Chains: the text that names the models of a job, one or up to three with + between them. Pure text.

``denoise+RealESRGAN_x4plus`` sends a picture through both, in this order. A name may come twice: what that gives is
well defined (a restorer used twice, a doubling of a doubling), and the limits on sizes hold for it as for any chain.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from jobs.errors import ChainRefused
from modelstore.errors import DenoiseUnsupported

SEPARATOR = "+"
MOST = 3
#: Characters of a model's name (modelstore/names.py), and of the longest text.
NAME_CHARACTERS = 100
LONGEST = MOST * NAME_CHARACTERS + (MOST - 1) * len(SEPARATOR)

_Model = TypeVar("_Model")


def split(text: str) -> tuple[str, ...]:
    """Return the names in a text that was accepted before, such as a job's; no rule is checked."""
    return tuple(text.split(SEPARATOR))


def parse(text: str) -> tuple[str, ...]:
    """Return the names of a caller's text, 1 to 3; whether there are such models is not asked.

    :raises ChainRefused: when there are more, or one of several is missing.
    """
    names = split(text)
    if len(names) > MOST:
        raise ChainRefused(f"{len(names)} models are named; a chain has at most {MOST}")
    if len(names) > 1 and not all(names):
        shown = text if len(text) <= 60 else f"{text[:60]}…"
        raise ChainRefused(f"{shown!r} lacks the name of a model beside a +; a chain is written as first+second")
    return names


def resolved(
    names: Sequence[str], denoise_strength: float | None, look: Callable[[str, float | None], _Model]
) -> tuple[_Model, ...]:
    """Return what ``look`` gives for each name. In a chain, the strength goes to the members that have one.

    :param look: takes a name and a denoise strength or None; raises DenoiseUnsupported where the model has none.
    :raises DenoiseUnsupported: a strength was given, and no member has one.
    """
    found: list[_Model] = []
    taken = False
    for name in names:
        try:
            found.append(look(name, denoise_strength))
            taken = True
        except DenoiseUnsupported:
            if len(names) == 1:
                raise
            found.append(look(name, None))
    if not taken:
        raise DenoiseUnsupported(SEPARATOR.join(names))
    return tuple(found)
