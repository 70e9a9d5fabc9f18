"""Distillation from a trained teacher: Hinton et al. 2015, as in Network Adjustment's KD rows."""

from __future__ import annotations

from pathlib import Path

import torch
from torch.nn import functional

from sampler import InputError
from trainer.recipe import Recipe
from trainer.weights import load_trained


class Distillation:
    """The teacher's share of a loss.

    Args:
        recipe: Names the teacher's file and the temperature.
        classes: Classes of the student.
        device: Where it trains.

    Raises:
        InputError: If the file is not a saved network, or its classes are others than the student's.
    """

    def __init__(self, recipe: Recipe, classes: int, device: torch.device) -> None:
        self.temperature = recipe.temperature
        teacher, architecture, known = load_trained(Path(recipe.teacher))
        if known != classes:
            raise InputError(f"{recipe.teacher}: a teacher of {known} classes; the student has {classes}")
        self.resolution = architecture.resolution
        self.teacher = teacher.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]

    def __call__(self, logits: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        """T^2 KL(teacher || student) at temperature T, the mean over the batch, in nats.

        The teacher sees the student's images, at the resolution it was trained at.

        Args:
            logits: The student's, `(n, classes)`.
            images: Images that the student saw, `(n, 3, side, side)`.
        """
        with torch.no_grad():
            if images.shape[-1] != self.resolution:
                images = functional.interpolate(images, size=(self.resolution,) * 2, mode="bilinear", antialias=True)
            wanted = (self.teacher(images).float() / self.temperature).log_softmax(1)
        given = (logits.float() / self.temperature).log_softmax(1)
        divergence = functional.kl_div(given, wanted, reduction="batchmean", log_target=True)
        return self.temperature**2 * divergence
