"""One convolution at a time, by the kernels' own source: tiles, slices, residuals, doubled reads, odd sizes."""

import ctypes
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from jobs.engine.backends.fused.kernels import (
    CONV_SIGNATURE,
    ENTER_SIGNATURE,
    LEAVE_SIGNATURE,
    Arguments,
    TileShape,
    shapes,
)
from jobs.engine.backends.fused.weights import column_channels, layer, pack, tile_channels
from tests.jobs.engine.backends.fused.emulated_card import EmulatedCard

CPU = torch.device("cpu")
CARDS = {"H100": ((9, 0), 232_448), "A100": ((8, 0), 166_912), "GeForce": ((8, 9), 101_376)}
SHAPES = sorted(
    {shape for card in CARDS.values() for each in shapes(*card).values() for shape in each},
    key=repr,
)


def name_of(shape: TileShape) -> str:
    return f"{shape.engine}{shape.channels}-{shape.height}x32-{shape.stages}"


def conv(
    shape: TileShape,
    *,
    inputs: int,
    outputs: int,
    size: tuple[int, int, int],
    late: int = 3,
    residuals: int = 0,
    double: bool = False,
    backwards: bool = False,
    slope: Any = 0.2,
    in_place: bool = False,
) -> None:
    """Convolve random halves inside of larger buffers, and hold the result against torch's in fp32."""
    torch.manual_seed(1)
    card = EmulatedCard()
    card.late = late
    (kernel,) = card.load([shape.program])
    count, height, width = size
    small = (height // 2, width // 2) if double else (height, width)
    inner = torch.full((count, *small, inputs + 32), float("nan"), dtype=torch.float16)  # others' channels around it
    source = inner[..., 16 : 16 + inputs]
    source.copy_(torch.randn(count, *small, inputs))
    weight, bias = torch.randn(outputs, inputs, 3, 3) / (inputs * 9) ** 0.5, torch.randn(outputs)
    its = layer(weight, bias, device=CPU, slope=slope, residual=residuals > 0)
    padded = -(-outputs // 8) * 8
    whole = torch.full((count, height, width, padded + 16), 7.0, dtype=torch.float16)
    target = whole[..., 8 : 8 + outputs]
    one, two = (torch.randn(count, height, width, 64).half() for _ in range(2))
    if in_place:
        target.copy_(torch.randn(target.shape))
        two = target
    added = two.clone()
    card.ranges = [(each.data_ptr(), each.data_ptr() + each.nbytes) for each in (inner, its.weight, whole, one, two)]
    kernel(
        3, source.data_ptr(), source.stride(2), its.inputs, int(double) + 2 * int(backwards),
        its.weight.data_ptr(), its.bias.data_ptr(), its.slope.data_ptr(), target.data_ptr(), target.stride(2), outputs,
        one.data_ptr(), one.stride(2), 0.2, two.data_ptr(), two.stride(2), 0.3, residuals, count, height, width,
    )  # fmt: skip
    x = source.float().permute(0, 3, 1, 2)
    if double:
        x = functional.interpolate(x, scale_factor=2)
    y = functional.conv2d(x, weight.half().float(), bias, padding=1)
    y = functional.prelu(y, slope if isinstance(slope, Tensor) else torch.tensor([slope])).permute(0, 2, 3, 1)
    if residuals > 0:
        y = y * 0.2 + one[..., :outputs].float()
    if residuals > 1:
        y = y * 0.3 + added[..., :outputs].float()
    error = float((target.float() - y).norm() / y.norm())
    assert error < 6e-4  # one rounding to fp16
    assert bool((whole[..., :8] == 7.0).all())
    assert bool((whole[..., 8 + padded :] == 7.0).all())


@pytest.mark.parametrize("late", [0, 1, 2, 3])
@pytest.mark.parametrize("shape", SHAPES, ids=name_of)
def test_every_shape_of_tile_convolves(shape: TileShape, late: int) -> None:
    """At every legal moment of its copies and products, over pictures whose sides are no multiple of a tile."""
    if shape.engine == "mma" and late > 1:
        pytest.skip("mma.sync computes at once")
    outputs = {8: 3, 32: 32, 64: 48}[shape.channels]
    conv(shape, inputs=64 if late else 96, outputs=outputs, size=(1 + late % 2, shape.height + 3, 41), late=late)


@pytest.mark.parametrize("shape", [shape for shape in SHAPES if shape.channels == 64], ids=name_of)
def test_residuals_doubled_reads_and_slices(shape: TileShape) -> None:
    conv(shape, inputs=48, outputs=64, size=(2, shape.height + 1, 33), residuals=1, slope=1.0, backwards=True)
    conv(shape, inputs=16, outputs=64, size=(1, shape.height + 2, 35), residuals=2, slope=1.0, in_place=True)
    conv(shape, inputs=32, outputs=64, size=(1, 2 * (shape.height // 2 + 1), 42), double=True)
    conv(shape, inputs=16, outputs=96, size=(1, shape.height, 20), slope=torch.rand(96))


def test_packed_weights_hold_every_weight_once() -> None:
    weight = torch.arange(40 * 20 * 9, dtype=torch.float32).reshape(40, 20, 3, 3) % 1999
    packed = pack(weight, 32)
    assert packed.shape == (2, 2, 9, 2, 32, 8)
    order = column_channels(32)
    assert sorted(order) == list(range(32))
    for out, channel, tap in ((0, 0, 0), (37, 19, 8), (33, 5, 4), (12, 17, 2)):
        column = order.index(out % 32)
        assert (
            packed[out // 32, channel // 16, tap, channel % 16 // 8, column, channel % 8]
            == weight[out, channel, tap // 3, tap % 3].half()
        )
    assert float(packed.float().sum()) == float(weight.half().float().sum())


@pytest.mark.parametrize(
    ("outputs", "residual", "tile"), [(3, False, 8), (32, False, 32), (32, True, 64), (48, False, 64)]
)
def test_only_the_widest_tile_adds_residuals(outputs: int, residual: bool, tile: int) -> None:
    assert tile_channels(outputs, residual=residual) == tile


@pytest.mark.parametrize("signature", [CONV_SIGNATURE, ENTER_SIGNATURE, LEAVE_SIGNATURE, "fPi"])
def test_arguments_lie_as_a_c_compiler_puts_them(signature: str) -> None:
    types: dict[str, Any] = {"P": ctypes.c_void_p, "i": ctypes.c_int, "f": ctypes.c_float}
    values = [index + 1 for index in range(len(signature))]
    arguments = Arguments(signature)
    pointers: Any = arguments.pointers(values)
    start = pointers[0]
    fields = [(f"argument{index}", types[each]) for index, each in enumerate(signature)]
    layout: Any = type("Layout", (ctypes.Structure,), {"_fields_": fields})
    for pointer, (name, its), value in zip(pointers, fields, values, strict=True):
        assert pointer - start == getattr(layout, name).offset
        assert its.from_address(pointer).value == value


def test_each_thread_has_arguments_of_its_own() -> None:
    arguments = Arguments("i")
    mine: Any = arguments.pointers([1])
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(arguments.pointers, [2]).result()
        assert mine[0] != other[0]
    assert ctypes.c_int.from_address(mine[0]).value == 1


@pytest.mark.parametrize("card", CARDS)
def test_shared_memory_suits_the_card(card: str) -> None:
    for each in shapes(*CARDS[card]).values():
        for shape in each:
            assert shape.shared_bytes <= CARDS[card][1]
            assert shape.engine == "mma" or card == "H100"
