"""Chains: networks one after the other on one picture, with one progress and one report."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from jobs.engine import linear_light
from jobs.engine.backends.network_cache import NetworkPool
from jobs.engine.errors import Cancelled, DeviceUnavailable, WeightsRejected
from jobs.engine.tile_runner import with_border
from jobs.engine.types import Frame, GainMap, Metadata, Picture, Runtime, UpscaleOptions, Weights
from jobs.engine.upscaler import Upscaler
from modelstore.networks.checkpoint import load
from tests.jobs.engine.conftest import difference, photo, picture, upscaler
from tests.jobs.engine.test_tile_runner import CrampedPool

Array = NDArray[Any]


def through(weights: Weights, plane: Array) -> Array:
    """What a network gives for a whole plane (H, W, 3) of [0, 1] in float, in the plainest torch."""
    network, spec = load(weights.path)
    height, width = plane.shape[:2]
    x = torch.from_numpy(with_border(plane, spec.unshuffle).astype(np.float32)).permute(2, 0, 1).unsqueeze(0)
    with torch.inference_mode():
        out = network(x)[0].permute(1, 2, 0)[: height * spec.scale, : width * spec.scale]
    return np.asarray(out.clamp(0, 1).numpy())


def by_hand(chain: Sequence[Weights], pixels: Array, step: float = 0.0) -> Array:
    """The chain in float, rounded at the end alone, or between the networks to multiples of ``step`` as well."""
    full = np.iinfo(pixels.dtype).max
    plane = pixels / np.float32(full)
    for weights in chain[:-1]:
        plane = through(weights, plane)
        plane = np.rint(plane / step) * np.float32(step) if step else plane
    return np.asarray(np.rint(through(chain[-1], plane) * full).astype(pixels.dtype))


def decibels(one: Array, other: Array) -> float:
    full = np.iinfo(one.dtype).max
    error = np.mean(((one.astype(np.float64) - other) / full) ** 2)
    return float(-10 * np.log10(error)) if error else float("inf")


@pytest.fixture
def three(dense: dict[int, Weights], compact_x2: Weights, compact: Weights) -> tuple[Weights, ...]:
    """A restorer and two that enlarge: 8 times in all."""
    return dense[1], compact_x2, compact


@pytest.mark.parametrize("bits", [8, 16])
def test_a_chain_is_its_networks_one_after_the_other(three: tuple[Weights, ...], bits: int, one_thread: None) -> None:
    pixels = photo(61, 47, bits=bits)
    made, report = upscaler().upscale(picture(pixels), three)
    assert (made.width, made.height, made.bits) == (8 * 61, 8 * 47, bits)
    assert difference(made.frames[0].color, by_hand(three, pixels)) <= (1 if bits == 8 else 16)
    assert (report.model, report.scale, report.passes) == ("dense-x1+compact-x2+compact-x4", 8.0, 3)


def test_between_members_nothing_is_lost_that_8_bit_would_show(three: tuple[Weights, ...], one_thread: None) -> None:
    """16 bit lies far beyond what a result of 8 bit holds (59 dB of rounding noise alone), and 8 bit would not."""
    pixels = photo(96, 80, bits=16)
    exact = by_hand(three, pixels)
    made, _ = upscaler().upscale(picture(pixels), three)
    assert decibels(made.frames[0].color, exact) > 100
    assert decibels(by_hand(three, pixels, step=1 / 255), exact) < 70
    shown = photo(96, 80)
    made, _ = upscaler().upscale(picture(shown), three)
    assert np.mean(made.frames[0].color != by_hand(three, shown)) < 0.005  # rounded the other way, at the very border


def test_each_member_is_tiled_by_itself_and_the_result_shows_no_tile(three: tuple[Weights, ...]) -> None:
    pixels = photo(90, 70)
    whole, _ = upscaler().upscale(picture(pixels), three[1:], UpscaleOptions(tile_size=0))
    tiled, report = upscaler().upscale(picture(pixels), three[1:], UpscaleOptions(tile_size=64))
    assert difference(whole.frames[0].color, tiled.frames[0].color) <= 1
    assert [member.tiles for member in report.members] == [2 * 2, 3 * 3]


def test_the_report_tells_of_each_member_and_of_all(three: tuple[Weights, ...]) -> None:
    _, report = upscaler().upscale(picture(photo(90, 70)), three, UpscaleOptions(tile_size=64))
    assert [(member.model, member.scale) for member in report.members] == [
        ("dense-x1", 1), ("compact-x2", 2), ("compact-x4", 4)
    ]  # fmt: skip
    assert report.tiles == sum(member.tiles for member in report.members)
    assert {member.backend for member in report.members} == {report.backend} == {"torch"}
    for span in ("load", "infer"):
        assert all(member.seconds[span] > 0 for member in report.members)
    assert sum(member.seconds["infer"] for member in report.members) <= report.seconds["infer"]
    _, alone = upscaler().upscale(picture(photo(30, 20)), three[2])
    assert (alone.members, alone.model) == ((), "compact-x4")


def test_one_progress_counts_the_tiles_of_all_members(three: tuple[Weights, ...]) -> None:
    seen: list[tuple[int, int]] = []
    frames = tuple(Frame(color=photo(60, 40, seed=seed), duration_ms=40) for seed in range(3))
    made, report = upscaler().upscale(
        Picture("webp", frames, Metadata(loop=0)), three, UpscaleOptions(tile_size=64),
        lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    assert seen == [(done, report.tiles) for done in range(1, report.tiles + 1)]
    assert [frame.duration_ms for frame in made.frames] == [40, 40, 40]
    for frame, source in zip(made.frames, frames, strict=True):
        alone, _ = upscaler().upscale(picture(source.color), three, UpscaleOptions(tile_size=64))
        assert difference(frame.color, alone.frames[0].color) <= 1


@pytest.mark.parametrize(
    ("outscale", "members", "size"),
    [
        (None, [1, 1, 1], (240, 160)),
        (1.0, [1, 1, 1], (30, 20)),
        (5.5, [1, 1, 1], (165, 110)),
        (12.0, [1, 1, 1], (360, 240)),
        (16.0, [1, 1, 2], (480, 320)),
    ],
)
def test_the_scale_is_that_of_the_whole_chain(
    three: tuple[Weights, ...], outscale: float | None, members: list[int], size: tuple[int, int]
) -> None:
    """Resized once, at the end; beyond one and a half times the chain's own the last that enlarges runs again."""
    made, report = upscaler().upscale(picture(photo(30, 20)), three, UpscaleOptions(outscale=outscale))
    assert (made.width, made.height) == size
    assert [member.passes for member in report.members] == members
    assert report.passes == sum(members)


