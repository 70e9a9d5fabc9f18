"""Words of CUDA's libraries, of Metal, of hosts and programs: which say that memory ran out, which that all is over."""

import pytest
import torch

from sampler import InputError
from trainer.device_errors import CrowdedError, first_line, is_device_failure, is_out_of_memory, says_out_of_memory
from trainer.engines.engine import explained
from trainer.protocol import TrainerError

MEMORY = {
    "allocator": "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 139.72 GiB",
    "driver": "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported at some other API call",
    "cuBLAS": "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "cuDNN": "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "cuDNN 9": "cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
    "engine": "GET was unable to find an engine to execute this computation",
    "engine of late": "Unable to find an engine to execute this computation",
    "cuFFT": "cuFFT error: CUFFT_ALLOC_FAILED",
    "cuSOLVER": "cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`",
    "NCCL": "NCCL error in: ProcessGroupNCCL.cpp:1275, unhandled cuda error: Cuda failure 2 'out of memory'",
    "MPS": "MPS backend out of memory (MPS allocated: 8.00 GB, other allocations: 1.00 GB, max allowed: 9.07 GB)",
    "host": "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to",
}
OVER = {
    "address": "CUDA error: an illegal memory access was encountered\nCompile with `TORCH_USE_CUDA_DSA` to enable",
    "assert": "CUDA error: device-side assert triggered",
    "launch": "CUDA error: unspecified launch failure",
    "cuBLAS": "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`",
    "cuDNN": "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
    "memory chip": "CUDA error: uncorrectable ECC error encountered",
}
DEFECTS = ("shapes do not match", "mat1 and mat2 shapes cannot be multiplied (4x3 and 4x3)", "memory format unknown")


class AcceleratorError(RuntimeError):
    """As torch names it, on whatever device."""


@pytest.mark.parametrize("text", MEMORY.values(), ids=MEMORY)
def test_memory_that_ran_out_is_known_by_each_librarys_words(text):
    for error in (RuntimeError(text), AcceleratorError(text)):
        assert is_out_of_memory(error) and not is_device_failure(error)
    assert says_out_of_memory(f"RuntimeError: {text}")


@pytest.mark.parametrize("text", OVER.values(), ids=OVER)
def test_a_device_that_failed_is_known_and_is_not_out_of_memory(text):
    for error in (RuntimeError(text), AcceleratorError(text), TrainerError(f"RuntimeError: {text} (own.py, line 3)")):
        assert is_device_failure(error) and not is_out_of_memory(error)
        assert explained(7, error).kind == "died"
    assert explained(7, RuntimeError(text)).text == f"its device failed ({text.splitlines()[0]})"


@pytest.mark.parametrize("text", DEFECTS)
def test_other_errors_are_neither(text):
    error = RuntimeError(text)
    assert not is_out_of_memory(error) and not is_device_failure(error) and explained(1, error).kind == "failed"


def test_classes_say_it_without_words():
    assert is_out_of_memory(MemoryError()) and is_out_of_memory(torch.OutOfMemoryError())
    assert is_device_failure(AcceleratorError("what is this")) and first_line(MemoryError()) == "MemoryError"


def test_what_the_user_can_mend_stays_so_whatever_its_words_are():
    assert explained(1, InputError("out of memory, CUDA error: give less")).kind == "refused"
    assert not is_out_of_memory(ValueError("out of memory"))
    assert explained(1, CrowdedError("CUDA out of memory")).kind == "crowded"
