"""Networks of other families as graphs, on a real driver, against torch in fp32; and those that have none."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benchmarks.family_seeds import seeded
from jobs.engine.backends.network_cache import NetworkPool
from jobs.engine.backends.vulkan import devices
from jobs.engine.backends.vulkan.operations import NotWritten
from jobs.engine.backends.vulkan.traced import traced
from jobs.engine.errors import DeviceUnavailable, PrecisionUnavailable
from jobs.engine.types import Runtime, UpscaleOptions, Weights
from jobs.engine.upscaler import Upscaler
from modelstore.networks import checkpoint
from modelstore.networks.families import registry
from modelstore.networks.families.foreign import recognise
from modelstore.networks.spec import NetworkSpec, Traits
from tests.jobs.engine.conftest import photo, picture, steps_apart, upscaler

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(not registry.available(), reason="spandrel is not installed; `make families` does it"),
]

#: Sums of some hundred float32 numbers in another order than torch's, of a range of about 1.
FP32 = 1e-5
#: As the engine asks of fp16 storage: 55 dB, of a range of 1.
FP16 = 10 ** (-55 / 20)

WRITTEN = ["Compact", "DnCNN", "ESRGAN", "MoESR", "MoSR", "NAFNet", "PLKSR", "RCAN", "RealCUGAN", "SwiftSRGAN"]


def tame_span() -> dict[str, Tensor]:
    """SPAN whose seeded weights do not grow to 1e22, as trained ones do not."""
    return {
        name: value / 4 if name.endswith("weight") and value.dim() == 4 else value
        for name, value in seeded("SPAN").items()
    }


def spec_of(facts: Any, **changes: Any) -> NetworkSpec:
    """What is known of a network before it was measured."""
    traits = {
        "multiple": facts.multiple, "tiling": "blended", "padding": 8, "seam": 50.0, "precisions": ("fp32", "fp16"),
        "bytes_per_pixel": 1.0, "widest": 1.0, "seconds_per_megapixel": 1.0, "channels_last": True,
        "purpose": facts.purpose,
    }  # fmt: skip
    known = Traits(**{**traits, **changes})
    return NetworkSpec(facts.family, facts.scale, facts.channels, 0, 0, 0, 1, None, 1.0, 1, known)


@pytest.mark.parametrize("family", [*WRITTEN, "SPAN"])
def test_the_graph_computes_what_torch_computes(family: str, real: devices.VulkanDevice) -> None:
    network, facts = recognise(tame_span() if family == "SPAN" else seeded(family))
    text, data = traced(network, spec_of(facts))
    # Of another size than what was traced, and not square.
    width, height = (-(-max(side, facts.minimum) // facts.multiple) * facts.multiple for side in (72, 56))
    pixels = np.ascontiguousarray(photo(width, height).transpose(2, 0, 1), np.float32) / 255  # (C, H, W)
    with torch.inference_mode():
        right = network(torch.from_numpy(pixels)[None])[0].numpy()
    process = devices.process_of(f"vulkan:{real.index}")
    for half in (False, True) if real.fp16 else (False,):
        number = process.number()
        process.load(number, text, data, half=half)
        made = process.run(number, pixels, 120)
        process.forget(number)
        assert made.shape == right.shape
        apart = np.sqrt(((made - right) ** 2).mean())
        assert apart < (FP16 if half else FP32)


@pytest.mark.parametrize("family", ["NAFNet", "RCAN", "RealCUGAN", "SPAN"])
def test_weights_in_another_layout_are_written_alike(family: str) -> None:
    """As they come from a file."""
    network, facts = recognise(seeded(family))
    plain = traced(network, spec_of(facts))
    assert traced(network.to(memory_format=torch.channels_last), spec_of(facts)) == plain  # type: ignore[call-overload]  # torch's types lack it


@pytest.mark.parametrize(
    ("family", "reason"),
    [
        ("SwinIR", "it looks at its tensors in other shapes"),
        ("DAT", "it needs permute"),
        ("SAFMN", "it needs adaptive_max_pool2d"),
        ("DRUNet", "it joins other things than channels"),
    ],
)
def test_a_network_that_has_no_graph_says_what_it_needs(family: str, reason: str) -> None:
    network, facts = recognise(seeded(family))
    with pytest.raises(NotWritten, match=reason):
        traced(network, spec_of(facts))


def test_a_network_of_which_no_part_can_be_checked_has_no_graph() -> None:
    network, facts = recognise(seeded("RCAN"))
    with pytest.raises(NotWritten, match="it wants the whole picture"):
        traced(network, spec_of(facts, tiling="whole"))


@pytest.mark.parametrize(
    "compute",
    [
        lambda x: x[:, :, : x.shape[2] - 4, : x.shape[3] - 4],  # an end that is counted from the beginning
        lambda x: x * x.shape[2],
        lambda x: x + torch.ones_like(x),
    ],
)
def test_a_network_that_computes_otherwise_for_each_size_has_no_graph(
    compute: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, facts = recognise(seeded("DnCNN"))
    monkeypatch.setattr(network, "compute", compute)
    with pytest.raises(NotWritten, match=r"otherwise for each size|it needs ones_like"):
        traced(network, spec_of(facts))


def assigned(x: Tensor) -> Tensor:
    x = x.clone()
    x[:, 1:2] = x[:, :1] * 2
    x[:, 2:] = x[:, 2:] / 2
    return x


#: Operations that the seeded families do not show.
OPERATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "numbers on the left": lambda x: (2 - x) + 1 / (x + 2) + 0.5 * x,
    "numbers on the right": lambda x: (x - 2) / 3 + x * 4 + x**3 + x**2,
    "clamp": lambda x: x.clamp(0.2, 0.7) + x.clamp(max=0.5) + x.clamp(min=0.1),
    "repeated pixels": lambda x: nn.functional.interpolate(x, scale_factor=3),
    "bilinear": lambda x: nn.functional.interpolate(x, scale_factor=2, mode="bilinear"),
    "bilinear, corners": lambda x: nn.functional.interpolate(x, scale_factor=1, mode="bilinear", align_corners=True),
    "padded and cut": lambda x: nn.functional.pad(x, (2, 1, 3, 0), "replicate")[:, :, 3:, 2:-1],
    "mirrored": lambda x: nn.functional.pad(x, (2, 1, 3, 4), "reflect"),
    "zeros around": lambda x: nn.functional.pad(x, (1, 2, 3, 4)),
    "cut by padding": lambda x: nn.functional.pad(x, (-1, -2, -3, -4)),
    "groups": lambda x: nn.functional.group_norm(torch.cat((x, x[:, :1]), 1), 2)[:, :3],
    "constants": lambda x: x * torch.tensor([0.5, 1.0, 2.0]).view(3, 1, 1) - torch.tensor([1.0]),
    "folded": lambda x: nn.functional.pixel_unshuffle(x, 2)[:, 3:9],
    "repeated channels": lambda x: x.repeat_interleave(2, dim=1)[:, 1:4],
    "sums": lambda x: x.sum((2, 3), keepdim=True) / 1000 + x,
    "means of channels": lambda x: x.mean(1, keepdim=True) * x,
    "roots": lambda x: torch.sqrt(x) + torch.tanh(x) + nn.functional.gelu(x) + nn.functional.mish(x),
    "parts": lambda x: torch.cat(torch.split(x, [1, 2], 1)[::-1], 1) + torch.cat(x.chunk(3, dim=1)[::-1], 1),
    "assigned": assigned,
    "in groups": lambda x: nn.functional.conv2d(x, torch.arange(54.0).view(6, 1, 3, 3) / 54, padding=1, groups=3),
    "not square": lambda x: nn.functional.conv2d(x, torch.arange(18.0).view(2, 3, 1, 3) / 9, padding=(0, 1)),
    "dilated": lambda x: nn.functional.conv2d(x, torch.arange(54.0).view(2, 3, 3, 3) / 54, padding=2, dilation=2),
    "strided": lambda x: nn.functional.conv2d(x, torch.arange(54.0).view(2, 3, 3, 3) / 54, padding=1, stride=2),
    "transposed": lambda x: nn.functional.conv_transpose2d(
        x, torch.arange(96.0).view(3, 2, 4, 4) / 96, torch.tensor([1.0, 2.0]), stride=2, padding=1
    ),
    "transposed, more": lambda x: nn.functional.conv_transpose2d(
        x, torch.arange(54.0).view(3, 2, 3, 3) / 54, stride=2, padding=1, output_padding=1
    ),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_that_of_torch(name: str, real: devices.VulkanDevice, monkeypatch: pytest.MonkeyPatch) -> None:
    network, facts = recognise(seeded("DnCNN"))
    monkeypatch.setattr(network, "compute", OPERATIONS[name])
    text, data = traced(network, spec_of(facts))
    pixels = np.ascontiguousarray(photo(34, 22).transpose(2, 0, 1), np.float32) / 255
    right = OPERATIONS[name](torch.from_numpy(pixels)[None])[0].numpy()
    process = devices.process_of(f"vulkan:{real.index}")
    number = process.number()
    process.load(number, text, data, half=False)
    made = process.run(number, pixels, 120)
    process.forget(number)
    assert made.shape == right.shape
    # Sums of hundreds of pixels in another order; and a driver's own tanh and exp, in GELU and Mish.
    assert np.abs(made - right).max() < (1e-3 if name == "roots" else 1e-4)


@pytest.fixture(scope="module")
def span(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    path = tmp_path_factory.mktemp("families") / "SPAN.pth"
    torch.save(tame_span(), path)
    return Weights("SPAN", path, spec=checkpoint.inspect(path))


def test_a_picture_by_span_in_tiles_is_that_of_torch(span: Weights, real: devices.VulkanDevice) -> None:
    source, options = picture(photo(70, 41)), UpscaleOptions(tile_size=32)
    machine = Upscaler(NetworkPool(Runtime(device=f"vulkan:{real.index}", precision="fp32")))
    ours, report = machine.upscale(source, span, options)
    torchs, _ = upscaler().upscale(source, span, options)
    assert steps_apart(ours.frames[0].color, torchs.frames[0].color) <= 1
    assert (report.backend, report.precision, report.notes) == ("vulkan", "fp32", ())
    assert report.choice == "vulkan fp32; ncnn's graph of what torch does"
    dot, _ = machine.upscale(picture(photo(1, 1)), span)
    assert (dot.width, dot.height) == (2, 2)


def test_a_device_asked_for_by_name_refuses_what_has_no_graph(tmp_path: Path, real: devices.VulkanDevice) -> None:
    path = tmp_path / "SwinIR.pth"
    torch.save(seeded("SwinIR"), path)
    machine = Upscaler(NetworkPool(Runtime(device=f"vulkan:{real.index}")))
    with pytest.raises(
        DeviceUnavailable, match=r"SwinIR network does not compute on vulkan:\d: it looks at .*DEVICE=auto"
    ):
        machine.upscale(picture(photo(20, 20)), Weights("SwinIR", path, spec=checkpoint.inspect(path)))


def test_a_precision_that_it_does_not_bear_is_refused_by_name(
    span: Weights, real: devices.VulkanDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not real.fp16:
        pytest.skip(f"{real.name} does not store fp16")
    monkeypatch.setattr(NetworkSpec, "bears", lambda _, precision: precision == "fp32")
    machine = Upscaler(NetworkPool(Runtime(device=f"vulkan:{real.index}")))
    _, report = machine.upscale(picture(photo(20, 20)), span)
    assert report.precision == "fp32"
    assert "does not come to 50 dB of fp32 in fp16" in report.choice
    with pytest.raises(PrecisionUnavailable, match="use fp32"):
        Upscaler(NetworkPool(Runtime(device=f"vulkan:{real.index}"))).upscale(
            picture(photo(20, 20)), span, UpscaleOptions(precision="fp16")
        )
