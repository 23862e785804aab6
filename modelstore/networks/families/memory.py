"""Bytes that a computation holds at its peak, counted tensor by tensor: the same number on every machine."""

import weakref
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class PeakBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's
    """Counts the storages that operations make while this is entered, and forgets them when they are freed.

    ``peak`` is the most bytes at once, without what was there before; ``largest`` the numbers of the largest tensor.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's
        self.held = self.peak = self.largest = 0
        self._seen: dict[int, Any] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """See `torch.utils._python_dispatch.TorchDispatchMode`."""
        out = func(*args, **(kwargs or {}))
        before = {leaf.untyped_storage().data_ptr() for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor) and leaf.layout == torch.strided:
                self._note(leaf, before)
        return out

    def _note(self, tensor: Tensor, before: set[int]) -> None:
        storage = tensor.untyped_storage()
        address = storage.data_ptr()
        if address in before or address in self._seen or address == 0:  # a view, or computed in place
            return
        size = storage.nbytes()
        self._seen[address] = weakref.finalize(storage, self._forget, address, size)
        self.held += size
        self.peak = max(self.peak, self.held)
        self.largest = max(self.largest, tensor.numel())

    def _forget(self, address: int, size: int) -> None:
        self._seen.pop(address, None)
        self.held -= size
