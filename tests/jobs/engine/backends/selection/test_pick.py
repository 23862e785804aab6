"""The rule and its words, on measurements that are made up."""

import math

import pytest

from jobs.engine.backends.selection.candidate import Candidate
from jobs.engine.backends.selection.pick import ranked, too_far, words

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
    told = words(WINOGRAD, {WINOGRAD: 1.0, EXACT: 3.04, HALF: 1.5}, {})
    assert told == "winograd fp32; openvino fp32 takes 3.0 times as long; openvino bf16 takes 1.5 times as long"


def test_words_tell_what_was_wrong_with_a_faster_one() -> None:
    told = words(EXACT, {EXACT: 2.0, HALF: 1.0}, {HALF: too_far(47.23)})
    assert told == (
        "openvino fp32; openvino bf16 would take 0.50 of its time, "
        "but comes to 47.2 dB of fp32 with these weights, and 50 are asked"
    )


def test_words_without_a_choice_are_the_name() -> None:
    assert words(EXACT, {}, {}) == "openvino fp32"
    assert words(EXACT, {}, {WINOGRAD: "overflowed"}) == "openvino fp32; winograd fp32 overflowed"


@pytest.mark.parametrize(("decibels", "near"), [(49.99, False), (50.0, True), (math.inf, True), (-math.inf, False)])
def test_the_bound_is_fifty_decibels(decibels: float, *, near: bool) -> None:
    assert (too_far(decibels) == "") == near
