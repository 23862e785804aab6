from datetime import UTC, datetime

import pytest

from training.schedule import WARM_UP_STEPS, Budget, next_time, rate


def test_the_rate_warms_up_and_ends_at_zero() -> None:
    assert rate(0, 0) == pytest.approx(1 / WARM_UP_STEPS)
    assert rate(WARM_UP_STEPS, 0) == 1
    assert rate(10_000, 0.5) == pytest.approx(0.5)
    assert rate(10_000, 1.0) == pytest.approx(0)
    assert rate(10_000, 1.7) == pytest.approx(0)


def test_the_rate_never_rises_after_the_warm_up() -> None:
    rates = [rate(1000, progress / 100) for progress in range(101)]
    assert rates == sorted(rates, reverse=True)


def test_progress_follows_whichever_ends_first() -> None:
    both = Budget(steps=100, started=1000.0, deadline=2000.0)
    assert both.progress(10, 1500.0) == 0.5
    assert both.progress(90, 1500.0) == 0.9
    assert Budget(100, 1000.0, None).progress(25, 99999.0) == 0.25
    assert Budget(None, 1000.0, 2000.0).progress(10**9, 1000.0) == 0
    assert Budget(None, 1000.0, 2000.0).progress(0, 2500.0) > 1


def test_a_deadline_that_has_passed_ends_at_once() -> None:
    assert Budget(None, 1000.0, 900.0).progress(0, 1001.0) >= 1


def test_until_means_the_next_such_time() -> None:
    evening = datetime(2026, 1, 31, 22, 30, tzinfo=UTC)
    assert next_time("23:00", evening) == datetime(2026, 1, 31, 23, 0, tzinfo=UTC).timestamp()
    assert next_time("07:00", evening) == datetime(2026, 2, 1, 7, 0, tzinfo=UTC).timestamp()
