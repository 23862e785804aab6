"""The times of an animation's frames, as formats hold them."""

from collections.abc import Sequence
from fractions import Fraction

from jobs.engine.types import Frame

#: Largest numerator and denominator of a frame's time in PNG, in seconds (APNG: two unsigned numbers of 16 bit).
_MOST = 65_535


def whole_milliseconds(frames: Sequence[Frame], longest: int, shortest: int = 0) -> tuple[list[int], tuple[str, ...]]:
    """Return the times of frames (H, W, 1 or 3) in whole ms, rounded so that no sum drifts, and what was not kept.

    :param longest: milliseconds that the format holds for one frame.
    :param shortest: the fewest; what a frame gets too many is taken off those behind it.
    """
    exact = [_exact(frame) * 1000 for frame in frames]
    held = [min(time, Fraction(longest)) for time in exact]
    made, shown, passed = [], 0, Fraction(0)
    for time in held:
        passed += time
        made.append(min(max(round(passed) - shown, shortest), longest))
        shown += made[-1]
    notes = _too_long(exact, Fraction(longest), 1000)
    if any(time.denominator != 1 for time in held):
        notes += ("not kept: parts of milliseconds in the frames' times",)
    # Pages of a TIFF have no time.
    if any(time.denominator == 1 and time < shortest for time in held) and frames[0].duration_ms is not None:
        notes += (f"not kept: times below {shortest} ms, the shortest that the format holds",)
    return made, notes


def fractions(frames: Sequence[Frame]) -> tuple[list[tuple[int, int]], tuple[str, ...]]:
    """Return the times of frames (H, W, 1 or 3) in s, as numerator and denominator of 16 bit, and what was not kept."""
    exact = [_exact(frame) for frame in frames]
    return [_fraction(time) for time in exact], _too_long(exact, Fraction(_MOST), 1)


def _fraction(exact: Fraction) -> tuple[int, int]:
    if exact >= _MOST:
        return _MOST, 1
    # What is below a second has the finest denominator; above it, the numerator is what must fit.
    made = exact.limit_denominator(int(_MOST / max(exact, Fraction(1))))
    return made.numerator, made.denominator


def _too_long(exact: Sequence[Fraction], longest: Fraction, per_second: int) -> tuple[str, ...]:
    beyond = sum(time > longest for time in exact)
    told = f"the time of {beyond} frame{'s' if beyond > 1 else ''} beyond {int(longest / per_second):,} s"
    return (f"not kept: {told}, the longest that the format holds",) if beyond else ()


def _exact(frame: Frame) -> Fraction:
    """Return a frame's time in seconds, as the file said that it came from: 1/30, where a float has 33.333 ms."""
    return Fraction((frame.duration_ms or 0) / 1000).limit_denominator(_MOST)
