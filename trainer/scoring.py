"""How well a network does on images that it was not fitted to."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from trainer import pausing
from trainer.batches import DeviceImages
from trainer.devices import half_type, sum_type
from trainer.image_data import SPLIT_SEED, ImageData, ImageSplit, PickedImages, held_out, stratified_share
from trainer.observation import Training

# What a CPU's cache holds: 256 images at once take three times as long each. A GPU wants more at once.
EVALUATION_BATCH = {"cpu": 64, "cuda": 256}
# Scoring after an epoch may cost this share of it; a forward pass costs about a third of a training step.
EVALUATION_SHARE = 0.1
STEP_PER_FORWARD = 3
_TOP = 5


def splits(training: Training, data: ImageData) -> tuple[ImageSplit | PickedImages, ImageSplit | PickedImages]:
    """The images a training fits and those that score it, none of them copied."""
    holdout, share = training.data.holdout, training.fidelity.data_share
    if not holdout and share == 1:
        return data.train, data.validation
    held = held_out(data.train.labels, holdout, SPLIT_SEED) if holdout else np.zeros(len(data.train), bool)
    fitted = np.flatnonzero(~held)
    if share < 1:
        fitted = fitted[stratified_share(data.train.labels[fitted], share, SPLIT_SEED)]
    score = PickedImages(data.train, np.flatnonzero(held)) if holdout else data.validation
    return PickedImages(data.train, fitted), score


def evaluation_interval(fitted: int, scoring: int) -> int:
    """Epochs from one scoring to the next, so that it costs at most about `EVALUATION_SHARE` of the training.

    Counted in images and not timed: which epochs are scored must not depend on how busy the machine is.

    Args:
        fitted: Images of one epoch.
        scoring: Images that score.
    """
    share = scoring / (STEP_PER_FORWARD * fitted)
    return max(1, math.ceil(share / EVALUATION_SHARE))


def precision(device: torch.device) -> AbstractContextManager[object]:
    """Autocast to 16 bits where a GPU is fast in them; on a CPU float32 is faster for depthwise convolutions."""
    half = half_type(device)
    return nullcontext() if half is None else torch.autocast(device.type, half)


@dataclass(frozen=True)
class ClassificationScores:
    """How well a network does.

    Attributes:
        accuracy: Top-1, in [0, 1].
        loss: Mean cross-entropy, in nats.
        facts: Further numbers: `top5`, the share of images whose class is among the five likeliest, in [0, 1], where
            there are more than five.
    """

    accuracy: float
    loss: float
    facts: dict[str, float]


@torch.inference_mode()
def evaluate(model: nn.Module, images: DeviceImages, device: torch.device, batch_size: int) -> ClassificationScores:
    """Scores of a network, which is left in evaluation mode."""
    model.eval()
    correct, among = torch.zeros((), device=device), torch.zeros((), device=device)
    classes = 0
    loss = torch.zeros((), dtype=sum_type(device), device=device)
    for batch, labels in images.in_order(batch_size):
        pausing.alive()
        with precision(device):
            logits = model(batch).float()
        correct += (logits.argmax(1) == labels).sum()
        if (classes := logits.shape[1]) > _TOP:
            among += (logits.topk(_TOP, 1).indices == labels[:, None]).sum()
        loss += functional.cross_entropy(logits, labels, reduction="sum")
    facts = {f"top{_TOP}": among.item() / len(images)} if classes > _TOP else {}
    return ClassificationScores(correct.item() / len(images), loss.item() / len(images), facts)