def test_a_restorer_behind_runs_once_after_the_last_enlarging_pass(dense: dict[int, Weights], compact: Weights) -> None:
    """×4, ×4, then the restorer on what came of it, reduced to ×12."""
    pixels = photo(18, 14)
    made, report = upscaler().upscale(picture(pixels), (compact, dense[1]), UpscaleOptions(outscale=12.0))
    assert [member.passes for member in report.members] == [2, 1]
    hand, _ = upscaler().upscale(picture(pixels), (compact, compact, dense[1]), UpscaleOptions(outscale=12.0))
    assert difference(made.frames[0].color, hand.frames[0].color) == 0


# --- what is done beside the networks


def test_alpha_flat_colour_and_gain_map_go_through_a_chain_once(dense: dict[int, Weights], compact: Weights) -> None:
    chain = (dense[1], compact)
    hole = np.zeros((40, 52), np.uint8)
    hole[8:30, 10:44] = 255
    light = GainMap(Frame(color=photo(26, 20, channels=1, seed=4)), xmp=b"parameters")
    flat = np.full((40, 52, 3), (10, 200, 77), np.uint8)
    made, _ = upscaler().upscale(replace(picture(flat, hole), gain_map=light), chain)
    frame = made.frames[0]
    assert frame.alpha is not None
    assert frame.alpha.shape == (160, 208)
    assert {0, 255} <= set(np.unique(frame.alpha))
    assert (frame.color[frame.alpha == 0] == 0).all()
    assert (frame.color[frame.alpha == 255] == (10, 200, 77)).all()
    assert made.gain_map is not None
    assert made.gain_map.frame.color.shape == (80, 104, 1)
    steady = np.full((40, 52), 128, np.uint8)
    again, _ = upscaler().upscale(picture(photo(52, 40), steady), chain)
    assert again.frames[0].alpha is not None
    assert (again.frames[0].alpha == 128).all()


@pytest.mark.parametrize("bits", [8, 16])
def test_gray_stays_gray_through_every_member(three: tuple[Weights, ...], bits: int) -> None:
    made, _ = upscaler().upscale(picture(photo(40, 30, channels=1, bits=bits)), three)
    assert made.frames[0].color.shape == (240, 320, 1)
    assert made.bits == bits


def test_linear_light_is_shown_as_srgb_once(dense: dict[int, Weights], compact: Weights) -> None:
    """A chain that did it for each member would brighten the picture twice."""
    shot = replace(picture(photo(40, 30, bits=16)), metadata=Metadata(gamma=1.0))
    made, report = upscaler().upscale(shot, (dense[1], compact))
    assert [note for note in report.notes if "linear" in note] == ["linear light: the network saw the picture as sRGB"]
    seen = linear_light.as_srgb(shot)
    assert seen is not None
    shown, _ = upscaler().upscale(replace(seen, metadata=Metadata()), (dense[1], compact))
    (wanted,) = linear_light.as_linear(shown.frames, shot)
    assert difference(made.frames[0].color, wanted.color) == 0


