"""Pictures in linear light go through the network as sRGB; all others as they are."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from jobs.engine.codecs.color.description import is_linear, profile_of_cicp
from jobs.engine.linear_light import as_linear, as_srgb
from jobs.engine.types import Cicp, Metadata, Picture, Weights
from tests.jobs.engine.codecs.samples import SRGB
from tests.jobs.engine.conftest import photo, picture, upscaler

LINEAR = {
    "code points": Metadata(cicp=Cicp(9, 8)),
    "gamma": Metadata(gamma=1.0),
    "profile": Metadata(icc=profile_of_cicp(Cicp(1, 8), 3)),
    "gray profile": Metadata(icc=profile_of_cicp(Cicp(1, 8), 1)),
}
OTHERS = {
    "nothing": Metadata(),
    "PQ": Metadata(cicp=Cicp(9, 16)),
    "gamma": Metadata(gamma=0.45455),
    "sRGB profile": Metadata(icc=SRGB),
    "power profile": Metadata(icc=profile_of_cicp(Cicp(1, 4), 3)),
    "code points rule": Metadata(cicp=Cicp(1, 13), gamma=1.0),
    "no profile": Metadata(icc=b"\xff" * 300),
}


def srgb(light: Any) -> Any:
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("kind", LINEAR)
def test_linear_light_is_recognised(kind: str) -> None:
    assert is_linear(LINEAR[kind])


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_not_linear_goes_as_it_is(kind: str) -> None:
    assert not is_linear(OTHERS[kind])
    assert as_srgb(replace(picture(photo(8, 8)), metadata=OTHERS[kind])) is None


@pytest.mark.parametrize("bits", [8, 16])
def test_there_and_back_changes_nothing_that_can_be_seen(bits: int) -> None:
    full = (1 << bits) - 1
    values = np.arange(full + 1, dtype=np.uint8 if bits == 8 else np.uint16).reshape(-1, 16, 1)
    made = replace(picture(values), metadata=Metadata(gamma=1.0))
    seen = as_srgb(made)
    assert seen is not None
    shown = seen.frames[0].color.astype(np.float64) / 65535
    assert np.abs(shown - srgb(values.astype(np.float64) / full)).max() <= 0.5 / 65535 + 1e-12
    back = as_linear(seen.frames, made)[0].color
    assert back.dtype == values.dtype
    # sRGB's steps are wider than linear ones near white, by 2.28 at most (the slope of its curve there).
    assert np.abs(back.astype(int) - values).max() <= (0 if bits == 8 else 2)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bits", [8, 16])
def test_the_network_sees_srgb(compact: Weights, bits: int, channels: int) -> None:
    pixels = photo(24, 20, bits=bits, channels=channels)
    made = replace(picture(pixels), metadata=Metadata(gamma=1.0))
    out, report = upscaler().upscale(made, compact)
    assert report.notes == ("linear light: the network saw the picture as sRGB",)
    assert out.frames[0].color.dtype == pixels.dtype
    full = (1 << bits) - 1
    shown = np.rint(srgb(pixels / full) * 65535).astype(np.uint16)
    expected: Picture = upscaler().upscale(picture(shown), compact)[0]
    light = out.frames[0].color / full
    # Compared as sRGB; a step of 8 bit near black is steep there.
    assert np.abs(srgb(light) - expected.frames[0].color / 65535)[light > 0.02].max() < (0.01 if bits == 8 else 1e-3)
