"""A batch in parts where memory is short: the same gradient from smaller pieces."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from trainer.device_errors import is_out_of_memory

# Where this many images do not fit, the training does not.
SMALLEST = 4

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def accumulated(
    loss: Loss,
    optimizer: torch.optim.Optimizer,
    images: torch.Tensor,
    labels: torch.Tensor,
    parts: int,
    scaled: Callable[[torch.Tensor], torch.Tensor] = lambda loss: loss,
) -> torch.Tensor:
    """Gradients of a batch's mean loss, added up over micro-batches; gives that loss.

    Without batch norm they are the whole batch's up to rounding; batch norm sees the statistics of a micro-batch.

    Args:
        loss: Mean loss of some images.
        optimizer: Optimizer whose gradients are cleared first.
        images: `(n, 3, h, w)`.
        labels: `(n,)` or `(n, classes)`.
        parts: Micro-batches, equal but for one image.
        scaled: Makes the loss as large as gradients in float16 need it; theirs are to be scaled back by the caller.
    """
    optimizer.zero_grad(set_to_none=True)
    total = torch.zeros((), device=images.device)
    for some, their in zip(images.tensor_split(parts), labels.tensor_split(parts), strict=True):
        part = loss(some, their) * (len(some) / len(images))
        scaled(part).backward()  # type: ignore[no-untyped-call]
        total += part.detach().float()
    return total


def can_halve(error: BaseException, images: int, parts: int) -> bool:
    """Whether smaller micro-batches could mend an error: memory ran out, and they are not the smallest yet."""
    return is_out_of_memory(error) and math.ceil(images / parts) > SMALLEST
