"""CUDA's multi-process service, without which processes on one GPU take turns. Imports no package."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

# How it is started, and where it listens unless told otherwise.
MPS_START = "nvidia-cuda-mps-control -d"
_MPS_FOLDER = "/tmp/nvidia-mps"


def has_multi_process_service() -> bool:
    """Whether the service runs here."""
    folder = Path(os.environ.get("CUDA_MPS_PIPE_DIRECTORY", _MPS_FOLDER))
    return (folder / "control").exists()


def sharing_advice(devices: Sequence[str]) -> str:
    """What would make trainings that share a GPU faster; "" where nothing would.

    Args:
        devices: The torch device of each process.
    """
    on_gpus = [device for device in devices if device.startswith("cuda")]
    gpus = len(set(on_gpus))
    if gpus == len(on_gpus) or has_multi_process_service():
        return ""
    return f"{len(on_gpus)} trainings take turns on {gpus} GPU{'s' * (gpus > 1)}; `{MPS_START}` has them run at once"
