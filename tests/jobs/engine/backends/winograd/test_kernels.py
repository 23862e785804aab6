"""The kernels over random shapes, held against plain loops: optimised, and under sanitizers."""

import pytest

from jobs.engine.backends.winograd.build import BuildFailed, compiler
from jobs.engine.backends.winograd.library import runnable
from jobs.engine.backends.winograd.variants import variants
from tests.jobs.engine.backends.winograd.sanitize import SANITIZERS, fuzz

pytestmark = [pytest.mark.slow, pytest.mark.processes]


@pytest.mark.parametrize("sanitizer", ["", *SANITIZERS])
@pytest.mark.parametrize("name", [variant.name for variant in variants()])
def test_random_layers_are_right_and_stay_in_their_memory(name: str, sanitizer: str) -> None:
    variant = next((each for each in runnable() if each.name == name), None)
    if variant is None:
        pytest.skip(f"this processor does not run {name}")
    try:
        command = compiler()
    except BuildFailed as error:
        pytest.skip(str(error))
    well, said = fuzz(command, sanitizer, variant.flags, seconds=2, seed=7)
    if "cannot find" in said and "san" in said:
        pytest.skip(f"the compiler has no sanitizer {sanitizer}")
    assert well, said
