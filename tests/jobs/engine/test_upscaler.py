"""The upscaler: exact tiles, true counts, and what it does when memory, numbers or the caller say stop."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from jobs.engine.backends.base import Block, Network, Window
from jobs.engine.backends.network_cache import NetworkPool
from jobs.engine.errors import Cancelled, OutOfMemory, WeightsDamaged, WeightsRejected
from jobs.engine.tile_runner import with_border
from jobs.engine.types import Frame, GainMap, Metadata, Picture, Runtime, UpscaleOptions, Weights
from jobs.engine.upscaler import Upscaler
from modelstore.networks.checkpoint import load
from modelstore.networks.srvgg import SRVGGNetCompact
from tests.jobs.engine.conftest import difference, photo, picture, save_network, seeded, upscaler

BACKENDS: list[Any] = ["torch", "winograd", pytest.param("openvino", marks=pytest.mark.slow)]


def by_hand(weights: Weights, pixels: np.ndarray) -> np.ndarray:
    """What the network gives for a whole plane, in the plainest torch: the oracle of this file."""
    network, spec = load(weights.path)
    full = np.iinfo(pixels.dtype).max
    height, width = pixels.shape[:2]
    padded = with_border(pixels, spec.unshuffle)
    rgb = np.repeat(padded, 3, axis=2) if pixels.shape[2] == 1 else padded
    x = torch.from_numpy(rgb.astype(np.float32) / full).permute(2, 0, 1).unsqueeze(0)
    with torch.inference_mode():
        out = network(x)[0].permute(1, 2, 0).clamp(0, 1)[: height * spec.scale, : width * spec.scale].double().numpy()
    if pixels.shape[2] == 1:
        out = (out @ np.array([0.299, 0.587, 0.114]))[:, :, np.newaxis]
    rounded: np.ndarray = np.rint(out * full).astype(pixels.dtype)
    return rounded


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("scale", [1, 2, 4])
def test_the_result_is_the_networks_within_rounding(
    dense: dict[int, Weights], backend: Any, bits: int, channels: int, scale: int
) -> None:
    pixels = photo(37, 29, channels=channels, bits=bits)
    made, report = upscaler(backend).upscale(picture(pixels), dense[scale], UpscaleOptions(precision="fp32"))
    wanted = by_hand(dense[scale], pixels)
    assert difference(made.frames[0].color, wanted) <= (1 if bits == 8 else 8)
    assert (report.backend, report.precision, report.device) == (backend, "fp32", "cpu")
    assert (report.scale, report.passes, report.tiles, report.tile_size) == (scale, 1, 1, 0)
    assert set(report.seconds) == {"load", "infer"}


@pytest.mark.slow
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(width=st.integers(1, 150), height=st.integers(1, 150), tile=st.integers(32, 64))
def test_tiling_a_compact_network_is_exact(compact: Weights, width: int, height: int, tile: int) -> None:
    pixels = photo(width, height)
    engine = upscaler()
    whole, _ = engine.upscale(picture(pixels), compact, UpscaleOptions(tile_size=0))
    tiled, report = engine.upscale(picture(pixels), compact, UpscaleOptions(tile_size=tile))
    assert difference(whole.frames[0].color, tiled.frames[0].color) <= 1  # rounding: sums are ordered by shape
    assert np.mean(whole.frames[0].color != tiled.frames[0].color) < 0.001
    if report.tiles > 1:
        assert report.tile_pad == 5


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1, 2, 4])
def test_tiling_a_dense_network_with_its_full_radius_is_exact(dense: dict[int, Weights], scale: int) -> None:
    pixels = photo(210, 130)
    engine = upscaler()
    whole, _ = engine.upscale(picture(pixels), dense[scale], UpscaleOptions(tile_size=0))
    tiled, report = engine.upscale(picture(pixels), dense[scale], UpscaleOptions(tile_size=64, tile_pad=80))
    assert report.tiles == 4 * 3
    assert difference(whole.frames[0].color, tiled.frames[0].color) <= 1


def test_progress_has_the_true_total_and_ends_there(compact: Weights) -> None:
    seen: list[tuple[int, int]] = []
    frames = tuple(Frame(color=photo(100, 70, seed=seed), duration_ms=40) for seed in range(3))
    made, report = upscaler().upscale(
        Picture(format="webp", frames=frames, metadata=Metadata(loop=0)),
        compact,
        UpscaleOptions(tile_size=40),
        lambda done, total: seen.append((done, total)),
    )
    assert seen == [(index + 1, 18) for index in range(18)]
    assert report.tiles == 18
    assert len(made.frames) == 3
    assert [frame.duration_ms for frame in made.frames] == [40, 40, 40]


@pytest.mark.parametrize(("outscale", "size"), [(None, (80, 48)), (2.0, (40, 24)), (1.0, (20, 12)), (3.3, (66, 40))])
def test_a_gain_map_grows_beside_its_picture_and_costs_no_tile(
    compact: Weights, outscale: float | None, size: tuple[int, int]
) -> None:
    shot = picture(photo(40, 24), fmt="jpeg")
    light = GainMap(Frame(color=photo(20, 12, channels=1, seed=4)), xmp=b"parameters")
    made, report = upscaler().upscale(replace(shot, gain_map=light), compact, UpscaleOptions(outscale=outscale))
    plain, counted = upscaler().upscale(shot, compact, UpscaleOptions(outscale=outscale))
    assert difference(made.frames[0].color, plain.frames[0].color) == 0
    assert report.tiles == counted.tiles
    assert plain.gain_map is None
    assert made.gain_map is not None
    assert made.gain_map.frame.color.shape == (size[1], size[0], 1)
    assert made.gain_map.xmp == b"parameters"


def test_what_the_callback_raises_stops_between_tiles(compact: Weights) -> None:
    calls = []

    def stop(done: int, total: int) -> None:
        calls.append(done)
        if done == 2:
            raise Cancelled("stopped by the caller")

    with pytest.raises(Cancelled):
        upscaler().upscale(picture(photo(100, 70)), compact, UpscaleOptions(tile_size=40), stop)
    assert calls == [1, 2]


# --- scales


@pytest.mark.parametrize(
    ("outscale", "passes", "size"),
    [
        (1.0, 1, (30, 20)),
        (2.0, 1, (60, 40)),
        (3.5, 1, (105, 70)),
        (4.0, 1, (120, 80)),
        (6.0, 1, (180, 120)),
        (6.5, 2, (195, 130)),
        (16.0, 2, (480, 320)),
        (1.15, 1, (34, 23)),
    ],
)
def test_any_scale_from_1_to_16(compact: Weights, outscale: float, passes: int, size: tuple[int, int]) -> None:
    made, report = upscaler().upscale(picture(photo(30, 20)), compact, UpscaleOptions(outscale=outscale))
    assert (made.width, made.height) == size
    assert (report.passes, report.scale) == (passes, outscale)


@pytest.mark.parametrize("outscale", [0.5, 16.5, -1.0, float("nan")])
def test_scales_beyond_are_refused(compact: Weights, outscale: float) -> None:
    with pytest.raises(ValueError, match="1 to 16"):
        upscaler().upscale(picture(photo(30, 20)), compact, UpscaleOptions(outscale=outscale))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("tile", [0, 32])
def test_a_reduced_scale_comes_from_unrounded_pixels(compact: Weights, bits: int, tile: int) -> None:
    pixels = photo(70, 90, bits=bits)
    made, _ = upscaler().upscale(picture(pixels), compact, UpscaleOptions(outscale=2.5, tile_size=tile))
    network, _ = load(compact.path)
    full = np.iinfo(pixels.dtype).max
    x = torch.from_numpy(with_border(pixels, 1).astype(np.float32) / full).permute(2, 0, 1).unsqueeze(0)
    with torch.inference_mode():
        out = network(x)[0].clamp(0, 1)[:, : 90 * 4, : 70 * 4].numpy()
    wanted = np.stack(
        [np.asarray(Image.fromarray(plane).resize((175, 225), Image.Resampling.LANCZOS)) for plane in out], axis=2
    )
    wanted = np.rint(np.clip(wanted, 0, 1) * full)
    assert np.abs(made.frames[0].color - wanted).max() <= (1 if bits == 8 else 2)
    if bits == 8:
        assert np.mean(made.frames[0].color != wanted) < 0.02


# --- transparency


def test_there_is_no_halo_around_transparency(real_weights: Path, shared_dir: Path) -> None:
    """A bright shape over hidden black: on a bright background, nothing may be darker than the shape."""
    color = np.zeros((48, 48, 3), np.uint8)
    alpha = np.zeros((48, 48), np.uint8)
    y, x = np.mgrid[0:48, 0:48]
    inside = (x - 24) ** 2 + (y - 24) ** 2 < 16**2
    color[inside], alpha[inside] = 230, 255
    made, _ = upscaler().upscale(picture(color, alpha), Weights("real", real_weights))
    frame = made.frames[0]
    assert frame.alpha is not None
    share = frame.alpha[:, :, np.newaxis] / 255
    on_white = frame.color * share + 255 * (1 - share)
    assert on_white.min() > 215
    on_black = frame.color * share
    assert (on_black <= 245).all()
    far = (np.mgrid[0:192, 0:192][1] / 4 - 24) ** 2 + (np.mgrid[0:192, 0:192][0] / 4 - 24) ** 2 > 22**2
    assert (frame.alpha[far] == 0).all()
    assert (frame.color[frame.alpha == 0] == 0).all()


@pytest.mark.parametrize("value", [0, 90, 255])
def test_constant_alpha_costs_no_tile(compact: Weights, value: int) -> None:
    alpha = np.full((20, 30), value, np.uint8)
    made, report = upscaler().upscale(picture(photo(30, 20), alpha), compact)
    assert report.tiles == 1
    assert made.frames[0].alpha is not None
    assert (made.frames[0].alpha == value).all()
    assert made.frames[0].alpha.shape == (80, 120)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [1, 3])
def test_alpha_keeps_depth_and_colour_count(compact: Weights, bits: int, channels: int) -> None:
    pixels = photo(30, 20, channels=channels, bits=bits)
    alpha = photo(30, 20, channels=1, bits=bits, seed=8)[:, :, 0]
    made, report = upscaler().upscale(picture(pixels, alpha), compact)
    frame = made.frames[0]
    assert frame.alpha is not None
    assert frame.color.shape == (80, 120, channels)
    assert (frame.color.dtype, frame.alpha.dtype) == (pixels.dtype, pixels.dtype)
    assert report.tiles == 2


# --- trouble


class Cramped:
    """A network on a device with little memory: it refuses windows beyond a number of pixels, as a device does."""

    def __init__(self, network: Network, pixels: int) -> None:
        self.network, self.pixels = network, pixels
        self.spec, self.place, self.weight_bytes = network.spec, network.place, network.weight_bytes
        self.runs = 0

    def run(self, windows: Iterable[Window]) -> Iterator[Block]:
        for window in windows:
            if window.pixels.shape[0] * window.pixels.shape[1] > self.pixels:
                raise MemoryError("too little memory")
            self.runs += 1
            yield from self.network.run(iter([window]))

    def release(self) -> bool:
        return self.network.release()


class CrampedPool(NetworkPool):
    """A pool whose networks are cramped."""

    pixels = 0

    def get(self, weights: Weights, precision: Any = None) -> Network:
        network: Any = super().get(weights, precision)
        self.last = Cramped(network, self.pixels)
        return self.last


@pytest.mark.parametrize("tile", [None, 0, 96])
def test_out_of_memory_halves_tiles_and_keeps_the_result(compact: Weights, tile: int | None) -> None:
    pixels = photo(150, 120)
    whole, _ = upscaler().upscale(picture(pixels), compact, UpscaleOptions(tile_size=0))
    pool = CrampedPool(Runtime(device="cpu", backend="torch", precision="fp32"))
    pool.pixels = 60 * 60
    seen: list[tuple[int, int]] = []
    made, report = Upscaler(pool).upscale(
        picture(pixels), compact, UpscaleOptions(tile_size=tile), lambda done, total: seen.append((done, total))
    )
    assert difference(whole.frames[0].color, made.frames[0].color) <= 1
    assert report.out_of_memory_shrinks >= 1
    assert 0 < report.tile_size <= 60
    assert seen[-1] == (report.tiles, report.tiles)
    assert pool.last.runs == report.tiles  # no finished tile was computed again


def test_too_little_memory_for_the_smallest_tile_is_an_error(compact: Weights) -> None:
    pool = CrampedPool(Runtime(device="cpu", backend="torch", precision="fp32"))
    pool.pixels = 10
    with pytest.raises(OutOfMemory, match="too little free memory") as caught:
        Upscaler(pool).upscale(picture(photo(100, 80)), compact)
    assert caught.value.retryable


class HalfBlind(NetworkPool):
    """A pool whose bf16 network yields NaN for dark windows, as fp16 overflow does on some cards."""

    def get(self, weights: Weights, precision: Any = None) -> Network:
        network: Any = super().get(weights, "fp32")
        if precision == "fp32":
            return network  # type: ignore[no-any-return]

        class Blind:
            spec, place, weight_bytes = network.spec, network.place, network.weight_bytes

            def run(self, windows: Iterable[Window]) -> Iterator[Block]:
                for window, block in zip(windows, network.run(iter(kept)), strict=False):
                    yield replace(block, finite=window.left == 0)

            def release(self) -> bool:
                return False

        kept: list[Window] = []

        class Spying(Blind):
            def run(self, windows: Iterable[Window]) -> Iterator[Block]:
                listed = list(windows)
                kept.extend(listed)
                return super().run(iter(listed))

        return Spying()


def test_a_tile_that_is_not_finite_is_redone_in_fp32_and_reported(compact: Weights) -> None:
    pixels = photo(100, 40)
    whole, _ = upscaler().upscale(picture(pixels), compact, UpscaleOptions(tile_size=0))
    made, report = Upscaler(HalfBlind(Runtime(device="cpu", backend="torch", precision="fp32"))).upscale(
        picture(pixels), compact, UpscaleOptions(tile_size=40)
    )
    assert report.fp32_redone_tiles == 2
    assert difference(whole.frames[0].color, made.frames[0].color) <= 1


@pytest.mark.slow
def test_a_network_that_always_overflows_is_not_run_twice_for_every_tile(compact: Weights) -> None:
    """Half precision is given up after some tiles, and for the pictures that come after."""

    class Loud(NetworkPool):
        halves = 0

        def get(self, weights: Weights, precision: Any = None) -> Network:
            network: Any = super().get(weights, precision)
            if precision == "fp32" or self._given_up:
                return network  # type: ignore[no-any-return]
            pool = self

            class Half:
                spec, weight_bytes = network.spec, network.weight_bytes
                place = replace(network.place, precision="fp16")

                def run(self, windows: Iterable[Window]) -> Iterator[Block]:
                    for block in network.run(windows):
                        pool.halves += 1
                        yield replace(block, finite=False)

                def release(self) -> bool:
                    return False

            return Half()

        def place(self, precision: Any = None) -> Any:
            made = super().place("fp32")
            return made if precision == "fp32" else replace(made, precision="fp16")

    pixels = photo(150, 100)
    options = UpscaleOptions(tile_size=32)
    whole, _ = upscaler().upscale(picture(pixels), compact, options)
    engine = Upscaler(Loud(Runtime(device="cpu", backend="torch", precision="fp32")))
    seen: list[tuple[int, int]] = []
    made, report = engine.upscale(picture(pixels), compact, options, lambda *at: seen.append(at))
    assert difference(whole.frames[0].color, made.frames[0].color) <= 1
    assert (report.precision, report.fp32_redone_tiles, report.tiles) == ("fp16", 20, 20)
    assert "fp16 overflowed in each of the first 4 tiles; fp32 from there on" in report.notes
    assert seen == [(done, 20) for done in range(1, 21)]
    _, report = engine.upscale(picture(pixels), compact, options)
    assert (report.precision, report.fp32_redone_tiles) == ("fp32", 0)
    assert report.notes == ("fp16 overflowed for this network before; computed in fp32",)
    pool: Any = engine.pool
    assert pool.halves == 4


@pytest.mark.parametrize("backend", BACKENDS)
def test_weights_that_overflow_even_in_fp32_are_refused(tmp_path: Path, backend: Any) -> None:
    network = seeded(lambda: SRVGGNetCompact(features=4, convolutions=1, scale=2))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(3e38)
    with pytest.raises(WeightsRejected, match="not finite"):
        upscaler(backend).upscale(picture(photo(20, 20)), save_network(tmp_path / "n.pth", network))


def test_a_broken_file_is_rejected_with_the_networks_own_words(tmp_path: Path) -> None:
    (tmp_path / "n.pth").write_bytes(b"no network")
    with pytest.raises(WeightsRejected, match=r"n\.pth is neither"):
        upscaler().upscale(picture(photo(20, 20)), Weights("n", tmp_path / "n.pth"))
    with pytest.raises(WeightsRejected, match="No such file"):
        upscaler().upscale(picture(photo(20, 20)), Weights("m", tmp_path / "m.pth"))


# --- tiny sizes, blends, the pool


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1), (2, 2), (11, 10)])
@pytest.mark.parametrize("scale", [1, 2, 4])
def test_the_smallest_pictures(dense: dict[int, Weights], size: tuple[int, int], scale: int) -> None:
    made, _ = upscaler().upscale(picture(photo(*size)), dense[scale])
    assert (made.width, made.height) == (size[0] * scale, size[1] * scale)


def test_a_blend_lies_between_its_two_files(tmp_path: Path) -> None:
    one = save_network(tmp_path / "one.pth", seeded(lambda: SRVGGNetCompact(features=4, convolutions=1), seed=1))
    two = save_network(tmp_path / "two.pth", seeded(lambda: SRVGGNetCompact(features=4, convolutions=1), seed=2))
    engine = upscaler()
    shot = picture(photo(30, 20))

    def result(blend: float) -> np.ndarray:
        return engine.upscale(shot, replace(one, second=two.path, blend=blend))[0].frames[0].color

    assert np.array_equal(result(1.0), engine.upscale(shot, one)[0].frames[0].color)
    assert np.array_equal(result(0.0), engine.upscale(shot, two)[0].frames[0].color)
    assert difference(result(0.5), result(1.0)) > 0
    assert difference(result(0.5), result(0.0)) > 0


def test_networks_are_loaded_once_and_forgotten_when_there_is_no_room(
    compact: Weights, dense: dict[int, Weights]
) -> None:
    pool = NetworkPool(Runtime(device="cpu", backend="torch", precision="fp32"), max_bytes=30_000)
    first = pool.get(compact)
    assert pool.get(compact) is first
    pool.get(dense[4])
    pool.get(dense[2])
    assert pool.weight_bytes <= 30_000 or len(pool) == 1
    assert pool.get(compact) is not first


@pytest.mark.parametrize("backend", ["torch", "reference"])
@pytest.mark.parametrize("blend", [1.0, 0.5, 0.0])
def test_only_the_bytes_that_were_accepted_are_loaded(tmp_path: Path, backend: Any, blend: float) -> None:
    """Each load hashes what it loads: size and time of a file say nothing about a disk that rots."""
    if backend == "reference" and find_spec("realesrgan") is None:
        pytest.skip("the original package is not installed")
    one, two = tmp_path / "one.pth", tmp_path / "two.pth"
    for seed, path in enumerate((one, two)):
        network = seeded(lambda: SRVGGNetCompact(features=4, convolutions=1), seed=seed)
        torch.save({"params": network.state_dict()}, path)  # the name under which the reference mixes
    first, second = (hashlib.sha256(path.read_bytes()).hexdigest() for path in (one, two))
    mixed = Weights("mixed", one, two, blend, sha256=first, second_sha256=second)
    shot = picture(photo(20, 20))
    upscaler(backend).upscale(shot, mixed)
    for wrong, is_loaded in (
        (replace(mixed, sha256="0" * 64), blend > 0),
        (replace(mixed, second_sha256="0" * 64), blend < 1),
    ):
        if not is_loaded:
            upscaler(backend).upscale(shot, wrong)
            continue
        with pytest.raises(WeightsDamaged, match="no longer holds the bytes that were accepted") as caught:
            upscaler(backend).upscale(shot, wrong)
        assert caught.value.retryable


def test_a_replaced_file_is_loaded_anew(tmp_path: Path) -> None:
    pool = NetworkPool(Runtime(device="cpu", backend="torch", precision="fp32"))
    weights = save_network(tmp_path / "n.pth", seeded(lambda: SRVGGNetCompact(features=4, convolutions=1), seed=1))
    first = pool.get(weights)
    save_network(tmp_path / "n.pth", seeded(lambda: SRVGGNetCompact(features=4, convolutions=2), seed=1))
    assert pool.get(weights) is not first
