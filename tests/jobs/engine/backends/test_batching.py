"""Windows in one call: the same pixels as alone, flags of their own, and nothing lost when memory is short."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jobs.engine.backends.base import Block, Window
from jobs.engine.backends.batching import batch_length, blocks_of, kind_of
from jobs.engine.backends.network_cache import NetworkPool
from jobs.engine.backends.torch_backend import TorchNetwork
from jobs.engine.tiling.cost import batch_size
from jobs.engine.types import Runtime, UpscaleOptions, Weights
from jobs.engine.upscaler import Upscaler
from modelstore.networks.deduce import deduce
from modelstore.networks.rrdbnet import RRDBNet
from modelstore.networks.srvgg import SRVGGNetCompact
from tests.jobs.engine.conftest import photo, picture, save_network, seeded, steps_apart


def window(seed: int, *, side: int = 24, channels: int = 3, bits: int = 8, output: str = "uint8") -> Window:
    """A window of which the inner part is wanted."""
    pixels = photo(side + 8, side, channels=channels, bits=bits, seed=seed)
    return Window(pixels, top=4, left=8, height=side - 6, width=side, dtype=np.dtype(output))


def network_of(weights: Weights) -> TorchNetwork:
    network = NetworkPool(Runtime(device="cpu", backend="torch", precision="fp32")).get(weights)
    assert isinstance(network, TorchNetwork)
    return network


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("bits", "output"), [(8, "uint8"), (8, "uint16"), (16, "uint16"), (16, "float32"), (8, "float32")]
)
def test_a_batch_gives_the_same_pixels_as_windows_alone(
    compact: Weights, dense: dict[int, Weights], channels: int, bits: int, output: str
) -> None:
    for weights in (compact, dense[4], dense[2]):
        network = network_of(weights)
        windows = [window(seed, channels=channels, bits=bits, output=output) for seed in range(7)]
        alone = list(network.run(windows))
        for size in (2, 3, 16):
            network.batch = size
            together = list(network.run(iter(windows)))
            assert len(together) == 7
            for one, other in zip(alone, together, strict=True):
                assert one.pixels.dtype == other.pixels.dtype == np.dtype(output)
                assert steps_apart(one.pixels, other.pixels) <= 1
                assert other.finite
                assert other.notes == ()


@pytest.mark.slow
def test_a_whole_picture_in_batches_is_the_same_picture(dense: dict[int, Weights]) -> None:
    engine = Upscaler(NetworkPool(Runtime(device="cpu", backend="torch", precision="fp32")))
    shot = picture(photo(150, 70), photo(150, 70, channels=1, seed=4)[:, :, 0])
    options = UpscaleOptions(tile_size=32, tile_pad=8)
    alone, _ = engine.upscale(shot, dense[4], options)
    network: Any = engine.pool.get(dense[4])
    network.batch = 4
    together, report = engine.upscale(shot, dense[4], options)
    assert steps_apart(alone.frames[0].color, together.frames[0].color) <= 1
    assert steps_apart(np.asarray(alone.frames[0].alpha), np.asarray(together.frames[0].alpha)) <= 1
    assert report.tiles == 30


def test_one_bad_window_of_a_batch_is_flagged_and_no_other(compact: Weights) -> None:
    """A network that overflows for bright windows only, as half precision does."""
    network = network_of(compact)
    network.batch = 4
    windows = [window(seed) for seed in range(4)]
    windows[2].pixels[:] = 255

    def overflow(module: Any, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        bright = inputs[0].mean(dim=(1, 2, 3), keepdim=True) > 0.999
        return torch.where(bright, torch.full_like(output, float("nan")), output)

    network.module.network.register_forward_hook(overflow)
    assert [block.finite for block in network.run(windows)] == [True, True, False, True]


@given(st.lists(st.sampled_from([8, 16]), min_size=1, max_size=40), st.integers(1, 9))
def test_batches_hold_one_kind_and_few_lengths(sides: list[int], most: int) -> None:
    windows = [Window(np.zeros((side, 8, 3), np.uint8), 0, 0, 1, 1, np.dtype(np.uint8)) for side in sides]
    start = 0
    while start < len(windows):
        count = batch_length(windows, start, most)
        assert 1 <= count <= most
        assert count == most or count & (count - 1) == 0
        assert len({kind_of(each) for each in windows[start : start + count]}) == 1
        start += count
    assert start == len(windows)


class Small:
    """A device that takes few windows at once, and keeps count of what was asked of it."""

    def __init__(self, fits: int) -> None:
        self.fits = fits
        self.asked: list[int] = []
        self.abandoned = 0

    def launch(self, batch: Sequence[Window]) -> "Small.Given":
        self.asked.append(len(batch))
        if len(batch) > self.fits:
            raise MemoryError("2 GB wanted, 1 GB there")
        return Small.Given(self, batch)

    class Given:
        def __init__(self, device: "Small", batch: Sequence[Window]) -> None:
            self.device, self.batch = device, batch

        def blocks(self) -> list[Block]:
            return [Block(each.pixels, finite=True) for each in self.batch]

        def abandon(self) -> None:
            self.device.abandoned += 1


def seven() -> list[Window]:
    return [Window(np.full((4, 4, 3), n, np.uint8), 0, 0, 4, 4, np.dtype(np.uint8)) for n in range(7)]


def run_on(device: Small, most: int) -> Iterator[Block]:
    return blocks_of(seven(), device.launch, most=lambda _: most, under_way=3)


def test_a_batch_without_memory_is_halved_and_the_report_can_say_so() -> None:
    device = Small(fits=2)
    blocks = list(run_on(device, 8))
    assert [int(block.pixels[0, 0, 0]) for block in blocks] == list(range(7))
    assert device.asked == [4, 2, 2, 2, 1]
    assert blocks[0].notes == ("memory was short for 4 tiles at once; 2 at once from there on",)


def test_every_shortage_stands_in_the_notes() -> None:
    device = Small(fits=1)
    blocks = list(run_on(device, 8))
    assert device.asked == [4, 2, 1, 1, 1, 1, 1, 1, 1]
    assert blocks[0].notes == (
        "memory was short for 4 tiles at once; 2 at once from there on",
        "memory was short for 2 tiles at once; 1 at once from there on",
    )


def test_calls_under_way_are_finished_before_memory_is_given_up() -> None:
    device = Small(fits=1)
    blocks = run_on(device, 1)
    made = [next(blocks)]
    device.fits = 0
    with pytest.raises(MemoryError, match="1 GB there"):
        made.extend(blocks)  # item by item: what came before the error is kept
    assert len(made) == 3 == len(device.asked) - 1  # three were handed over, and all three came back
    assert device.abandoned == 0


def test_who_has_had_enough_leaves_nothing_under_way() -> None:
    device = Small(fits=1)
    blocks: Any = run_on(device, 1)
    next(blocks)
    blocks.close()
    assert device.abandoned == 2


def test_windows_per_call_follow_device_network_and_memory() -> None:
    with torch.device("meta"):
        compact, dense = deduce(SRVGGNetCompact().state_dict()), deduce(RRDBNet().state_dict())

    def size(spec: Any, side: int, kind: str = "cuda", free: int = 100 << 30) -> int:
        return batch_size(spec, side * side, kind=kind, free_bytes=free, item_bytes=2)

    assert size(compact, 128, kind="cpu") == 1
    assert size(compact, 1060) == 1
    assert size(compact, 500) == 4
    assert size(compact, 64) == 16
    assert size(dense, 560) == 1
    assert size(dense, 160) == 8
    assert size(dense, 160, free=10**9) == 2
    assert size(dense, 160, free=10**6) == 1


def test_frames_of_an_animation_share_calls(tmp_path: Any) -> None:
    weights = save_network(tmp_path / "n.pth", seeded(partial(SRVGGNetCompact, features=4, convolutions=1)))
    engine = Upscaler(NetworkPool(Runtime(device="cpu", backend="torch", precision="fp32")))
    network: Any = engine.pool.get(weights)
    network.batch = 4
    lengths: list[int] = []
    network.module.register_forward_hook(lambda module, inputs, output: lengths.append(len(inputs[0])))
    shot = picture(photo(30, 20))
    frames = tuple(picture(photo(30, 20, seed=seed)).frames[0] for seed in range(6))
    made, report = engine.upscale(type(shot)(format="webp", frames=frames), weights)
    assert lengths == [4, 2]
    assert report.tiles == 6
    network.batch = None
    for frame, source in zip(made.frames, frames, strict=True):
        alone, _ = engine.upscale(picture(source.color), weights)
        assert steps_apart(frame.color, alone.frames[0].color) <= 1
