"""Usage of models by jobs and workers, asked of the rooms above, which this room must not import.

They register a callable once, when their app is ready.
"""

from collections.abc import Callable
from dataclasses import dataclass

#: The number of unfinished jobs that need the model of this name.
CountJobs = Callable[[str], int]


@dataclass(frozen=True)
class LoadedIn:
    """One worker process that holds the model's network in memory."""

    worker: str
    device: str


#: The workers that hold the model of this name.
ListLoaded = Callable[[str], list[LoadedIn]]

_counters: list[CountJobs] = []
_listers: list[ListLoaded] = []


def register(count_jobs: CountJobs) -> None:
    """Let ``count_jobs`` be asked before a model is deleted."""
    if count_jobs not in _counters:
        _counters.append(count_jobs)


def register_loaded(list_loaded: ListLoaded) -> None:
    """Let ``list_loaded`` tell the admin where a model is loaded."""
    if list_loaded not in _listers:
        _listers.append(list_loaded)


def jobs_that_need(name: str) -> int:
    """Count unfinished jobs that need the model."""
    return sum(count(name) for count in _counters)


def loaded_in(name: str) -> list[LoadedIn]:
    """Return the workers that hold the model's network in memory."""
    return [place for listing in _listers for place in listing(name)]
