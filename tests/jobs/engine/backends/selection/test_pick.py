"""The rule and its words, on measurements that are made up."""

import math

import pytest

from jobs.engine.backends.selection.candidate import Candidate
from jobs.engine.backends.selection.pick import OVERFLOWED, Times, Turn, judged, ranked, too_far, words

WINOGRAD, EXACT, HALF = Candidate("winograd", "fp32"), Candidate("openvino", "fp32"), Candidate("openvino", "bf16")


@pytest.mark.parametrize(
    ("seconds", "order"),
    [
        ({WINOGRAD: 1.0, EXACT: 3.0, HALF: 1.5}, [WINOGRAD, HALF, EXACT]),
        ({WINOGRAD: 1.0, EXACT: 3.0, HALF: 0.5}, [HALF, WINOGRAD, EXACT]),
        ({WINOGRAD: 1.0, EXACT: 1.0, HALF: 0.95}, [WINOGRAD, EXACT, HALF]),
        ({EXACT: 2.0, HALF: 1.0}, [HALF, EXACT]),
        ({}, []),
    ],
    ids=["winograd wins", "bf16 wins", "bf16 wins by too little", "without kernels", "nothing measured"],
)
def test_the_fastest_comes_first_and_bf16_only_when_it_wins_clearly(
    seconds: dict[Candidate, float], order: list[Candidate]
) -> None:
    assert ranked(seconds) == order


def test_words_tell_how_long_the_others_take() -> None:
    told = words(WINOGRAD, Times({WINOGRAD: 1.0, EXACT: 3.04, HALF: 1.5}), {})
    assert told == "winograd fp32; openvino fp32 takes 3.0 times as long; openvino bf16 takes 1.5 times as long"


def test_words_tell_what_was_wrong_with_a_faster_one() -> None:
    told = words(EXACT, Times({EXACT: 2.0, HALF: 1.0}), {HALF: too_far(47.23)})
    assert told == (
        "openvino fp32; openvino bf16 would take 0.50 of its time, "
        "but comes to 47.2 dB of fp32 with these weights, and 50 are asked"
    )


def test_words_without_a_choice_are_the_name() -> None:
    assert words(EXACT, Times({}), {}) == "openvino fp32"
    assert words(EXACT, Times({}), {WINOGRAD: "overflowed"}) == "openvino fp32; winograd fp32 overflowed"
    assert words(EXACT, Times({EXACT: 1.0}, busy=True), {}) == "openvino fp32"


def test_words_tell_of_who_failed_before_it_had_a_time() -> None:
    told = words(EXACT, Times({EXACT: 2.0, HALF: 4.0}), {WINOGRAD: "overflowed"})
    assert told == "openvino fp32; winograd fp32 overflowed; openvino bf16 takes 2.0 times as long"


def test_words_tell_of_a_busy_machine() -> None:
    told = words(WINOGRAD, Times({WINOGRAD: 1.0, HALF: 2.0}, busy=True), {})
    assert told.endswith("2.0 times as long; by processor time, for the machine was busy")


def test_a_quiet_machine_is_judged_by_the_clock() -> None:
    took = {WINOGRAD: [Turn(1.0, 9.0), Turn(1.1, 9.0), Turn(9.0, 9.0)], HALF: [Turn(2.0, 1.0)]}
    assert judged(took) == Times({WINOGRAD: 1.1, HALF: 2.0}, busy=False)


@pytest.mark.parametrize("interrupted", [WINOGRAD, HALF])
def test_a_busy_machine_is_judged_by_the_time_of_its_processors(interrupted: Candidate) -> None:
    took = {one: [Turn(1.0, 2.0 + share), Turn(1.0, 2.0 + share)] for share, one in enumerate((WINOGRAD, HALF))}
    least = took[interrupted][0].processor
    took[interrupted] = [Turn(1.0, least + 0.5), Turn(2.0, least), Turn(4.0, least + 2)]
    assert judged(took) == Times({WINOGRAD: 2.0, HALF: 3.0}, busy=True)


def test_a_clock_of_processors_that_stands_still_judges_nobody() -> None:
    took = {WINOGRAD: [Turn(1.0, 0.0), Turn(2.0, 0.0), Turn(3.0, 0.0)], HALF: [Turn(4.0, 0.1)]}
    assert judged(took) == Times({WINOGRAD: 2.0, HALF: 4.0}, busy=False)


def test_who_was_measured_alone_or_not_at_all_is_no_riddle() -> None:
    assert judged({}) == Times({}, busy=False)
    assert judged({EXACT: [Turn(1.0, 1.0)]}) == Times({EXACT: 1.0}, busy=False)


def test_what_overflows_is_not_told_in_decibels() -> None:
    assert too_far(OVERFLOWED) == "overflows with these weights, and torch in fp32 does not"


@pytest.mark.parametrize(("decibels", "near"), [(49.99, False), (50.0, True), (math.inf, True), (-math.inf, False)])
def test_the_bound_is_fifty_decibels(decibels: float, *, near: bool) -> None:
    assert (too_far(decibels) == "") == near
