"""Drivers that lie, run out of memory, fail or hang: a pretended ncnn does as they do, in a process of its own."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from jobs.engine.backends.vulkan import devices
from jobs.engine.errors import DeviceLost, OutOfMemory, WeightsRejected
from jobs.engine.tile_runner import GIVE_UP_AFTER
from jobs.engine.types import Report, UpscaleOptions, Weights
from jobs.engine.upscaler import Upscaler
from modelstore.networks.srvgg import SRVGGNetCompact
from tests.jobs.engine.conftest import photo, picture, save_network

Pretend = Callable[..., Upscaler]


def copied(one: Upscaler, weights: Weights, tile: int | None = None) -> Report:
    """The report on a picture; its pixels must be the copies that the network makes."""
    pixels = photo(70, 40)
    result, report = one.upscale(picture(pixels), weights, UpscaleOptions(tile_size=tile))
    assert np.array_equal(result.frames[0].color, pixels.repeat(2, axis=0).repeat(2, axis=1))
    return report


def test_a_sound_device_is_left_alone(pretend: Pretend, copier: Weights) -> None:
    report = copied(pretend(), copier, 32)
    assert (report.device, report.device_name) == ("vulkan:1", "Pretended RX 580")
    assert (report.precision, report.fp32_redone_tiles, report.notes) == ("fp16", 0, ())


@pytest.mark.parametrize(
    ("failure", "word"),
    [
        ("black:half", "of one colour"),  # Upscayl issues 1203 and 1353: all black, and no error
        ("black below:half", "from the right one"),  # the driver gave up in the middle
        ("inverted:half", "from the right one"),
        ("nan:half", ""),
    ],
)
def test_a_wrong_tile_is_computed_again_in_fp32_and_reported(
    failure: str, word: str, pretend: Pretend, copier: Weights
) -> None:
    report = copied(pretend(failure), copier)
    assert report.fp32_redone_tiles == 1
    assert (word in str(report.notes)) if word else not report.notes


def test_half_precision_that_is_always_wrong_is_given_up(pretend: Pretend, copier: Weights) -> None:
    report = copied(pretend("black:half"), copier, 16)
    assert report.tiles > GIVE_UP_AFTER
    assert report.fp32_redone_tiles == report.tiles
    assert "fp32 from there on" in str(report.notes)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("failure", ["black", "black below", "inverted", "nan"])
def test_what_is_wrong_in_fp32_too_is_computed_on_the_cpu_and_reported(
    failure: str, precision: str, pretend: Pretend, copier: Weights
) -> None:
    report = copied(pretend(failure, precision=precision), copier, 16)
    assert "vulkan:1 gave wrong numbers only; computed on the CPU" in report.notes


def test_a_flat_picture_is_no_fault(pretend: Pretend, copier: Weights) -> None:
    one, gray = pretend(), np.full((40, 40, 3), 99, np.uint8)
    result, report = one.upscale(picture(gray), copier, UpscaleOptions(hold_flat="never"))
    assert (result.frames[0].color == 99).all()
    assert (report.fp32_redone_tiles, report.notes) == (0, ())


@pytest.mark.parametrize("failure", ["no memory, black", "no memory, crash", "no memory, code", "killed"])
def test_tiles_are_halved_where_the_device_gives_no_memory(failure: str, pretend: Pretend, copier: Weights) -> None:
    # Real-ESRGAN-ncnn-vulkan issue 80: vkAllocateMemory fails on an integrated card, and the picture is black.
    report = copied(pretend(failure, PRETENDED_PIXELS="2000"), copier)
    assert report.out_of_memory_shrinks >= 1
    assert report.fp32_redone_tiles == 0
    assert 0 < report.tile_size <= 64


def test_memory_that_is_short_for_the_smallest_tile_is_named(pretend: Pretend, copier: Weights) -> None:
    with pytest.raises(OutOfMemory, match=r"Pretended RX 580 has too little free memory .* vkAllocateMemory failed -2"):
        copied(pretend("no memory, crash"), copier)


def test_weights_that_find_no_room_are_named(pretend: Pretend, copier: Weights) -> None:
    with pytest.raises(OutOfMemory, match=r"for the network's weights.* vkAllocateMemory failed -2"):
        copied(pretend("no memory for weights"), copier)


@pytest.mark.parametrize(
    ("failure", "word"),
    [
        ("lost", "VK_ERROR_DEVICE_LOST, vkQueueSubmit failed -4"),
        ("lost, silent", "VK_ERROR_DEVICE_LOST, vkWaitForFences failed -4"),
        ("code", "ncnn failed with -1"),
        ("crash", "SIGSEGV"),
    ],
)
def test_a_device_that_fails_is_lost(failure: str, word: str, pretend: Pretend, copier: Weights) -> None:
    with pytest.raises(DeviceLost, match=f"Pretended RX 580 failed: .*{word}"):
        copied(pretend(failure), copier)


def test_a_device_that_hangs_is_lost_when_its_time_is_over(
    pretend: Pretend, copier: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.engine.backends.vulkan.network.PATIENCE", 1.0)
    with pytest.raises(DeviceLost, match="Pretended RX 580 did not answer within 1 s"):
        copied(pretend("hangs"), copier)


def test_a_crash_at_the_end_is_seen(pretend: Pretend, copier: Weights) -> None:
    copied(pretend("crashes at the end"), copier)
    with pytest.raises(DeviceLost, match="did not end in good order"):
        devices.process_of("vulkan:1").close()


def test_a_network_without_finite_numbers_is_the_networks_fault(pretend: Pretend, tmp_path: Path) -> None:
    network = SRVGGNetCompact(features=4, convolutions=1, scale=2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(3e38)
    weights = save_network(tmp_path / "overflows.pth", network)
    with pytest.raises(WeightsRejected, match="not finite"):
        pretend("nan").upscale(picture(photo(20, 20)), weights)
