"""Passes: which networks run over which sizes, and what is resized at the end."""

import pytest

from jobs.engine.tiling.passes import native_scale, plan_passes


@pytest.mark.parametrize(
    ("scales", "outscale", "members", "inputs", "size"),
    [
        (4, None, (0,), [10], 40),
        (4, 16.0, (0, 0), [10, 40], 160),
        ([4], 16.0, (0, 0), [10, 40], 160),
        ([1, 4], None, (0, 1), [10, 10], 40),
        ([1, 4], 2.0, (0, 1), [10, 10], 20),
        ([1, 4], 6.0, (0, 1), [10, 10], 60),
        ([1, 4], 16.0, (0, 1, 1), [10, 10, 40], 160),
        ([4, 1], None, (0, 1), [10, 40], 40),
        ([4, 1], 16.0, (0, 0, 1), [10, 40, 160], 160),
        ([2, 4], None, (0, 1), [10, 20], 80),
        ([2, 4], 16.0, (0, 1, 1), [10, 20, 80], 160),
        ([4, 1, 2], 16.0, (0, 1, 2, 2), [10, 40, 40, 80], 160),
        ([4, 4], None, (0, 1), [10, 40], 160),
        ([1, 1, 1], 3.0, (0, 1, 2), [10, 10, 10], 30),
    ],
)
def test_passes_reach_the_scale_of_the_whole_chain(
    scales: int | list[int], outscale: float | None, members: tuple[int, ...], inputs: list[int], size: int
) -> None:
    passes = plan_passes(10, 20, scales, outscale)
    assert passes.members == members
    assert passes.inputs == tuple((side, 2 * side) for side in inputs)
    assert (passes.width, passes.height) == (size, 2 * size)
    assert passes.scale == (native_scale(scales) if outscale is None else outscale)


def test_a_chain_beyond_sixteen_times_needs_a_scale_within() -> None:
    with pytest.raises(ValueError, match="a scale of 32; 1 to 16 are possible"):
        plan_passes(10, 10, [4, 4, 2], None)
    assert plan_passes(10, 10, [4, 4, 2], 8.0).inputs == ((10, 10), (40, 40), (160, 160))