# --- what goes wrong


def test_a_chain_stops_between_two_tiles_of_its_second_member(three: tuple[Weights, ...]) -> None:
    options = UpscaleOptions(tile_size=64)
    _, report = upscaler().upscale(picture(photo(90, 70)), three, options)
    first = report.members[0].tiles
    calls = []

    def stop(done: int, total: int) -> None:
        calls.append(done)
        if done == first + 2:
            raise Cancelled("stopped by the caller")

    with pytest.raises(Cancelled):
        upscaler().upscale(picture(photo(90, 70)), three, options, stop)
    assert calls == list(range(1, first + 3))


def test_memory_that_is_short_in_one_member_leaves_the_others_tiles(compact_x2: Weights, compact: Weights) -> None:
    """The second member meets a device that bears 44 px a side alone; its tiles of 64 are halved, the first's not."""
    pool = CrampedPool(44 * 44, refusals=0)
    seen: list[tuple[int, int]] = []

    def tighten(done: int, total: int) -> None:
        pool.refusals = 1_000_000 if done >= 4 else 0
        seen.append((done, total))

    pixels = photo(128, 120)
    made, report = Upscaler(pool).upscale(
        picture(pixels), (compact_x2, compact), UpscaleOptions(tile_size=64, tile_pad=4), tighten
    )
    assert [(member.tiles, member.out_of_memory_shrinks, member.tile_size) for member in report.members] == [
        (4, 0, 64), (16 * 4, 1, 32)
    ]  # fmt: skip
    assert seen[:4] == [(done, 4 + 16) for done in range(1, 5)]
    assert seen[4:] == [(done, 4 + 64) for done in range(5, 69)]
    whole, _ = upscaler().upscale(picture(pixels), (compact_x2, compact), UpscaleOptions(tile_size=0))
    assert difference(whole.frames[0].color, made.frames[0].color) <= 3


def test_a_member_that_overflows_is_redone_in_fp32_and_no_other_is(compact_x2: Weights, compact: Weights) -> None:
    pool = CrampedPool(10**9, refusals=0)
    pool.blind = {1}  # the first call of all: a tile of the first member
    _, report = Upscaler(pool).upscale(picture(photo(60, 40)), (compact_x2, compact))
    assert [member.fp32_redone_tiles for member in report.members] == [1, 0]
    assert report.fp32_redone_tiles == 1


def test_a_note_of_one_member_bears_its_name(compact_x2: Weights, compact: Weights) -> None:
    engine = upscaler()
    engine.pool.give_up(compact)
    _, report = engine.upscale(picture(photo(30, 20)), (compact_x2, compact))
    assert report.notes == ("compact-x4: bf16 overflowed for this network before; computed in fp32",)
    engine.pool.give_up(compact_x2)
    _, report = engine.upscale(picture(photo(30, 20)), (compact_x2, compact))
    assert report.notes == ("bf16 overflowed for this network before; computed in fp32",)  # what all say is said once


def test_a_pool_that_has_room_for_one_network_computes_a_chain(three: tuple[Weights, ...]) -> None:
    """The first is put out of it when the second is loaded, and still computes what is to come."""
    pool = NetworkPool(Runtime(device="cpu", backend="torch", precision="fp32"), max_bytes=1)
    made, _ = Upscaler(pool).upscale(picture(photo(40, 30)), three)
    roomy, _ = upscaler().upscale(picture(photo(40, 30)), three)
    assert len(pool) == 1
    assert difference(made.frames[0].color, roomy.frames[0].color) == 0


def test_a_member_that_cannot_be_read_is_refused_by_name(compact: Weights, tmp_path: Any) -> None:
    broken = tmp_path / "broken.pth"
    broken.write_bytes(b"no network")
    with pytest.raises(WeightsRejected, match=r"broken\.pth"):
        upscaler().upscale(picture(photo(30, 20)), (compact, Weights("broken", broken)))


def test_a_chain_needs_a_network_and_a_scale_within_bounds(compact: Weights, compact_x2: Weights) -> None:
    with pytest.raises(ValueError, match="no networks"):
        upscaler().upscale(picture(photo(30, 20)), ())
    with pytest.raises(ValueError, match=r"a scale of 32; 1 to 16 are possible"):
        upscaler().upscale(picture(photo(30, 20)), (compact, compact_x2, compact))


def test_the_reference_refuses_chains(compact: Weights, compact_x2: Weights) -> None:
    with pytest.raises(DeviceUnavailable, match="one model at a time"):
        upscaler("reference").upscale(picture(photo(30, 20)), (compact, compact_x2))
