"""The rule: the fastest that is near enough to fp32; and the words for it. Pure arithmetic on what was measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from jobs.engine.backends.selection.candidate import Candidate

#: PSNR in dB, of 8-bit pixels, that bf16 must reach against fp32 with the network's own weights. RealESRGAN_x4plus
#: comes to 47 to 52 on pictures, realesr-animevideov3 to 53 to 55.
BOUND = 50.0
#: In place of the dB of a result that is not finite: less than any that is.
OVERFLOWED = 0.001
#: bf16 must win by so much: what it gains less is not worth its error, nor certain on a busy machine.
_CLEARLY = 1.1
#: A median of turns that is so much more than the best of them tells of a busy machine.
_UNSTEADY = 1.25


@dataclass(frozen=True)
class Turn:
    """Seconds of one turn: on the wall's clock, and of all processors together."""

    wall: float
    processor: float


@dataclass(frozen=True)
class Times:
    """The candidates' seconds for the same work; of processors instead of the wall's clock where ``busy``."""

    seconds: Mapping[Candidate, float]
    busy: bool = False


def judged(took: Mapping[Candidate, Sequence[Turn]]) -> Times:
    """Return the medians of the candidates' turns by the wall's clock, or on a busy machine the least processor time.

    There the wall's clock tells who was interrupted least: at a load of 16 on two cores it saw anything from 0.1 to 2.2
    of OpenVINO's time in bf16 for what takes 0.65. Processor time stayed within a quarter; threads that spin while they
    wait for each other add to it, so the least is the truest.
    """
    busy = any(
        median(turn.wall for turn in turns) > _UNSTEADY * min(turn.wall for turn in turns) for turns in took.values()
    ) and all(turn.processor > 0 for turns in took.values() for turn in turns)
    if busy:
        return Times({one: min(turn.processor for turn in turns) for one, turns in took.items()}, busy)
    return Times({one: median(turn.wall for turn in turns) for one, turns in took.items()})


def ranked(seconds: Mapping[Candidate, float]) -> list[Candidate]:
    """Return the candidates in the order in which to try them, by their seconds for the same work.

    Of equally fast ones the earlier of the mapping comes first.
    """

    def worth(candidate: Candidate) -> float:
        return seconds[candidate] * (_CLEARLY if candidate.precision == "bf16" else 1.0)

    return sorted(seconds, key=worth)


def words(taken: Candidate, times: Times, passed_over: Mapping[Candidate, str]) -> str:
    """Return the reason for a choice in words, such as "winograd fp32; openvino bf16 takes 1.5 times as long".

    :param times: empty where there was nothing to choose from.
    :param passed_over: the candidates before it in the order, and what was wrong with them.
    """
    seconds = times.seconds
    told = [str(taken)]
    for candidate, reason in passed_over.items():
        speed = (
            f" would take {seconds[candidate] / seconds[taken]:.2f} of its time, but"
            if {taken, candidate} <= seconds.keys()
            else ""
        )
        told.append(f"{candidate}{speed} {reason}")
    others = [one for one in seconds if taken in seconds and one != taken and one not in passed_over]
    told += [f"{candidate} takes {seconds[candidate] / seconds[taken]:.1f} times as long" for candidate in others]
    if times.busy and len(seconds) > 1:
        told.append("by processor time, for the machine was busy")
    return "; ".join(told)


def too_far(decibels: float) -> str:
    """Return what is wrong with a candidate that comes so near to fp32, in dB; "" where it is near enough."""
    if decibels <= OVERFLOWED:
        return "overflows with these weights, and torch in fp32 does not"
    return (
        "" if decibels >= BOUND else f"comes to {decibels:.1f} dB of fp32 with these weights, and {BOUND:.0f} are asked"
    )
