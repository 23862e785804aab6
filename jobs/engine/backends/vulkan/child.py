"""The process that holds ncnn and one Vulkan device; `process.py` starts it by its path and talks to it.

A process of its own, because ncnn does not survive what drivers do: where memory is short it goes on with memory that
it did not get, which is a black picture with some drivers and a crash with others, and says so on stderr only. Nothing
is imported here but ncnn, numpy and the standard library: torch would take seconds and hundreds of megabytes.

``child.py list`` writes the devices to stdout as JSON. ``child.py serve INDEX FD`` answers (verb, arguments) that come
through the connection FD: (True, result), or (False, reason).
"""

import ctypes
import json
import os
import sys
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

import ncnn
import numpy as np
from numpy.typing import NDArray

ENTRY, RESULT = "x", "y"  # as in layers.py

#: Seconds between two looks whether the parent still lives.
_LOOK_SECONDS = 1.0

_capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_capsule_pointer.restype = ctypes.c_void_p
_capsule_pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]


class _Bytes(ncnn.DataReader):  # type: ignore[misc]  # ncnn has no types
    """A reader of weights that copies: ``Net.load_model_mem`` keeps pointers into the caller's memory."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._data = data
        self._at = 0

    def read(self, buffer: object, size: int) -> int:
        """Copy the next ``size`` bytes to where the capsule points. Return how many there were."""
        piece = self._data[self._at : self._at + size]
        ctypes.memmove(_capsule_pointer(buffer, None), piece, len(piece))
        self._at += len(piece)
        return len(piece)

    @property
    def finished(self) -> bool:
        """True when all was read."""
        return self._at == len(self._data)


class Server:
    """The networks on one device. Methods are the verbs of the connection."""

    def __init__(self, index: int) -> None:
        if not 0 <= index < ncnn.get_gpu_count():
            raise RuntimeError(f"there is no Vulkan device {index} any more")
        self._index = index
        self._device = ncnn.get_gpu_device(index)
        self._networks: dict[int, Any] = {}
        # Of our own, to be emptied at will: the device's own keep the memory of the largest window for ever.
        self._blobs = ncnn.VkBlobAllocator(self._device)
        self._staging = ncnn.VkStagingAllocator(self._device)

    def load(self, number: int, text: str, weights: bytes, half: bool) -> None:
        """Load a graph, its weights as bytes of float32, under a number.

        :param half: store weights and activations in fp16; arithmetic is fp32.
        """
        network = _network(self._index, half=half)
        if network.load_param_mem(text):
            raise RuntimeError("ncnn does not read the graph that was written for it")
        reader = _Bytes(weights)
        if network.load_model(reader) or not reader.finished:
            raise RuntimeError("ncnn does not load the weights that were written for it")
        if half and not network.opt.use_fp16_storage:
            raise RuntimeError("the device does not store fp16")
        network.opt.blob_vkallocator = network.opt.workspace_vkallocator = self._blobs
        network.opt.staging_vkallocator = self._staging
        self._networks[number] = network

    def run(self, number: int, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute (C, H, W) pixels in [0, 1] to (C, H*scale, W*scale), both float32."""
        extractor = self._networks[number].create_extractor()
        given = ncnn.Mat(pixels).clone()  # a Mat of an array does not keep the array alive
        extractor.input(ENTRY, given)
        failed, out = extractor.extract(RESULT)
        if failed == -100:
            raise MemoryError("ncnn was given no memory for a layer")
        if failed:
            raise RuntimeError(f"ncnn failed with {failed}")
        result = np.array(out, np.float32)
        return result.reshape(-1, *result.shape[-2:])

    def drop(self, number: int) -> None:
        """Forget a network."""
        network = self._networks.pop(number, None)
        if network is not None:
            network.clear()

    def release(self) -> None:
        """Give back the memory of activations."""
        self._blobs.clear()
        self._staging.clear()

    def budget(self) -> int:
        """Return the bytes of the device's first local heap that this process may use, what it uses included."""
        return int(self._device.get_heap_budget()) << 20

    def close(self) -> None:
        """Free all, networks first: ncnn crashes where a network outlives the instance."""
        for number in list(self._networks):
            self.drop(number)
        self.release()
        del self._blobs, self._staging, self._device
        ncnn.destroy_gpu_instance()


def _network(index: int, *, half: bool) -> Any:
    network = ncnn.Net()
    options = network.opt
    options.use_vulkan_compute = True
    options.use_fp16_packed = options.use_fp16_storage = half
    for name in ("use_fp16_arithmetic", "use_bf16_packed", "use_bf16_storage"):
        setattr(options, name, False)
    network.set_vulkan_device(index)
    return network


def listed() -> list[dict[str, Any]]:
    """Return each device's index, name, type (0 discrete, 1 integrated, 2 virtual, 3 CPU), budget in bytes and fp16."""
    found = []
    for index in range(ncnn.get_gpu_count()):
        info = ncnn.get_gpu_info(index)
        # ncnn switches off what the device lacks when it reads a graph; there is no other way to ask.
        probe = _network(index, half=True)
        probe.load_param_mem("7767517\n1 1\nInput layer0 0 1 x\n")
        found.append(
            {
                "index": index,
                "name": info.device_name(),
                "type": info.type(),
                "budget": int(ncnn.get_gpu_device(index).get_heap_budget()) << 20,
                "fp16": bool(probe.opt.use_fp16_storage),
            }
        )
        probe.clear()
    return found


def serve(index: int, connection: Connection) -> None:
    """Answer until the other side closes."""
    _end_with(os.getppid())
    server = Server(index)
    while True:
        try:
            verb, arguments = connection.recv()
        except EOFError:
            server.close()
            return
        try:
            answer = (True, getattr(server, verb)(*arguments))
        except MemoryError as error:
            answer = (False, f"out of memory: {error}")
        except (RuntimeError, KeyError, ValueError, TypeError) as error:
            answer = (False, f"{type(error).__name__}: {error}")
        connection.send(answer)


def _end_with(parent: int) -> None:
    """End this process soon after its parent, also in the middle of a window: ncnn lets other threads run meanwhile."""

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_SECONDS)
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()


if __name__ == "__main__":
    if sys.argv[1] == "list":
        sys.stdout.write(json.dumps(listed()))
        ncnn.destroy_gpu_instance()
    else:
        serve(int(sys.argv[2]), Connection(int(sys.argv[3])))
