"""A dead CUDA context is told apart from everything else that torch complains about."""

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
    ],
)
def test_too_little_memory_is_told_from_a_lost_device(words: str) -> None:
    """Tiles are halved for the one; the other ends the process."""
    with pytest.raises(MemoryError, match=words), memory_errors():
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
