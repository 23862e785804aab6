"""Errors of CUDA after which a process can compute no more, told apart from all others."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from jobs.engine.errors import DeviceLost

#: How they begin. Torch has a type of its own for some of them only.
_SIGNS = ("CUDA error", "CUDA driver error", "cuDNN error", "CUBLAS_STATUS_", "CUDNN_STATUS_")


@contextmanager
def device_errors() -> Iterator[None]:
    """Turn an error that leaves a dead CUDA context behind (an illegal access, ECC, a lost card) into DeviceLost.

    All of them are: CUDA repeats such an error at every later call, and which ones it would forgive it does not tell.
    """
    try:
        yield
    except RuntimeError as error:
        if _is_out_of_memory(error) or not any(sign in str(error) for sign in _SIGNS):
            raise
        raise DeviceLost(f"the device failed: {str(error).splitlines()[0]}") from error


def _is_out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error)
