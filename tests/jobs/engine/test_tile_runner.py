"""Memory that runs out, and comes back: what is finished stays, no seam shows, and the account is true."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from jobs.engine.backends.base import Block, Network, Window
from jobs.engine.backends.network_cache import NetworkPool
from jobs.engine.errors import OutOfMemory
from jobs.engine.types import Frame, Picture, Runtime, UpscaleOptions, Weights
from jobs.engine.upscaler import Upscaler
from modelstore.networks.rrdbnet import RRDBNet
from tests.jobs.engine.conftest import difference, photo, picture, save_network, seeded, upscaler


class Cramped:
    """A network on a device with little memory, some of it held by something that can be dropped."""

    def __init__(self, network: Network, pool: "CrampedPool") -> None:
        self.network, self.pool = network, pool
        self.spec, self.place, self.weight_bytes = network.spec, network.place, network.weight_bytes

    def run(self, windows: Iterable[Window]) -> Iterator[Block]:
        for window in windows:
            size = window.pixels.shape[0] * window.pixels.shape[1]
            if size > self.pool.pixels and self.pool.refusals > 0:
                self.pool.refusals -= 1
                raise MemoryError("Tried to allocate 2 GiB")
            self.pool.calls.append(size)
            for block in self.network.run(iter([window])):
                yield replace(block, finite=block.finite and len(self.pool.calls) not in self.pool.blind)

    def release(self) -> bool:
        return self.network.release()


class CrampedPool(NetworkPool):
    """A pool whose networks are cramped for the first so many attempts."""

    def __init__(self, pixels: int, refusals: int = 1_000_000, spare: int = 0) -> None:
        super().__init__(Runtime(device="cpu", backend="torch", precision="fp32"))
        self.pixels, self.refusals, self.spare = pixels, refusals, spare
        self.calls: list[int] = []
        self.blind: set[int] = set()

    def get(self, weights: Weights, precision: Any = None) -> Network:
        return Cramped(super().get(weights, precision), self)

    def release(self) -> bool:
        if not self.spare:
            return False
        self.spare -= 1
        return True


@pytest.fixture
def dirty(monkeypatch: pytest.MonkeyPatch) -> None:
    """New memory is never clean: what nobody wrote shows."""

    def empty(*arguments: Any, **named: Any) -> Any:
        made = real(*arguments, **named)
        made.view(np.uint8)[:] = 0xA5
        return made

    real = np.empty
    monkeypatch.setattr(np, "empty", empty)


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    """RRDBNet whose tiles, at a padding of 4, differ visibly from the whole."""

    def make() -> RRDBNet:
        network = RRDBNet(features=8, growth=4, blocks=1)
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                if "body" in name:
                    parameter.mul_(3.0)
        return network

    return save_network(tmp_path_factory.mktemp("weights") / "far.pth", seeded(make))


@pytest.mark.slow
@pytest.mark.parametrize("outscale", [None, 3.0])
@pytest.mark.parametrize("channels", [1, 3])
def test_halved_tiles_fade_as_planned_ones_do(far: Weights, dirty: None, channels: int, outscale: float | None) -> None:
    """Tiles of 64 that were halved are, block by block, the tiles of a plan of 32."""
    pixels = photo(128, 128, channels=channels, bits=16)
    options = UpscaleOptions(tile_size=64, tile_pad=4, outscale=outscale)
    planned, _ = upscaler().upscale(picture(pixels), far, replace(options, tile_size=32))
    whole, _ = upscaler().upscale(picture(pixels), far, replace(options, tile_size=0))
    made, report = Upscaler(CrampedPool(44 * 44)).upscale(picture(pixels), far, options)
    assert (report.tiles, report.tile_size, report.tile_pad) == (4 * 4, 32, 4)
    # Rounding to 16 bits, once more where a piece's corner fades twice; seams are more than ten times as large.
    assert difference(made.frames[0].color, planned.frames[0].color) <= 4
    assert difference(whole.frames[0].color, planned.frames[0].color) > 40


@pytest.mark.slow
@pytest.mark.parametrize("refusals", [1, 2])
@pytest.mark.parametrize("after", [0, 3])
def test_no_pixel_is_left_unwritten_where_halved_tiles_meet_whole_ones(
    far: Weights, dirty: None, after: int, refusals: int
) -> None:
    pixels = photo(256, 240)
    options = UpscaleOptions(tile_size=128, tile_pad=4)
    whole, _ = upscaler().upscale(picture(pixels), far, UpscaleOptions(tile_size=0))
    planned, _ = upscaler().upscale(picture(pixels), far, options)
    pool = CrampedPool(0, refusals=0)

    def shorten(done: int, total: int) -> None:
        if done == after:
            pool.refusals = refusals

    if after == 0:
        pool.refusals = refusals
    made, report = Upscaler(pool).upscale(picture(pixels), far, options, shorten)
    assert report.out_of_memory_shrinks == refusals
    assert report.tiles == after + (4 - after) * (4 if refusals == 1 else 16)
    assert difference(whole.frames[0].color, made.frames[0].color) <= 3 * max(
        2, difference(whole.frames[0].color, planned.frames[0].color)
    )


def test_progress_counts_every_tile_that_is_still_to_come(far: Weights) -> None:
    """Three frames of 2×2 tiles; after the first tile memory is short for the rest of the picture."""
    frames = tuple(Frame(color=photo(128, 120, seed=seed)) for seed in range(3))
    pool = CrampedPool(44 * 44, refusals=0)
    seen: list[tuple[int, int]] = []

    def note(done: int, total: int) -> None:
        pool.refusals = 1_000_000
        seen.append((done, total))

    _, report = Upscaler(pool).upscale(
        Picture(format="webp", frames=frames), far, UpscaleOptions(tile_size=64, tile_pad=4), note
    )
    assert seen == [(1, 12), *((done, 1 + 11 * 4) for done in range(2, 46))]
    assert (report.tiles, report.out_of_memory_shrinks) == (45, 1)
    assert len(pool.calls) == 45


def test_memory_that_others_can_spare_is_taken_before_tiles_are_halved(far: Weights) -> None:
    pool = CrampedPool(44 * 44, refusals=1, spare=1)
    _, report = Upscaler(pool).upscale(picture(photo(128, 120)), far, UpscaleOptions(tile_size=64, tile_pad=4))
    assert (report.tiles, report.out_of_memory_shrinks, pool.spare) == (4, 0, 0)
    pool = CrampedPool(44 * 44, spare=5)
    _, report = Upscaler(pool).upscale(picture(photo(128, 120)), far, UpscaleOptions(tile_size=64, tile_pad=4))
    assert (report.tiles, report.out_of_memory_shrinks, pool.spare) == (16, 1, 4)  # tried once, not for ever


def test_redoing_a_tile_in_fp32_may_run_out_of_memory_too(far: Weights) -> None:
    """fp32 needs twice the memory of half precision: the tile is then halved rather than the job lost."""
    pool = CrampedPool(10**9, refusals=0)
    pool.blind = {1}
    real_get = pool.get

    def get(weights: Weights, precision: Any = None) -> Network:
        if precision == "fp32":
            pool.pixels, pool.refusals = 44 * 44, 1
        return real_get(weights, precision)

    pool.get = get  # type: ignore[method-assign]  # a pretended pool
    pixels = photo(128, 120)
    made, report = Upscaler(pool).upscale(picture(pixels), far, UpscaleOptions(tile_size=64, tile_pad=4))
    whole, _ = upscaler().upscale(picture(pixels), far, UpscaleOptions(tile_size=64, tile_pad=4))
    assert (report.out_of_memory_shrinks, report.tiles) == (1, 16)
    assert difference(whole.frames[0].color, made.frames[0].color) <= 9


def test_what_the_device_said_stands_in_the_error(far: Weights) -> None:
    with pytest.raises(OutOfMemory, match=r"a tile of 25×\d+ px: Tried to allocate 2 GiB"):
        Upscaler(CrampedPool(10)).upscale(picture(photo(100, 90)), far)


def test_notes_of_the_backend_reach_the_report(far: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = upscaler()
    network: Any = engine.pool.get(far)
    real = network.run
    monkeypatch.setattr(
        network, "run", lambda windows: (replace(block, notes=("no CUDA graph: because",)) for block in real(windows))
    )
    _, report = engine.upscale(picture(photo(100, 40)), far, UpscaleOptions(tile_size=40))
    assert report.notes == ("no CUDA graph: because",)


# --- weights


def test_weights_that_do_not_fit_are_out_of_memory_and_not_a_torch_error(
    compact: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.\nAdvice for developers")

    monkeypatch.setattr(torch.nn.Module, "to", full)
    with pytest.raises(OutOfMemory, match=r"weights, \d+ MB: CUDA out of memory\. Tried to allocate 20\.00 MiB\.$"):
        upscaler().upscale(picture(photo(20, 20)), compact)


def test_other_networks_are_put_out_for_weights_that_do_not_fit(
    compact: Weights, compact_x2: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = NetworkPool(Runtime(device="cpu", backend="torch", precision="fp32"))
    first = pool.get(compact)
    released: list[str] = []
    monkeypatch.setattr(first, "release", partial(_answer, released, "first", False))
    real = torch.nn.Module.to

    def tight(self: Any, *arguments: Any, **named: Any) -> Any:
        if len(pool):
            raise RuntimeError("CUDA error: out of memory")
        return real(self, *arguments, **named)

    monkeypatch.setattr(torch.nn.Module, "to", tight)
    second = pool.get(compact_x2)
    assert second.spec.scale == 2
    assert (len(pool), released) == (1, ["first"])


def test_a_network_that_is_put_out_gives_its_recordings_back(
    compact: Weights, dense: dict[int, Weights], monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = NetworkPool(Runtime(device="cpu", backend="torch", precision="fp32"), max_bytes=1)
    first = pool.get(compact)
    released: list[str] = []
    monkeypatch.setattr(first, "release", partial(_answer, released, "first", False))
    pool.get(dense[4])
    assert released == ["first"]


def test_every_network_is_asked_to_give_memory_back(compact: Weights, compact_x2: Weights) -> None:
    pool = NetworkPool(Runtime(device="cpu", backend="torch", precision="fp32"))
    assert not pool.release()
    one: Any = pool.get(compact)
    other: Any = pool.get(compact_x2)
    asked: list[str] = []
    one.release = partial(_answer, asked, "one", True)
    other.release = partial(_answer, asked, "other", False)
    assert pool.release()
    assert asked == ["one", "other"]


def _answer(asked: list[str], name: str, answer: bool) -> bool:
    asked.append(name)
    return answer


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1, 2])
def test_halved_tiles_of_networks_that_unshuffle(dense: dict[int, Weights], dirty: None, scale: int) -> None:
    pixels = photo(150, 131)
    whole, _ = upscaler().upscale(picture(pixels), dense[scale], UpscaleOptions(tile_size=0))
    options = UpscaleOptions(tile_size=96, tile_pad=32)
    planned, _ = upscaler().upscale(picture(pixels), dense[scale], options)
    made, report = Upscaler(CrampedPool(130 * 130)).upscale(picture(pixels), dense[scale], options)
    assert report.out_of_memory_shrinks >= 1
    allowed = max(1, difference(whole.frames[0].color, planned.frames[0].color))
    assert difference(whole.frames[0].color, made.frames[0].color) <= allowed
