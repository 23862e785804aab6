"""A size in pixels becomes the factor that reaches it exactly, or an error that names what is possible."""

import random

import pytest

from jobs.engine.tiling.passes import plan_passes
from jobs.engine.types import Header
from jobs.errors import SizeUnreachable
from jobs.submission.target_size import TargetSize


def header(width: int, height: int) -> Header:
    """The header of a plain picture."""
    return Header(format="png", width=width, height=height, frames=1, bits=8, gray=False, alpha=False)


def result(target: TargetSize, width: int, height: int) -> tuple[int, int]:
    """The size that a picture comes to."""
    passes = plan_passes(width, height, 4, target.outscale(header(width, height)))
    return passes.width, passes.height


@pytest.mark.parametrize(
    ("target", "size", "expected"),
    [
        (TargetSize(longest_side=3840), (1600, 1067), (3840, 2560)),
        (TargetSize(longest_side=3840), (1067, 1600), (2560, 3840)),
        (TargetSize(width=3840), (1067, 1600), (3840, 5758)),
        (TargetSize(height=2160), (1000, 999), (2162, 2160)),
        (TargetSize(width=3840, height=2160), (1000, 1000), (2160, 2160)),
        (TargetSize(width=3840, height=2160), (1920, 800), (3840, 1600)),
        (TargetSize(longest_side=64), (64, 48), (64, 48)),
        (TargetSize(width=16 * 64), (64, 48), (1024, 768)),
    ],
)
def test_the_picture_keeps_its_proportions_and_has_the_size(
    target: TargetSize, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert result(target, *size) == expected


def test_every_reachable_side_is_met_to_the_pixel() -> None:
    rng = random.Random(20)
    for _ in range(20_000):
        side, other = rng.randint(1, 9000), rng.randint(1, 9000)
        wanted = rng.randint(side, side * 16)
        assert result(TargetSize(width=wanted), side, other)[0] == wanted
        assert result(TargetSize(height=wanted), other, side)[1] == wanted


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (TargetSize(longest_side=63), "the longest side can become 64 to 1024 px, not 63"),
        (TargetSize(longest_side=1025), "the longest side can become 64 to 1024 px, not 1025"),
        (TargetSize(height=47, width=500), "the height can become 48 to 768 px, not 47"),
        (TargetSize(width=1025), "the width can become 64 to 1024 px, not 1025"),
    ],
)
def test_a_size_out_of_reach_is_refused_with_what_is_possible(target: TargetSize, message: str) -> None:
    with pytest.raises(SizeUnreachable, match=message):
        target.outscale(header(64, 48))
