"""What a torch device can do, and which one is meant."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from sampler import InputError

# Without float64: sums there are of float32.
_NO_DOUBLE = ("mps",)
# Compute capabilities of CUDA devices: from these on bfloat16 is as fast as float16, and float16 is fast.
_BFLOAT16_FROM, _FLOAT16_FROM = (8, 0), (7, 0)


def one_device(wanted: str) -> str:
    """The device for what one process does alone.

    Args:
        wanted: A torch device; `auto` is a CUDA device where there is one, and else the CPU, as for trainings.

    Raises:
        InputError: If it is not there.
    """
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise InputError(f"--device {wanted}: torch has no such device; use auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        found = torch.cuda.device_count() or "no"
        raise InputError(f"--device {wanted}: this machine has {found} CUDA devices; use --device cpu")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise InputError(f"--device {wanted}: this machine has none; use --device cpu")
    return wanted


def has_all_kernels(device: torch.device) -> bool:
    """Whether a device resizes with antialiasing and samples beyond an image's edge; Apple's do not."""
    return device.type != "mps"


def sum_type(device: torch.device) -> torch.dtype:
    """The type in which many numbers are added up on a device: float64 where it has that."""
    return torch.float32 if device.type in _NO_DOUBLE else torch.float64


def sent(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Numbers of the host on a device, without waiting for what it has to do, as an ordinary copy would."""
    if device.type == "cuda":
        values = values.pin_memory()
    return values.to(device, non_blocking=True)


def choose_kernels(deterministic: bool) -> None:
    """How CUDA's libraries choose the kernels of this process from now on.

    Args:
        deterministic: Whether only those that give the same numbers every time; else the fastest, which are searched
            for, as a training's shapes stay the same.
    """
    torch.backends.cudnn.benchmark = not deterministic
    torch.backends.cudnn.deterministic = deterministic
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS is first used
    torch.use_deterministic_algorithms(deterministic)


def is_not_repeatable(error: BaseException) -> bool:
    """Whether an error says that an operation has no kernel that gives the same numbers every time."""
    return "does not have a deterministic implementation" in str(error)


@contextmanager
def full_float32() -> Iterator[None]:
    """While it lasts, GPUs multiply float32 as such, not in the 19 bits of TF32, which torch allows in convolutions."""
    convolutions, products = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = convolutions, products


def half_type(device: torch.device) -> torch.dtype | None:
    """The type of 16 bits in which a device multiplies fast; None where 32 bits are faster, as on a CPU.

    NVIDIA's GPUs before Ampere only emulate bfloat16; those before Volta have no fast 16 bits at all.
    """
    if device.type != "cuda":
        return None
    if torch.version.hip is not None:
        return torch.bfloat16
    capability = torch.cuda.get_device_capability(device)
    if capability >= _BFLOAT16_FROM:
        return torch.bfloat16
    return torch.float16 if capability >= _FLOAT16_FROM else None
