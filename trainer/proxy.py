"""One architecture, one fidelity, one seed in; one observation out.

A training is a pure function of its `Training` and the images on one device: every random number comes from the
seed, and nothing that was trained before it in the same process changes it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import timm
import torch
from timm.loss import LabelSmoothingCrossEntropy
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler
from timm.utils import ModelEmaV3
from torch import nn
from torch.nn import functional

from sampler import architecture_complexity
from trainer.batches import CROP_MARGIN, DeviceImages, steps_per_epoch
from trainer.images import ImageData, ImageSplit, hold_out, stratified_share
from trainer.network import build
from trainer.observation import Fidelity, Observation, Recipe, Training

# Which images are held out and which share is used must not change with a training's own seed.
SPLIT_SEED = 0
REFERENCE_BATCH = 64
EVALUATION_BATCH = 256

OnEpoch = Callable[[int, float], None]


def train(training: Training, data: ImageData, device: str = "cpu", on_epoch: OnEpoch | None = None) -> Observation:
    """Trains one architecture on a proxy task.

    Args:
        training: What to train, how, and with which seed.
        data: The decoded images of `training.data`.
        device: A torch device.
        on_epoch: Called after every epoch with the epochs done and the mean training loss.

    Returns:
        The observation. A loss that is not finite gives `diverged`, a device out of memory `out_of_memory`.

    Raises:
        ValueError: If there are fewer training images than one batch.
    """
    start = time.perf_counter()
    try:
        accuracy, loss = _Run(training, data, torch.device(device)).scores(on_epoch)
    except (torch.OutOfMemoryError, MemoryError) as error:
        return _observation(training, data, device, start, "out_of_memory", message=str(error).split("\n")[0])
    except _DivergedError as error:
        return _observation(training, data, device, start, "diverged", message=str(error))
    return _observation(training, data, device, start, "ok", accuracy, loss)


class _DivergedError(Exception):
    """The training loss is not finite."""


class _Run:
    """The state of one training."""

    def __init__(self, training: Training, data: ImageData, device: torch.device) -> None:
        self.training, self.device = training, device
        torch.manual_seed(training.seed)
        self.generator = torch.Generator().manual_seed(training.seed)
        resolution = training.architecture.resolution
        fit, score = splits(training, data)
        self.images = DeviceImages(fit, min(data.side, math.ceil(resolution * CROP_MARGIN)), device)
        self.scoring = DeviceImages(score, resolution, device)
        recipe = training.recipe
        self.steps = steps_per_epoch(len(self.images), recipe.batch_size)
        if self.steps < 1:
            raise ValueError(
                f"{len(self.images)} training images make no batch of {recipe.batch_size}; "
                "raise the share of the data or lower the batch size"
            )
        self.model = build(training.architecture, len(data.classes), recipe.dropout)
        self.model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = create_optimizer_v2(
            self.model,
            opt=recipe.optimizer,
            lr=recipe.learning_rate * recipe.batch_size / REFERENCE_BATCH,
            weight_decay=recipe.weight_decay,
        )
        self.scheduler = schedule(self.optimizer, recipe, training.fidelity, self.steps)
        self.ema = averaged(self.model, recipe, training.fidelity.epochs * self.steps)
        self.loss = LabelSmoothingCrossEntropy(recipe.label_smoothing)

    def scores(self, on_epoch: OnEpoch | None) -> tuple[float, float]:
        """Trains; gives top-1 accuracy and cross-entropy on the scoring images."""
        for epoch in range(self.training.fidelity.epochs):
            mean_loss = self._epoch(epoch)
            if not math.isfinite(mean_loss):
                raise _DivergedError(f"the training loss is {mean_loss} after epoch {epoch + 1}")
            if on_epoch:
                on_epoch(epoch + 1, mean_loss)
        accuracy, loss = evaluate(self.ema.module if self.ema else self.model, self.scoring, self.device)
        if not math.isfinite(loss):
            raise _DivergedError(f"the loss on the scoring images is {loss}")
        return accuracy, loss

    def _epoch(self, epoch: int) -> float:
        self.model.train()
        recipe = self.training.recipe
        total = torch.zeros((), device=self.device)
        batches = self.images.shuffled(
            recipe.batch_size, self.training.architecture.resolution, recipe.crop, recipe.flip, self.generator
        )
        for step, (images, labels) in enumerate(batches, start=epoch * self.steps):
            self.scheduler.step_update(step)
            with precision(self.device):
                loss = self.loss(self.model(images), labels)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            if self.ema:
                self.ema.update(self.model, step=step)
            total += loss.detach().float()  # summed on the device: no wait for it at every step
        return total.item() / self.steps


def splits(training: Training, data: ImageData) -> tuple[ImageSplit, ImageSplit]:
    """The images a training fits and those that score it."""
    fit, score = data.train, data.validation
    if training.data.holdout:
        fit, score = hold_out(data.train, training.data.holdout, SPLIT_SEED)
    if training.fidelity.data_share < 1:
        fit = fit.subset(stratified_share(fit.labels, training.fidelity.data_share, SPLIT_SEED))
    return fit, score


def schedule(optimizer: torch.optim.Optimizer, recipe: Recipe, fidelity: Fidelity, steps: int) -> CosineLRScheduler:
    """Timm's cosine schedule by the step, with linear warm-up, over the whole training."""
    total = fidelity.epochs * steps
    return CosineLRScheduler(
        optimizer,
        t_initial=total,
        warmup_t=int(recipe.warmup * total),
        warmup_lr_init=recipe.learning_rate * 1e-2,
        warmup_prefix=False,
        t_in_epochs=False,
    )


def averaged(model: nn.Module, recipe: Recipe, total_steps: int) -> ModelEmaV3 | None:
    """Timm's moving average of the weights, its horizon a share of the training (0.9999 would average nothing)."""
    if not recipe.ema:
        return None
    return ModelEmaV3(model, decay=max(0.0, 1 - 1 / max(1.0, recipe.ema * total_steps)), use_warmup=True)


def precision(device: torch.device) -> AbstractContextManager[object]:
    """Autocast to bfloat16 on a GPU; on a CPU float32 is faster for depthwise convolutions."""
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()


@torch.inference_mode()
def evaluate(model: nn.Module, images: DeviceImages, device: torch.device) -> tuple[float, float]:
    """Top-1 accuracy in [0, 1] and mean cross-entropy in nats."""
    model.eval()
    correct = torch.zeros((), device=device)
    loss = torch.zeros((), dtype=torch.float64, device=device)
    for batch, labels in images.in_order(EVALUATION_BATCH):
        with precision(device):
            logits = model(batch).float()
        correct += (logits.argmax(1) == labels).sum()
        loss += functional.cross_entropy(logits, labels, reduction="sum")
    return correct.item() / len(images), loss.item() / len(images)


def _observation(
    training: Training,
    data: ImageData,
    device: str,
    start: float,
    status: str,
    accuracy: float | None = None,
    loss: float | None = None,
    message: str = "",
) -> Observation:
    cost = architecture_complexity(training.architecture, len(data.classes))
    return Observation(
        architecture=training.architecture,
        fidelity=training.fidelity,
        seed=training.seed,
        status=status,  # type: ignore[arg-type]
        accuracy=accuracy,
        loss=loss,
        macs=cost.macs,
        params=cost.params,
        activations=cost.activations,
        seconds=round(time.perf_counter() - start, 3),
        device=torch.cuda.get_device_name(device) if device.startswith("cuda") else device,
        versions={"torch": torch.__version__, "timm": timm.__version__},
        message=message,
    )
