"""Weight inheritance: a larger network that computes what its trained parent computes.

Widths grow by repeating channels and dividing their readers' weights (Net2WiderNet), depths by blocks that add nothing
at first. Net2Net (https://arxiv.org/abs/1511.05641) has neither residual sums, nor squeeze-excite, nor groups; the
rules for these are ours. What each family allows exactly, in eval mode:

    MBConv, residual, RegNet   any widths and depths at least the parent's, with the exceptions below
    Ghost                      the same; hidden channels follow the widths' common multiplier and must not shrink either
    ConvNeXt                   any depths; widths that are whole multiples, as layer norms average over channels

and what none does: a block that has a skip connection only in one of the two networks (a stage without a stride as wide
as the layer before it), except that a ResNet's or GhostNet's plain shortcut may become a convolution; more blocks in a
stage without skip connections (MnasNet's first and last, MobileNetV3's last); CIFAR stages whose shortcuts would pad
fewer zeros.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from sampler import Architecture, InputError, LayeredArchitecture, base
from trainer.inheritance.layers import Rehearsal, WeightTransfer, layers
from trainer.inheritance.spaces import ChannelMap
from trainer.inheritance.stages import Skip, grow_stage, network_parts, skip_of, summed_space
from trainer.network import build
from trainer.observation import Training
from trainer.weights import load_trained

Pattern = tuple[tuple[bool, Skip, int], ...]
# Of torch's, by their names.
_DRAWING = ("normal_", "uniform_", "trunc_normal_")
# Of networks that are compared and never run.
_BLANK_CLASSES = 2


def inherited_weights(training: Training, classes: int) -> dict[str, torch.Tensor]:
    """The state dict that a training with a parent begins with.

    Raises:
        InputError: If the parent's file cannot be read, has other classes, or is no network that can be inherited.
    """
    parent, architecture, known = load_trained(Path(training.parent))
    if known != classes:
        raise InputError(f"{training.parent}: a network of {known} classes, but the images have {classes}")
    child = inherit(parent, architecture, training.architecture, classes, training.seed, training.noise)
    return child.state_dict()


def inherit(
    parent: nn.Module,
    parent_architecture: Architecture,
    child_architecture: Architecture,
    classes: int,
    seed: int,
    noise: float = 0.0,
    drop_rate: float = 0.0,
) -> nn.Module:
    """Builds a network at least as large as its parent in every part, with the same outputs in eval mode.

    Equal up to rounding, at any one resolution; a child that differs in resolution only has the parent's weights. In
    train mode the two differ where the child has a convolution for the parent's plain shortcut: the batch norm there
    is an identity by its running statistics only. Batch-norm statistics are inherited with the weights.

    Args:
        parent: A network as `trainer.network.build` makes it; it is not changed.
        parent_architecture: The parent's architecture.
        child_architecture: The child's: of the same base network, nothing narrower or shallower.
        classes: Outputs of both classifiers.
        seed: Decides which channels are repeated, the first weights of new blocks, and the noise.
        noise: Normal noise on the weights that lead to or from a repeated channel, of this many standard deviations of
            the parent's weight. Outputs are then only nearly equal; without it, equal channels get equal gradients,
            stay equal, and the added width is of no use to a fine-tuning.
        drop_rate: Dropout before the child's classifier.

    Returns:
        The child in train mode, with the parent's dtype and on its device.

    Raises:
        InputError: If the parent is not as said, the child is smaller somewhere, or exactness is impossible; says
            where and why.
    """
    if not 0 <= noise < np.inf:
        raise InputError(f"noise must be zero or a positive number of standard deviations, got {noise}")
    _check_sizes(parent_architecture, child_architecture)
    _check_parent(parent, parent_architecture, classes)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        child = build(child_architecture, classes, drop_rate)
    child.to(next(parent.parameters()))
    _grow(parent, parent_architecture, child, child_architecture, classes, WeightTransfer(seed, noise))
    return child


def refusal(parent: Architecture, child: Architecture, seed: int) -> str | None:
    """Why `inherit` would refuse this pair, without weights or trainings (some milliseconds on torch's meta device).

    Exact, as it runs what `inherit` runs and only writes nothing; the seed matters to a few CIFAR ResNets, whose
    shortcuts may or may not keep a channel that was drawn twice.

    Returns:
        One line, or None where the child can inherit.

    Raises:
        InputError: If one of the two cannot be built at all.
    """
    blanks = _blank(parent), _blank(child)
    try:
        _check_sizes(parent, child)
        _grow(blanks[0], parent, blanks[1], child, _BLANK_CLASSES, Rehearsal(seed))
    except InputError as error:
        return str(error)
    return None


def pattern(architecture: Architecture) -> Pattern:
    """What a parent mostly has in common with its children: how each stage begins, and depths that cannot grow.

    For grouping only; `refusal` decides.

    Returns:
        For each stage whether something runs before its blocks, the skip connection of its first block, and its depth
        where more blocks would change the outputs, else 0.
    """
    # A second block tells of all further ones whether they have a skip connection.
    two = replace(architecture, depths=(2,) * len(architecture.depths))
    stages = network_parts(_blank(two), two).stages
    return tuple(
        (
            bool(layers(*stage.entry)),
            skip_of(stage.blocks[0]),
            0 if skip_of(stage.blocks[1]) == "a plain skip connection" else depth,
        )
        for stage, depth in zip(stages, architecture.depths, strict=True)
    )


def _blank(architecture: Architecture) -> nn.Module:
    """A network without memory for its weights."""
    return _blank_of(replace(architecture, resolution=base(architecture.base).resolution))


@lru_cache(maxsize=128)
def _blank_of(architecture: Architecture) -> nn.Module:
    with torch.device("meta"), _Undrawn():
        return build(architecture, _BLANK_CLASSES)


class _Undrawn(TorchFunctionMode):
    """Leaves out the drawing of first weights, which on the meta device does nothing, but takes most of the time."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Calls a function of torch's, or gives back its tensor."""
        kwargs = kwargs or {}
        if func.__name__ in _DRAWING:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


@torch.no_grad()
def _grow(
    parent: nn.Module,
    before: Architecture,
    child: nn.Module,
    after: Architecture,
    classes: int,
    transfer: WeightTransfer,
) -> None:
    """Writes a parent's weights into a child.

    Raises:
        InputError: If the child could not compute the same; says where and why.
    """
    network = base(before.base)
    old, new = (network_parts(model, one) for model, one in ((parent, before), (child, after)))
    with _told_where(f"the stem of {network.name}"):
        space = summed_space(new.growth, transfer, before.stem, after.stem)
    transfer.chain(old.stem, new.stem, ChannelMap(np.arange(3)), space)
    width = before.stem
    for index, stages in enumerate(zip(old.stages, new.stages, strict=True)):
        widths = width, before.widths[index], after.widths[index]
        with _told_where(f"stage {index + 1} of {network.name}"):
            space = grow_stage(new.growth, transfer, *stages, space, widths)
        width = before.widths[index]
    transfer.chain(old.tail, new.tail, space, ChannelMap(np.arange(classes)))


@contextmanager
def _told_where(place: str) -> Iterator[None]:
    """Says of a refusal where it happened."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{place} cannot inherit its weights: {error}") from error


def _check_sizes(parent: Architecture, child: Architecture) -> None:
    """Refuses a child that is not the parent with more channels or blocks.

    Raises:
        InputError: Naming the first part that is smaller.
    """
    if child.base != parent.base:
        raise InputError(f"{child.base} cannot inherit from {parent.base}; both must have one base network")
    if isinstance(parent, LayeredArchitecture) or isinstance(child, LayeredArchitecture):
        raise InputError("networks with one width per layer do not inherit; train them from scratch")
    for part in ("stem", "head"):
        if getattr(child, part) < getattr(parent, part):
            raise InputError(_smaller(part, getattr(child, part), getattr(parent, part)))
    for part, olds, news in (("width", parent.widths, child.widths), ("depth", parent.depths, child.depths)):
        for index, (old, new) in enumerate(zip(olds, news, strict=True)):
            if new < old:
                raise InputError(_smaller(f"{part} of stage {index + 1}", new, old))


def _smaller(part: str, new: int, old: int) -> str:
    return f"{part} {new} is smaller than the parent's {old}; weights are inherited by larger networks only"


def _check_parent(parent: nn.Module, architecture: Architecture, classes: int) -> None:
    """Refuses a parent that is not what its architecture says.

    Raises:
        InputError: Naming the first weight that differs.
    """
    with torch.device("meta"):
        expected = {name: value.shape for name, value in build(architecture, classes).state_dict().items()}
    actual = {name: value.shape for name, value in parent.state_dict().items()}
    wrong = next((name for name in (*expected, *actual) if expected.get(name) != actual.get(name)), None)
    if wrong is not None:
        shapes = [
            tuple(shape) if shape is not None else "missing" for shape in (actual.get(wrong), expected.get(wrong))
        ]
        raise InputError(
            f"the parent is not the architecture given with {classes} classes: its {wrong} is {shapes[0]}, "
            f"not {shapes[1]}"
        )
