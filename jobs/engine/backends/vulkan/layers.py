"""The form of ncnn's networks: a text of layers, and their weights as bytes.

Source: the ncnn wiki, "param and model file structure" and "operators".
"""

from typing import Any

import numpy as np

#: Names of the blobs that go in and come out.
ENTRY, RESULT = "x", "y"

_MAGIC = "7767517"


class Layers:
    """The layers and weights that were written so far. Blobs are (C, H, W) and known by their names."""

    def __init__(self) -> None:
        self._layers: list[tuple[str, list[str], str, str]] = []  # type, inputs, output, parameters
        self._data: list[bytes] = []

    def add(self, kind: str, inputs: list[str], parameters: str, output: str = "") -> str:
        """Add a layer of one output and return the output's name."""
        output = output or f"b{len(self._layers)}"
        self._layers.append((kind, inputs, output, parameters))
        return output

    def numbers(self, *tensors: Any) -> None:
        """Add the weights of the last layer, or of the next: tensors of any shape, as float32 in their order."""
        self._data += [np.ascontiguousarray(one.detach().float().cpu().numpy(), "<f4").tobytes() for one in tensors]

    def plain(self) -> None:
        """Say that the weights which follow are plain float32: convolutions ask, other layers do not."""
        self._data.append(bytes(4))

    def files(self) -> tuple[str, bytes]:
        """Return the text and the bytes. A blob that several layers read goes through Split, as ncnn asks."""
        readers: dict[str, int] = {}
        for _, inputs, _, _ in self._layers:
            for blob in inputs:
                readers[blob] = readers.get(blob, 0) + 1
        lines: list[str] = []
        blobs = 0
        copies: dict[str, list[str]] = {}

        def write(kind: str, inputs: list[str], outputs: list[str], parameters: str) -> None:
            nonlocal blobs
            blobs += len(outputs)
            counts = f"{len(inputs)} {len(outputs)}"
            lines.append(" ".join([kind, f"layer{len(lines)}", counts, *inputs, *outputs, parameters]).rstrip())

        for kind, inputs, output, parameters in [("Input", [], ENTRY, ""), *self._layers]:
            taken = [copies[blob].pop() if blob in copies else blob for blob in inputs]
            write(kind, taken, [output], parameters)
            count = readers.get(output, 0)
            if count > 1:
                copies[output] = [f"{output}_{number}" for number in range(count)]
                write("Split", [output], copies[output][::-1], "")
        return "\n".join([_MAGIC, f"{len(lines)} {blobs}", *lines, ""]), b"".join(self._data)
