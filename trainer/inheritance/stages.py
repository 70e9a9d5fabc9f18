"""Growing one stage: its blocks' common width, their shortcuts, and blocks that the parent does not have."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import Literal

import numpy as np
import torch
from torch import nn

from sampler import Architecture, BaseNetwork, InputError, base
from trainer.families.protocol import ChannelGrowth, InheritableFamily, Parts, StageParts, lacking
from trainer.families.registry import torch_family_of
from trainer.inheritance.layers import SHORTCUTS, WeightTransfer, layers
from trainer.inheritance.spaces import ChannelMap, free, halves, multiples, padded

_log = logging.getLogger(__name__)
_SPACES: dict[ChannelGrowth, Callable[[np.random.Generator, int, int], ChannelMap]] = {
    "free": free,
    "halves": halves,
    "multiples": multiples,
}
Skip = Literal["no skip connection", "a plain skip connection", "a convolution beside it"]


def inheritable(network: BaseNetwork) -> bool:
    """Whether networks of a base network's family tell their parts, so that weights can be inherited."""
    return isinstance(torch_family_of(network), InheritableFamily)


def network_parts(model: nn.Module, architecture: Architecture) -> Parts:
    """The parts of a network.

    Raises:
        InputError: If its family does not tell them.
    """
    network = base(architecture.base)
    family = torch_family_of(network)
    if not isinstance(family, InheritableFamily):
        raise lacking(network, "parts", "inherited weights need", "train it from scratch")
    return family.parts(model, architecture)


def summed_space(growth: ChannelGrowth, transfer: WeightTransfer, old: int, new: int) -> ChannelMap:
    """A map for the stem's or a stage's outputs, from the parent's width to the child's.

    Raises:
        InputError: If the family cannot grow from one width to the other.
    """
    return _SPACES[growth](transfer.rng, old, new)


def grow_stage(
    growth: ChannelGrowth,
    transfer: WeightTransfer,
    parent: StageParts,
    child: StageParts,
    inputs: ChannelMap,
    widths: tuple[int, int, int],
) -> ChannelMap:
    """Writes a stage's weights into the child.

    Args:
        growth: How the family's stages may widen.
        transfer: Copies layers.
        parent: The parent's stage.
        child: The child's, with as many blocks or more.
        inputs: Map of what it reads.
        widths: The parent's channels before and after the stage, and the child's after it.

    Returns:
        What it writes: one map for all its blocks, as their outputs are added up.

    Raises:
        InputError: If no weights of the child compute the same.
    """
    old_in, old_out, new_out = widths
    if bool(layers(*parent.entry)) != bool(layers(*child.entry)):
        raise InputError(
            "only one of the two networks has a layer norm and a convolution before its blocks; make what comes "
            "before it as wide as the stage in both or in neither"
        )
    if layers(*child.entry):
        outputs = summed_space(growth, transfer, old_out, new_out)
        transfer.chain(parent.entry, child.entry, inputs, outputs)
        inputs = outputs
    elif child.padded:
        outputs = padded(transfer.rng, inputs, old_in, old_out, new_out)
    elif _skips(parent.blocks[0], child.blocks[0]) == "a plain skip connection":
        outputs = inputs
    else:
        outputs = summed_space(growth, transfer, old_out, new_out)
    for position, block in enumerate(child.blocks):
        if position < len(parent.blocks):
            _grow_block(transfer, parent.blocks[position], block, inputs, outputs)
        else:
            _check_passes(block)
            _silence(block)
        inputs = outputs
    return outputs


def zero_init(model: nn.Module, architecture: Architecture) -> None:
    """Does what the recipe's zero_init says: silences residual blocks, or leaves it out where they are not known.

    All networks of a study are of one base network, so that none of them begins otherwise than the others; the line
    that says so comes once in a process.
    """
    network = base(architecture.base)
    if inheritable(network):
        silence_residual_blocks(model, architecture)
    else:
        _say_left_out(network.name, network.family)


@cache
def _say_left_out(name: str, family: str) -> None:
    _log.warning(
        "%s: family %r has no parts(), so zero_init is left out and deep networks may learn slowly at first; give it, "
        "or set zero_init = false (in [recipe] of study.toml)",
        name,
        family,
    )


@torch.no_grad()
def silence_residual_blocks(model: nn.Module, architecture: Architecture) -> int:
    """Makes every block of a fresh network that has a plain skip connection an identity.

    A deep network then begins as a shallow one (Goyal et al. 2017, section 5.1). timm does so for ResNets and RegNets
    on its own, and ConvNeXt's layer scale, which is left as it is, amounts to it.

    Returns:
        How many blocks were changed.

    Raises:
        InputError: If the family does not tell its networks' parts.
    """
    stages = network_parts(model, architecture).stages
    blocks = [block for stage in stages for block in stage.blocks if not hasattr(block, "gamma")]
    residual = [block for block in blocks if skip_of(block) == "a plain skip connection"]
    for block in residual:
        _silence(block)
    return len(residual)


