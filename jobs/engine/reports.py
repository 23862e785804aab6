"""The report of a picture, from the account of each network that worked on it."""

from collections.abc import Callable, Iterable, Sequence

from jobs.engine.tile_runner import Run
from jobs.engine.tiling.passes import Passes
from jobs.engine.types import MemberReport, Report


def report_of(runs: Sequence[Run], passes: Passes, *, notes: Iterable[str], infer_seconds: float) -> Report:
    """Return the report of one picture.

    :param runs: of the networks, in the chain's order; one where there is no chain.
    :param notes: of the picture itself. What a network of a chain noted is told with its name, unless all noted it.
    :param infer_seconds: of all networks, and of what was done to the picture beside them.
    """
    last = runs[-1]
    chained = len(runs) > 1
    return Report(
        model="+".join(run.weights.name for run in runs),
        device=_words(run.place.device for run in runs),
        device_name=_words(run.place.name for run in runs),
        backend=_words(run.place.backend for run in runs),
        precision=_words(run.place.precision for run in runs),
        scale=passes.scale,
        tile_size=last.tile,
        tile_pad=last.pad,
        tiles=sum(run.done for run in runs),
        passes=len(passes.inputs),
        fp32_redone_tiles=sum(run.redone for run in runs),
        out_of_memory_shrinks=sum(run.shrinks for run in runs),
        seconds={"load": sum(run.load_seconds for run in runs), "infer": infer_seconds},
        choice="; ".join(_named(runs, lambda run: [run.place.choice] if run.place.choice else [])),
        notes=tuple(
            dict.fromkeys(
                [
                    *_named(runs, lambda run: [run.place.note] if run.place.note else []),
                    *notes,
                    *_named(runs, lambda run: run.notes),
                ]
            )
        ),
        members=tuple(_member(run) for run in runs) if chained else (),
    )


def _member(run: Run) -> MemberReport:
    return MemberReport(
        model=run.weights.name,
        device=run.place.device,
        backend=run.place.backend,
        precision=run.place.precision,
        scale=run.network.spec.scale,
        tile_size=run.tile,
        tile_pad=run.pad,
        tiles=run.done,
        passes=run.passes,
        fp32_redone_tiles=run.redone,
        out_of_memory_shrinks=run.shrinks,
        seconds={"load": run.load_seconds, "infer": run.infer_seconds},
        choice=run.place.choice,
    )


def _words(words: Iterable[str]) -> str:
    return "+".join(dict.fromkeys(words))


def _named(runs: Sequence[Run], told: Callable[[Run], Sequence[str]]) -> list[str]:
    """Return what each network told, with its name before what not all of them told."""
    said = [(run.weights.name, note) for run in runs for note in dict.fromkeys(told(run))]
    common = [note for _, note in said if all(note in told(run) for run in runs)]
    return list(dict.fromkeys(note if note in common else f"{name}: {note}" for name, note in said))
