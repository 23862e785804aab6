"""What the name of a licence tells."""

import pytest

from modelstore.licences import forbids_commercial_use, named


@pytest.mark.parametrize(
    "licence",
    [
        "CC-BY-NC-4.0", "CC-BY-NC-SA-4.0", "cc by-nc 4.0", "CC BY NC SA", "Non-Commercial", "noncommercial research",
        "PolyForm-Noncommercial-1.0.0", "For research purposes only", "academic use only", "S-Lab License 1.0",
        "NVIDIA Source Code License-NC", "BY-NC",
    ],
)  # fmt: skip
def test_a_licence_that_forbids_commercial_use_is_seen(licence: str) -> None:
    assert forbids_commercial_use(licence)
    assert named(licence) == f"{licence} (non-commercial)"


@pytest.mark.parametrize(
    "licence",
    ["", "BSD-3-Clause", "MIT", "Apache-2.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC0-1.0", "WTFPL", "GPL-3.0", "NCSA"],
)  # fmt: skip
def test_others_are_not(licence: str) -> None:
    assert not forbids_commercial_use(licence)
    assert named(licence) == (licence or "not told")
