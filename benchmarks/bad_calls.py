"""Generated bad calls to the API, every kind in turn. Used by fuzz_api.py and by the tests."""

import random
from collections.abc import Callable, Iterator

from benchmarks import bad_addresses, bad_bodies
from benchmarks.call import Call

MAKERS: list[Callable[[random.Random, str], Call]] = [
    bad_bodies.refused_value,
    bad_bodies.nasty_value,
    bad_bodies.duplicates,
    bad_bodies.bad_file,
    bad_bodies.bad_name,
    bad_bodies.mutated,
    bad_bodies.wrong_type,
    bad_bodies.bad_json,
    bad_addresses.bad_query,
    bad_addresses.bad_id,
    bad_addresses.odd_method,
    bad_addresses.odd_headers,
    bad_addresses.random_text,
]


def calls(count: int, seed: int, model: str) -> Iterator[Call]:
    """Yield calls of every kind in turn."""
    rng = random.Random(seed)
    for number in range(count):
        yield MAKERS[number % len(MAKERS)](rng, model)
