"""Which calls are recorded, which recordings are kept, and what is said when one cannot be made."""

from typing import Any

import pytest

from jobs.engine.backends.batching import Kind
from jobs.engine.backends.cuda_graphs import GraphCache, Key, RecordingFailedError


class Made:
    """A recording of that many bytes."""

    def __init__(self, key: Key, held_bytes: int) -> None:
        self.key, self.held_bytes = key, held_bytes
        self.dropped = False

    def drop(self) -> None:
        self.dropped = True


class Recorder:
    """Makes recordings and remembers them."""

    def __init__(self, held_bytes: int = 10) -> None:
        self.held_bytes = held_bytes
        self.made: list[Made] = []
        self.error: RecordingFailedError | None = None

    def __call__(self, key: Key) -> Made:
        if self.error is not None:
            raise self.error
        self.made.append(Made(key, self.held_bytes))
        return self.made[-1]


def key(side: int, count: int = 1) -> Key:
    return Kind(side, side, 3, "uint8", "uint8"), count


def shelf(recorder: Recorder, **arguments: Any) -> GraphCache[Made]:
    return GraphCache(recorder, **{"most_bytes": 100, "most": 3, "from_calls": 4, **arguments})


def take(shelf: GraphCache[Made], which: Key, coming: int = 100, expected: int = 10) -> Made | None:
    return shelf.take(which, coming=coming, expected_bytes=expected)[0]


def test_the_first_call_of_a_kind_is_plain_and_the_next_is_recorded_once() -> None:
    recorder = Recorder()
    made = shelf(recorder)
    assert take(made, key(8)) is None
    first = take(made, key(8))
    assert first is not None
    assert take(made, key(8)) is first
    assert (len(recorder.made), made.replays) == (1, 2)


@pytest.mark.parametrize(
    ("coming", "recorded_at"), [([1, 1, 1, 1], 3), ([2, 1, 2, 1], 2), ([3, 2, 1, 1], 3), ([4, 3, 2, 1], 1)]
)
def test_calls_are_recorded_when_they_came_and_will_come_often_enough(coming: list[int], recorded_at: int) -> None:
    made = shelf(Recorder())
    recorded = [take(made, key(8), coming=left) is not None for left in coming]
    assert recorded.index(True) == recorded_at


def test_shapes_that_each_come_once_are_never_recorded() -> None:
    recorder = Recorder()
    made = shelf(recorder)
    for side in range(8, 400):
        assert take(made, key(side), coming=1) is None
    assert not recorder.made


def test_the_least_recently_used_is_dropped() -> None:
    recorder = Recorder()
    made = shelf(recorder)
    for side in (1, 2, 3, 1, 4):
        take(made, key(side))
        take(made, key(side))
    assert [(each.key[0].height, each.dropped) for each in recorder.made] == [
        (1, False), (2, True), (3, False), (4, False),
    ]  # fmt: skip
    assert (len(made), made.held_bytes) == (3, 30)


def test_memory_held_is_bounded_by_what_is_expected_and_by_what_came() -> None:
    recorder = Recorder(held_bytes=60)
    made = shelf(recorder)
    take(made, key(1))
    assert take(made, key(1), expected=101) is None  # alone too large: not recorded, and no failure
    assert take(made, key(1), expected=60) is not None
    take(made, key(2))
    assert take(made, key(2), expected=10) is not None  # it came larger than expected
    assert made.held_bytes == 60
    assert recorder.made[0].dropped
    assert not recorder.made[1].dropped


def test_a_recording_that_fails_is_told_every_time_and_tried_once() -> None:
    recorder = Recorder()
    made = shelf(recorder)
    take(made, key(8))
    recorder.error = RecordingFailedError("memory ran out", lasting=False)
    recording, notes = made.take(key(8, 1), coming=9, expected_bytes=1)
    assert recording is None
    assert notes == ("no CUDA graph for 1 × 8×8 px: memory ran out",)
    recorder.error = None
    assert made.take(key(8), coming=9, expected_bytes=1) == (None, notes)
    take(made, key(9))
    assert take(made, key(9)) is not None  # of another shape it may well succeed


def test_what_fails_for_good_is_not_tried_for_other_shapes() -> None:
    recorder = Recorder()
    made = shelf(recorder)
    recorder.error = RecordingFailedError("not permitted while capturing", lasting=True)
    take(made, key(8))
    take(made, key(8))
    recorder.error = None
    take(made, key(9))
    recording, notes = made.take(key(9), coming=9, expected_bytes=1)
    assert recording is None
    assert notes == ("no CUDA graph for 1 × 9×9 px: not permitted while capturing",)


def test_everything_can_be_dropped_and_recorded_again() -> None:
    recorder = Recorder()
    made = shelf(recorder)
    assert not made.clear()
    take(made, key(8))
    take(made, key(8))
    assert made.clear()
    assert recorder.made[0].dropped
    assert (len(made), made.held_bytes) == (0, 0)
    assert take(made, key(8)) is not None


def test_recordings_can_be_switched_off() -> None:
    made = shelf(Recorder(), enabled=False)
    assert [take(made, key(8)) for _ in range(9)] == [None] * 9
