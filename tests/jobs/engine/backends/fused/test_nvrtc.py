"""The kernels' source by NVIDIA's own compiler, for every architecture that may get them. Needs no card."""

import pytest

from jobs.engine.backends.fused import nvrtc
from jobs.engine.backends.fused.kernels import pixel_programs, shapes

#: Compute capability and the shared memory that a block may ask for there.
CARDS = {80: 166_912, 86: 101_376, 87: 166_912, 89: 101_376, 90: 232_448, 100: 232_448, 120: 101_376}


@pytest.mark.parametrize("architecture", CARDS)
def test_everything_compiles(architecture: int) -> None:
    try:
        nvrtc.library()
    except OSError as error:
        pytest.skip(f"NVIDIA's run-time compiler is not installed: {error}")
    programs = [
        shape.program for each in shapes(divmod(architecture, 10), CARDS[architecture]).values() for shape in each
    ]
    programs.append(pixel_programs(3)["enter"])
    wanted = {(f"sm_{architecture}{'a' if each.own_architecture else ''}", each.source) for each in programs}
    for binary in nvrtc.compile_all(wanted).values():
        assert binary[:4] == b"\x7fELF"


def test_a_mistake_is_reported_in_the_compilers_words() -> None:
    try:
        nvrtc.library()
    except OSError as error:
        pytest.skip(f"NVIDIA's run-time compiler is not installed: {error}")
    with pytest.raises(RuntimeError, match=r"NVRTC for sm_80: .*undefined"):
        nvrtc.compile_one("sm_80", 'extern "C" __global__ void wrong() { nothing(); }')
