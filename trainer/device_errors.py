"""What an error says of the machine: memory that ran out, or a device that its process cannot use any more.

No class tells the one from the other: torch, CUDA's libraries, Metal and programs have words of their own. Imports no
torch, so that any trainer's errors can be read.
"""

from __future__ import annotations

import re

# Of torch's allocators, CUDA's and HIP's drivers, NCCL and MPS ("out of memory"); of cuBLAS, cuDNN, cuFFT, cuSOLVER and
# cuSPARSE ("..ALLOC_FAILED"); of cuDNN, where no algorithm's work space fits ("engine"); of hosts and of programs.
_MEMORY_WORDS = re.compile(
    r"out of memory|outofmemory|memoryerror|bad_alloc|alloc(ation)?_failed|unable to find an engine|"
    r"(cannot|can't|could not|failed to) allocate",
    re.IGNORECASE,
)
# After one of these every further call fails: CUDA keeps the error for as long as the process lives.
_DEVICE_WORDS = re.compile(
    r"(CUDA|HIP|CUDA driver|NCCL|cuDNN|cuFFT|MPS backend) error|CU(BLAS|DNN|SOLVER|SPARSE)_STATUS_|Cuda failure|"
    r"device-side assert|illegal memory access|unspecified launch failure"
)
_MEMORY_CLASSES = ("OutOfMemoryError", "ResourceExhaustedError")  # torch's and TensorFlow's, imported by nobody here
_DEVICE_CLASS = "AcceleratorError"
_LONGEST = 300


class CrowdedError(Exception):
    """Memory ran out while other trainings were on the same device: nothing is known of this one until it is alone."""


def says_out_of_memory(text: str) -> bool:
    """Whether a text, such as a program's last line, says that memory ran out."""
    return _MEMORY_WORDS.search(text) is not None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory of a device or of the machine ran out."""
    if isinstance(error, MemoryError) or type(error).__name__ in _MEMORY_CLASSES:
        return True
    return isinstance(error, RuntimeError) and says_out_of_memory(str(error))


def is_device_failure(error: BaseException) -> bool:
    """Whether its device failed under a process, which can do nothing more on it; not where memory ran out."""
    if is_out_of_memory(error):
        return False
    return type(error).__name__ == _DEVICE_CLASS or _DEVICE_WORDS.search(str(error)) is not None


def first_line(error: BaseException) -> str:
    """What an error says first, or its class where it says nothing."""
    text = str(error).strip()
    return text.splitlines()[0][:_LONGEST] if text else type(error).__name__
