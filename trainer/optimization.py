"""What a recipe makes of a network: optimiser, schedule, average, losses, drop path - all of them timm's."""

from __future__ import annotations

from typing import Any

import torch
from timm.layers import DropPath
from timm.loss import LabelSmoothingCrossEntropy, SoftTargetCrossEntropy
from timm.optim import create_optimizer_v2
from timm.scheduler import CosineLRScheduler, StepLRScheduler
from timm.utils import ModelEmaV3
from torch import nn

from trainer.recipe import EDITION, Recipe

# Many small tensors: one call for all of them is up to nine times as fast as one for each (0.9 against 7.9 ms).
_FAST: dict[str, dict[str, Any]] = {
    "adamw": {"fused": True},
    "sgd": {"fused": True},
    "momentum": {"fused": True},
    # RMSProp as EfficientNet's own code has it: decay 0.9, epsilon 0.001.
    "rmsproptf": {"foreach": True, "alpha": 0.9, "eps": 1e-3},
}
LEAST_NORM_STEPS = 10


def optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The optimiser of a recipe, from timm; norms and biases are not decayed."""
    return create_optimizer_v2(
        model,
        opt=recipe.optimizer,
        lr=recipe.scaled_learning_rate,
        weight_decay=recipe.weight_decay,
        momentum=recipe.momentum,
        **_FAST[recipe.optimizer],
    )


def schedule(optimizer: torch.optim.Optimizer, recipe: Recipe, total_steps: int) -> CosineLRScheduler | StepLRScheduler:
    """The schedule by the step (timm's) over the whole training; its only state is the step it is given."""
    common: dict[str, Any] = {
        "warmup_t": int(recipe.warmup * total_steps),
        "warmup_lr_init": recipe.scaled_learning_rate * 1e-2,
        "warmup_prefix": False,
        "t_in_epochs": False,
    }
    if recipe.schedule == "step":
        return StepLRScheduler(optimizer, recipe.decay_every * total_steps, recipe.decay_rate, **common)
    return CosineLRScheduler(
        optimizer, t_initial=total_steps, lr_min=recipe.final * recipe.scaled_learning_rate, **common
    )


def averaged(model: nn.Module, recipe: Recipe, total_steps: int) -> ModelEmaV3 | None:
    """A moving average of the weights, its horizon a share of the training (0.9999 would average nothing)."""
    if not recipe.ema:
        return None
    return ModelEmaV3(model, decay=max(0.0, 1 - 1 / max(1.0, recipe.ema * total_steps)), use_warmup=True)


def label_loss(recipe: Recipe) -> nn.Module:
    """The loss against labels, or against the probabilities that mixup and cutmix make (smoothed there)."""
    if recipe.mixup or recipe.cutmix:
        return SoftTargetCrossEntropy()  # type: ignore[no-untyped-call]
    return LabelSmoothingCrossEntropy(recipe.label_smoothing)  # type: ignore[no-untyped-call]


def set_norm_momentum(model: nn.Module, recipe: Recipe, total_steps: int) -> None:
    """Sets the weight of a new batch in every batch norm's statistics."""
    momentum = max(recipe.norm_momentum, min(0.1, LEAST_NORM_STEPS / total_steps))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = momentum


def set_drop_path(model: nn.Module, rate: float, edition: int = EDITION) -> int:
    """Gives every residual block timm's drop path, growing linearly over all blocks from 0 in the first.

    The last block has `rate`; of n blocks of an EfficientNet, whose rates timm counts by n, (n - 1) / n of it. timm's
    blocks apply a `drop_path` to the branch that is added to a shortcut; without a rate that is None (which is no
    module) or the identity. GhostNet's have no such place.

    Args:
        model: The network.
        rate: Rate of the last block.
        edition: `Recipe.edition`: before the second one, blocks without a shortcut did not count.

    Returns:
        How many blocks have a shortcut and a place for it.
    """
    places = [block for block in model.modules() if hasattr(block, "drop_path")]
    blocks = [block for block in places if getattr(block, "has_skip", True)]
    counted, parts = blocks, len(blocks) - 1
    if edition > 1:
        counted, parts = places, len(places) - (not any(hasattr(block, "has_skip") for block in places))
    for index, block in enumerate(counted):
        if rate and index:
            block.drop_path = DropPath(rate * index / parts)
    return len(blocks)
