"""What a torch device can do, and which one is meant."""

from __future__ import annotations

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