def _skips(parent: nn.Module, child: nn.Module) -> Skip:
    """The skip connection of a child's first block.

    Raises:
        InputError: If the parent's cannot become it.
    """
    old, new = skip_of(parent), skip_of(child)
    if old != new and (old, new) != ("a plain skip connection", "a convolution beside it"):
        raise InputError(
            f"its first block has {old} in the parent and {new} in the larger network, because of the stage's width "
            "and the one before it; make both equal or both different, as in the parent"
        )
    return new


def skip_of(block: nn.Module) -> Skip:
    """What runs beside a block of timm's."""
    if not getattr(block, "has_skip", True):
        return "no skip connection"
    return "a convolution beside it" if layers(_shortcut(block)) else "a plain skip connection"


def after_sum(block: nn.Module) -> nn.Module:
    """What a block of timm's does to the sum of both its paths."""
    named = (getattr(block, name, None) for name in ("act3", "act2"))
    return next((module for module in named if isinstance(module, nn.Module)), nn.Identity())


def _check_passes(block: nn.Module) -> None:
    """Refuses a further block that would change what it is given, though its layers add nothing.

    Raises:
        InputError: If its activation changes what such an activation made.
    """
    activation = after_sum(block)
    if not isinstance(activation, nn.Identity | nn.ReLU | nn.ReLU6):
        raise InputError(
            f"its blocks end with {type(activation).__name__}, so one more would change the outputs; keep its depth"
        )


def _shortcut(block: nn.Module) -> nn.Module:
    named = (getattr(block, name, None) for name in SHORTCUTS)
    return next((module for module in named if isinstance(module, nn.Module)), nn.Identity())


def _grow_block(
    transfer: WeightTransfer, parent: nn.Module, child: nn.Module, inputs: ChannelMap, outputs: ChannelMap
) -> None:
    """Writes a block's weights into the child.

    Raises:
        InputError: If it has a parameter of its own that is no layer scale.
    """
    transfer.chain([parent], [child], inputs, outputs)
    for (name, old), (_, new) in zip(
        parent.named_parameters(recurse=False), child.named_parameters(recurse=False), strict=True
    ):
        if name != "gamma":  # ConvNeXt's layer scale
            raise InputError(f"its {type(child).__name__} has a parameter {name}, and no rule says how that widens")
        transfer.rows(old, new, outputs)
    beside = _shortcut(child)
    if layers(beside):
        old_beside = _shortcut(parent)
        if not layers(old_beside):
            old_beside = _identity_like(beside, int(outputs.source.max()) + 1)
        transfer.chain([old_beside], [beside], inputs, outputs)


def _identity_like(shortcut: nn.Module, channels: int) -> nn.Module:
    """A shortcut with these layers, of so many channels, that changes nothing in eval mode."""
    made: list[nn.Module] = []
    for layer in layers(shortcut):
        like = next(layer.parameters())
        if isinstance(layer, nn.Conv2d):
            groups = channels if layer.groups > 1 else 1
            side = layer.kernel_size[0]
            same = nn.Conv2d(channels, channels, side, groups=groups, padding=side // 2, bias=False).to(like)
            made.append(same)
            nn.init.dirac_(same.weight, groups)
        else:
            assert isinstance(layer, nn.BatchNorm2d)
            norm = nn.BatchNorm2d(channels, layer.eps).to(like)
            norm.weight.fill_((1 + layer.eps) ** 0.5)  # a running variance of 1 plus epsilon is divided out
            made.append(norm)
    return nn.Sequential(*made)


def _silence(block: nn.Module) -> None:
    """Makes a freshly built block an identity: its last norm, or its layer scale, becomes zero.

    After a sum ResNets' blocks rectify what is rectified already.

    Raises:
        InputError: If it has no skip connection, or ends with no norm.
    """
    if skip_of(block) != "a plain skip connection":
        raise InputError(
            "its blocks have no skip connections, so that one more would change the outputs; keep its depth"
        )
    scale = getattr(block, "gamma", None)
    last = [scale] if isinstance(scale, torch.Tensor) else []
    for norm in layers(block)[-1].modules():
        if isinstance(norm, nn.BatchNorm2d):  # both, in a ghost module: noise of the first would be normalised
            last += [norm.weight, norm.bias]
    if not last:
        raise InputError(f"its {type(block).__name__} ends with no batch norm, which could silence it")
    for parameter in last:
        parameter.zero_()
