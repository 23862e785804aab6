"""Errors of torch and its devices told apart: too little memory, a lost device, and all others."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from jobs.engine.errors import DeviceLost

#: Text in the messages of a dead device's errors, of every kind: a process computes on one, and none says the words of
#: another. Torch has a type of its own for some of them only.
_SIGNS = (
    "CUDA error",
    "CUDA driver error",
    "cuDNN error",
    "CUBLAS_STATUS_",
    "CUDNN_STATUS_",
    # The same words on AMD's cards.
    "HIP error",
    "MIOpen Error",
    "miopenStatus",
    "HIPBLAS_STATUS_",
    "rocblas_status_",
    # Intel's, by torch's XPU: unified runtime, level-zero, SYCL.
    "UR_RESULT_ERROR_",
    "ZE_RESULT_ERROR_",
    "Native API failed",
    "level_zero backend failed",
    # Apple's: Metal.
    "command buffer exited with error status",
    "kIOGPUCommandBufferCallbackError",
    "MTLCommandBufferError",
    # Intel's, by OpenVINO's plug-in: OpenCL.
    "CL_DEVICE_NOT_AVAILABLE",
    "CL_INVALID_COMMAND_QUEUE",
    "CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST",
)
#: Text of out-of-memory errors that do not come as OutOfMemoryError: the host's allocator, CUDA below torch's
#: allocator (contexts, kernels, pinned memory, graphs), the libraries, and torch's search for a convolution, which
#: tries plan after plan, swallows their out-of-memory errors and in the end says that it found none.
_MEMORY_SIGNS = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "CUDNN_STATUS_ALLOC_FAILED",
    "DEVICE_ALLOCATION_FAILED",  # CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED, since cuDNN 9
    "HOST_ALLOCATION_FAILED",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "miopenStatusAllocFailed",
    "HIPBLAS_STATUS_ALLOC_FAILED",
    "rocblas_status_memory_error",
    "unable to find an engine to execute this computation",
    "ERROR_OUT_OF_DEVICE_MEMORY",  # UR_RESULT_ and ZE_RESULT_
    "ERROR_OUT_OF_HOST_MEMORY",
    "ERROR_OUT_OF_RESOURCES",  # what level-zero says of some allocations that are too large
    "memory block with size larger than",  # Intel's first Arc cards: 4 GB at once
    "kIOGPUCommandBufferCallbackErrorOutOfMemory",
    "Invalid buffer size",  # Metal's: larger than any buffer may be
)


@contextmanager
def device_errors() -> Iterator[None]:
    """Turn an error that leaves a dead device behind (an illegal access, ECC, a lost card, a hang) into DeviceLost.

    Every error of a driver counts as one: CUDA repeats such an error at every later call, and does not tell which ones
    are temporary.
    """
    try:
        yield
    except RuntimeError as error:
        if is_out_of_memory(error) or not any(sign in str(error) for sign in _SIGNS):
            raise
        raise DeviceLost(f"the device failed: {str(error).splitlines()[0]}") from error


@contextmanager
def memory_errors() -> Iterator[None]:
    """Turn torch's out-of-memory errors, which differ by device and library, into MemoryError; others pass."""
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        forget_frames(error)
        raise MemoryError(first_line(error)) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Return True if less memory in use would have prevented the error."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _MEMORY_SIGNS)


def forget_frames(error: BaseException) -> None:
    """Empty the frames that an error came through, and those of the errors before it.

    They hold the tensors of the call that failed. On an H100 500 MB of a failed call were still there when the next
    one, with smaller tiles, found no room: whoever keeps the error must not keep the memory that was short.
    """
    each: BaseException | None = error
    while each is not None:
        traceback.clear_frames(each.__traceback__)
        each = each.__context__


def first_line(error: BaseException) -> str:
    """Return the first line of the error's message, without the advice for developers that torch appends."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__
