"""A dead CUDA context is told apart from everything else that torch complains about."""

import re
import weakref

import numpy as np
import pytest
import torch

from jobs.engine.backends.device_errors import device_errors, memory_errors
from jobs.engine.errors import DeviceLost


@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError("CUDA error: an illegal memory access was encountered\nCUDA kernel errors might …"),
        RuntimeError("CUDA error: uncorrectable ECC error encountered"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
        RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(…)`"),
        torch.AcceleratorError("HIP error: an illegal memory access was encountered\nHIP kernel errors might …"),
        RuntimeError("miopenStatusUnknownError"),
        RuntimeError("CUDA error: HIPBLAS_STATUS_EXECUTION_FAILED when calling `hipblasSgemm(…)`"),
        RuntimeError("level_zero backend failed with error: 20 (UR_RESULT_ERROR_DEVICE_LOST)"),
        RuntimeError("Native API failed. Native API returns: 20 (UR_RESULT_ERROR_DEVICE_LOST)\nmore"),
        RuntimeError("UR error: 2147483646 (UR_RESULT_ERROR_UNKNOWN)"),
        RuntimeError("ZE_RESULT_ERROR_DEVICE_LOST"),
        RuntimeError("Error: command buffer exited with error status.\n\tInternal Error (0000000e:Internal Error)"),
        RuntimeError("Caused GPU Timeout Error (00000002:kIOGPUCommandBufferCallbackErrorTimeout)"),
    ],
)
def test_a_lost_device_is_another_attempt_in_another_process(error: RuntimeError) -> None:
    with pytest.raises(DeviceLost) as caught, device_errors():
        raise error
    assert caught.value.retryable
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED"),
        torch.OutOfMemoryError("HIP out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("HIP error: out of memory"),
        RuntimeError("miopenStatusAllocFailed"),
        torch.OutOfMemoryError("XPU out of memory. Tried to allocate 1.71 GiB (GPU 0; 15.56 GiB total capacity)"),
        RuntimeError("MPS backend out of memory (MPS allocated: 6.04 GB, other allocations: 1.04 GB)"),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        ValueError("CUDA error"),
    ],
)
def test_other_errors_pass(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, device_errors():
        raise error
    assert caught.value is error


@pytest.mark.parametrize(
    "words",
    [
        "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
        "CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED",
        "CUBLAS_STATUS_ALLOC_FAILED",
        "miopenStatusAllocFailed",
        "HIPBLAS_STATUS_ALLOC_FAILED",
        "HIP error: out of memory",
        "XPU out of memory. Tried to allocate 1.71 GiB (GPU 0; 15.56 GiB total capacity)",
        "Native API failed. Native API returns: 39 (UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY)",
        "level_zero backend failed with error: 38 (UR_RESULT_ERROR_OUT_OF_HOST_MEMORY)",
        "level_zero backend failed with error: 40 (UR_RESULT_ERROR_OUT_OF_RESOURCES)",
        "Current platform can NOT allocate memory block with size larger than 4GB! Tried to allocate 7.03 GiB",
        "MPS backend out of memory (MPS allocated: 6.04 GB, other allocations: 1.04 GB, max allowed: 6.77 GB)",
        "Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)",
        "Invalid buffer size: 12.34 GiB",
    ],
)
def test_too_little_memory_is_told_from_a_lost_device(words: str) -> None:
    """Tiles are halved for the one; the other ends the process."""
    with pytest.raises(MemoryError, match=re.escape(words)), memory_errors():
        raise RuntimeError(f"cuDNN error: {words}")


def test_whoever_keeps_the_error_does_not_keep_the_memory_that_was_short() -> None:
    held = []

    def deep() -> None:
        tensor = np.zeros(3)
        held.append(weakref.ref(tensor))
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    with pytest.raises(MemoryError) as caught, memory_errors():
        deep()
    assert isinstance(caught.value.__cause__, torch.OutOfMemoryError)
    assert held[0]() is None
