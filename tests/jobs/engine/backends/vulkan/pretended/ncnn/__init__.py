"""A pretended ncnn: two graphics cards and a processor that enlarge by copying pixels, and fail as they are told.

That is the right result for an SRVGGNetCompact whose weights are zero. ``PRETENDED`` names the failure; ``:half``
behind it keeps fp32 right. There are the methods that `child.py` calls, and no others.
"""

import os
import signal
import sys
import time
from typing import Any

import numpy as np

_FAILURE, _, _ONLY = os.environ.get("PRETENDED", "").partition(":")
#: (name, type, stores fp16): an old integrated card, a discrete one, and a driver that computes on the processor.
_DEVICES = [("Pretended HD 4000", 1, False), ("Pretended RX 580", 0, True), ("llvmpipe (pretended)", 3, True)]
if _FAILURE == "processor only":
    _DEVICES = _DEVICES[2:]
if _FAILURE == "no device":
    print("vkCreateInstance failed -9", file=sys.stderr)
    _DEVICES = []
if _FAILURE == "driver crashes":
    os.kill(os.getpid(), signal.SIGSEGV)


def get_gpu_count() -> Any:
    return len(_DEVICES)


def destroy_gpu_instance() -> Any:
    if _FAILURE == "crashes at the end" and sys.argv[1] == "serve":
        os.kill(os.getpid(), signal.SIGSEGV)


class _Info:
    def __init__(self, index: Any) -> None:
        self.index = index

    def device_name(self) -> Any:
        return _DEVICES[self.index][0]

    def type(self) -> Any:
        return _DEVICES[self.index][1]


get_gpu_info = _Info


class get_gpu_device:  # noqa: N801 - ncnn's name
    def __init__(self, index: Any) -> None:
        pass

    def get_heap_budget(self) -> Any:
        return int(os.environ.get("PRETENDED_MB", "2048"))


class _Allocator:
    def __init__(self, device: Any) -> None:
        pass

    def clear(self) -> Any:
        pass


VkBlobAllocator = VkStagingAllocator = _Allocator


class DataReader:
    pass


class Mat:
    def __init__(self, pixels: Any) -> None:
        self.pixels = pixels

    def clone(self) -> Any:
        return Mat(self.pixels.copy())


class _Options:
    use_fp16_storage = True


class Net:
    def __init__(self) -> None:
        self.opt = _Options()
        self.scale = 1

    def set_vulkan_device(self, index: Any) -> Any:
        self.index = index

    def load_param_mem(self, text: Any) -> Any:
        self.opt.use_fp16_storage &= _DEVICES[self.index][2]
        for line in text.splitlines():
            if line.startswith("PixelShuffle"):
                self.scale = int(line.rpartition("=")[2])
        return 0

    def load_model(self, reader: Any) -> Any:
        if _FAILURE == "no memory for weights":
            print("vkAllocateMemory failed -2", file=sys.stderr)
        reader._at = len(reader._data)
        return 0

    def clear(self) -> Any:
        pass

    def create_extractor(self) -> Any:
        return _Extractor(self)


class _Extractor:
    def __init__(self, net: Any) -> None:
        self.net = net

    def input(self, name: Any, mat: Any) -> Any:
        self.pixels = mat.pixels
        return 0

    def extract(self, name: Any) -> Any:
        right = self.pixels.repeat(self.net.scale, axis=1).repeat(self.net.scale, axis=2)
        if _ONLY == "half" and not self.net.opt.use_fp16_storage:
            return 0, right
        return _failed(right, self.pixels)


def _failed(right: Any, pixels: Any) -> Any:
    """Return ncnn's code and the result of a failure."""
    large = pixels.shape[1] * pixels.shape[2] > int(os.environ.get("PRETENDED_PIXELS", "0"))
    if _FAILURE == "black":
        return 0, np.zeros_like(right)
    if _FAILURE == "black below":  # the lower third: a tile that was torn
        right[:, right.shape[1] * 2 // 3 :] = 0
    elif _FAILURE == "inverted":
        return 0, 1 - right
    elif _FAILURE == "nan":
        right[0, 1, 1] = np.nan
    elif _FAILURE == "no memory, black" and large:  # ncnn goes on, and so does the driver
        print("vkAllocateMemory failed -2", file=sys.stderr)
        return 0, np.zeros_like(right)
    elif _FAILURE == "no memory, crash" and large:  # ncnn goes on, and the driver does not
        print("vkAllocateMemory failed -2", file=sys.stderr)
        os.kill(os.getpid(), signal.SIGSEGV)
    elif _FAILURE == "no memory, code" and large:
        return -100, None
    elif _FAILURE == "killed" and large:
        os.kill(os.getpid(), signal.SIGKILL)
    elif _FAILURE == "lost":
        print("vkQueueSubmit failed -4", file=sys.stderr)
        return -1, None
    elif _FAILURE == "lost, silent":
        print("vkWaitForFences failed -4", file=sys.stderr)
    elif _FAILURE == "code":
        return -1, None
    elif _FAILURE == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif _FAILURE == "hangs":
        time.sleep(600)
    return 0, right
