"""A trial of OpenVINO on this processor with the one operation that it is known to get wrong.

OpenVINO 2026.4 enlarges by nearest neighbour, which every network here does, to arbitrary numbers on x86 processors
without AVX (Celeron, Pentium, Atom), and says nothing. ``ONEDNN_MAX_CPU_ISA=SSE41`` shows it on any x86 processor.
"""

import functools

import numpy as np


@functools.cache  # a processor stays what it is
def trouble() -> str:
    """Return why OpenVINO, which is installed, must not be used here; "" where it computes rightly."""
    # In plain layout, as at the input of a network; and between convolutions, in the layout that these choose.
    if _enlarges_exactly(3, 4, between_convolutions=False) and _enlarges_exactly(16, 2, between_convolutions=True):
        return ""
    return "OpenVINO computes wrong numbers on this processor, as on x86 without AVX"


def _enlarges_exactly(channels: int, scale: int, *, between_convolutions: bool) -> bool:
    """Return True if pixels enlarged ``scale`` times are copies of the pixels given: whole numbers, so bit for bit."""
    import openvino  # noqa: PLC0415 - may be absent
    from openvino import opset13 as ops  # noqa: PLC0415 - as above

    def convolved(node: openvino.Node) -> openvino.Node:
        """Return the same numbers: each channel is its own input alone."""
        if not between_convolutions:
            return node
        return ops.convolution(
            node, np.eye(channels, dtype=np.float32)[:, :, None, None], [1, 1], [0, 0], [0, 0], [1, 1]
        )

    pixels = ops.parameter([1, channels, -1, -1], np.float32)  # (N, C, H, W)
    enlarged = ops.interpolate(
        convolved(pixels),
        np.array([scale, scale], np.float32),
        "nearest",
        "scales",
        axes=np.array([2, 3]),
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    model = openvino.Model([ops.result(convolved(enlarged))], [pixels])
    given = np.arange(channels * 5 * 7, dtype=np.float32).reshape(1, channels, 5, 7)
    try:
        got = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(given)[0]
    except RuntimeError:  # it refuses some layouts of what it gets wrong in others
        return False
    return np.array_equal(got, given.repeat(scale, axis=2).repeat(scale, axis=3))
