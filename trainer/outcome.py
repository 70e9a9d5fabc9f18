"""What is known of a training of images while it runs, and the observation that it becomes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import timm
import torch

from sampler import architecture_complexity
from trainer.device_errors import first_line
from trainer.images import ImageData
from trainer.observation import EpochRecord, Observation, Training


@dataclass
class TrainingOutcome:
    """What is known of a training so far.

    Attributes:
        start: When it began by the wall clock, in seconds; earlier by what it took before it was interrupted.
        cpu_start: Time when it began by the process's own clock; None where that is not known of what came before.
        alone: Whether no other training shares its device.
        micro_batches: Parts in which each batch is done, as memory is short; 1 for whole.
    """

    start: float
    cpu_start: float | None
    alone: bool = True
    micro_batches: int = 1
    history: list[EpochRecord] = field(default_factory=list)
    status: str = "ok"
    accuracy: float | None = None
    loss: float | None = None
    message: str = ""

    def fail(self, status: str, error: BaseException) -> None:
        """Ends it without an accuracy."""
        self.status, self.message = status, first_line(error)

    def seconds(self) -> float:
        """Seconds by the wall clock."""
        return time.perf_counter() - self.start

    def cpu_seconds(self) -> float | None:
        """Processor time, where it is known."""
        return None if self.cpu_start is None else round(time.process_time() - self.cpu_start, 3)

    def observation(self, training: Training, data: ImageData, device: str) -> Observation:
        """The record of a training that ended."""
        cost = architecture_complexity(training.architecture, len(data.classes))
        return Observation(
            architecture=training.architecture,
            fidelity=training.fidelity,
            seed=training.seed,
            status=self.status,  # type: ignore[arg-type]
            accuracy=self.accuracy,
            loss=self.loss,
            macs=cost.macs,
            params=cost.params,
            activations=cost.activations,
            seconds=round(self.seconds(), 3),
            device=device_name(device),
            versions={"torch": torch.__version__, "timm": timm.__version__},
            message=self.message,
            history=tuple(self.history),
            memory=cost.memory,
            cpu_seconds=self.cpu_seconds(),
            threads=torch.get_num_threads(),
            micro_batches=self.micro_batches,
            alone=self.alone,
            peak_bytes=_peak_bytes(device),
        )


def device_name(device: str) -> str:
    """A GPU's own name; of other devices torch's."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


def _peak_bytes(device: str) -> int | None:
    """The most memory that this training's tensors took on a GPU at once."""
    return torch.cuda.max_memory_allocated(device) if device.startswith("cuda") else None
