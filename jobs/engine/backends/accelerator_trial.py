"""A trial of an accelerator: one convolution of whole numbers, whose result is known.

A card for which a wheel has no kernels, or whose driver is too old, is listed and fails at its first kernel; some
compute wrong numbers without a word.
"""

import functools
from typing import Literal

import torch

from jobs.engine.backends.accelerator import Accelerator
from jobs.engine.backends.device_errors import first_line, is_out_of_memory

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16}


@functools.cache  # found once: a device that fails its first kernel fails all of them, for the life of the process
def trouble(accelerator: Accelerator) -> str:
    """Return why the accelerator cannot be used; "" where one convolution in each precision went well.

    One whose memory others hold at this moment is no worse for it.
    """
    try:
        for precision in ("fp32", "fp16"):
            if precision in accelerator.precisions and not _convolves(accelerator, precision):
                return f"{accelerator.device} ({accelerator.name}) computes wrong numbers in {precision}"
    except RuntimeError as error:
        if is_out_of_memory(error):
            return ""
        return f"{accelerator.device} ({accelerator.name}) fails at its first convolution: {first_line(error)}"
    return ""


def _convolves(accelerator: Accelerator, precision: Literal["fp32", "fp16"]) -> bool:
    """Return True if the sums, whole numbers up to 300, are right to within one.

    :raises RuntimeError: the device's own.
    """
    pixels = (torch.arange(16 * 24 * 24) * 7 % 4).reshape(1, 16, 24, 24).float()  # 0 to 3
    weight = (torch.arange(16 * 16 * 9) * 5 % 3 - 1).reshape(16, 16, 3, 3).float()  # -1 to 1
    exact = torch.nn.functional.conv2d(pixels, weight, padding=1)
    device, dtype = torch.device(accelerator.device), _DTYPES[precision]
    there = [
        each.to(device=device, dtype=dtype).contiguous(memory_format=accelerator.memory_format)
        for each in (pixels, weight)
    ]
    with torch.inference_mode():
        got = torch.nn.functional.conv2d(there[0], there[1], padding=1).to("cpu").float()
    return bool(((got - exact).abs() < 1).all())  # False for NaN
