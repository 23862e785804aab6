"""Histograms: where a value falls, and what a quantile says."""

import math

from hypothesis import given
from hypothesis import strategies as st

from monitoring.buckets import BUCKETS, bucket_of, empty, quantile


def test_a_bound_belongs_to_its_own_bucket() -> None:
    for index, bound in enumerate(BUCKETS):
        assert bucket_of(bound) == index
        assert bucket_of(math.nextafter(bound, math.inf)) == index + 1


def test_nothing_counted_has_no_quantile() -> None:
    assert quantile(empty(), 0.5) is None


@given(st.lists(st.floats(0, 2000, allow_nan=False), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.95]))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(values: list[float], share: float) -> None:
    histogram = empty()
    for value in values:
        histogram[bucket_of(value)] += 1
    true = sorted(values)[math.ceil(share * len(values)) - 1]
    index = bucket_of(true)
    estimate = quantile(histogram, share)
    assert estimate is not None
    low = BUCKETS[index - 1] if index else 0.0
    high = BUCKETS[index] if index < len(BUCKETS) else BUCKETS[-1]
    assert low <= estimate <= high or estimate == BUCKETS[-1]
