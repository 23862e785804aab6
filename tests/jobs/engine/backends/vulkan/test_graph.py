"""Every kind of network as a graph, on a real driver, against torch in fp32."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from jobs.engine.backends.vulkan import devices
from jobs.engine.backends.vulkan.graph import graph
from modelstore.networks.rrdbnet import RRDBNet
from modelstore.networks.srvgg import SRVGGNetCompact
from tests.jobs.engine.conftest import photo, seeded

#: Sums of some hundred float32 numbers of about 1, in another order than torch's.
FP32 = 1e-4
#: As the engine asks of fp16 storage: 55 dB, of a range of 1.
FP16 = 10 ** (-55 / 20)

_DENSE = partial(RRDBNet, features=8, growth=4, blocks=1)
_COMPACT = partial(SRVGGNetCompact, features=8, convolutions=2)
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    **{f"dense, unshuffle {u}": partial(_DENSE, unshuffle=u) for u in (1, 2, 4)},
    **{f"dense, doublings {d}": partial(_DENSE, doublings=d) for d in (0, 1, 3)},
    "dense, gray": partial(_DENSE, channels=1),
    "dense, gray, unshuffle 2": partial(_DENSE, channels=1, unshuffle=2),
    "dense, odd widths": partial(RRDBNet, features=6, growth=3, blocks=2, doublings=1),
    **{f"compact, x{s}": partial(_COMPACT, scale=s) for s in (1, 2, 3, 4)},
    **{f"compact, gray, x{s}": partial(_COMPACT, in_channels=1, out_channels=1, scale=s) for s in (1, 2, 3, 4)},
    "compact, odd widths": partial(SRVGGNetCompact, features=7, convolutions=1, scale=2),
}


def computed(device: devices.VulkanDevice, network: nn.Module, pixels: np.ndarray, *, half: bool) -> np.ndarray:
    """The device's result of (C, H, W) pixels."""
    process = devices.process_of(f"vulkan:{device.index}")
    number = process.number()
    process.load(number, *graph(network), half=half)
    try:
        result: np.ndarray = process.run(number, pixels, 120)
    finally:
        process.forget(number)
    return result


@pytest.mark.parametrize("name", NETWORKS)
def test_the_graph_computes_what_torch_computes(name: str, real: devices.VulkanDevice) -> None:
    network = seeded(NETWORKS[name])
    channels = 1 if "gray" in name else 3
    pixels = np.ascontiguousarray(photo(20, 12, channels=channels).transpose(2, 0, 1), np.float32) / 255  # (C, H, W)
    with torch.inference_mode():
        right = network(torch.from_numpy(pixels)[None])[0].numpy()
    exact = computed(real, network, pixels, half=False)
    assert exact.shape == right.shape
    assert np.abs(exact - right).max() < FP32
    if real.fp16:
        apart = computed(real, network, pixels, half=True) - right
        assert np.sqrt((apart**2).mean()) < FP16


def test_weights_in_another_layout_are_written_alike() -> None:
    network = seeded(partial(_COMPACT, scale=2))
    text, data = graph(network)
    assert graph(network.to(memory_format=torch.channels_last)) == (text, data)  # type: ignore[call-overload]  # torch's types lack it


def test_a_network_of_another_kind_is_refused() -> None:
    with pytest.raises(TypeError, match="Conv2d"):
        graph(nn.Conv2d(3, 3, 3))
