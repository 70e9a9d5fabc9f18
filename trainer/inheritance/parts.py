"""Where each family keeps its stem, its stages' blocks and its tail in timm's modules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from torch import nn

from sampler import Architecture, base
from sampler.families import of_family


@dataclass(frozen=True)
class StageParts:
    """A stage: its blocks by their position in the stage, and what runs before them (nothing: an identity)."""

    entry: nn.Module
    blocks: list[nn.Module]


@dataclass(frozen=True)
class Parts:
    """A network: each list holds modules in the order in which they run."""

    stem: list[nn.Module]
    stages: list[StageParts]
    tail: list[nn.Module]


def _mbconv(model: Any, architecture: Architecture) -> Parts:
    stages = [StageParts(nn.Identity(), list(stage)) for stage in model.blocks]
    norm = [model.bn2] if hasattr(model, "bn2") else []  # MobileNetV3's tail has none
    return Parts([model.conv_stem, model.bn1], stages, [model.conv_head, *norm, model.classifier])


def _residual(model: Any, architecture: Architecture) -> Parts:
    runs = (getattr(model, f"layer{index + 1}") for index in range(len(architecture.depths)))
    return Parts([model.conv1, model.bn1], [StageParts(nn.Identity(), list(run)) for run in runs], [model.fc])


def _regnet(model: Any, architecture: Architecture) -> Parts:
    runs = (getattr(model, f"s{index + 1}") for index in range(len(architecture.depths)))
    return Parts([model.stem], [StageParts(nn.Identity(), list(run.children())) for run in runs], [model.head])


def _ghost(model: Any, architecture: Architecture) -> Parts:
    # timm groups blocks by their strides, so equal indices do not mean equal places.
    blocks = iter([block for group in model.blocks[:-1] for block in group])
    stages = [StageParts(nn.Identity(), list(islice(blocks, depth))) for depth in architecture.depths]
    return Parts([model.conv_stem, model.bn1], stages, [model.blocks[-1], model.conv_head, model.classifier])


def _convnext(model: Any, architecture: Architecture) -> Parts:
    return Parts(
        [model.stem], [StageParts(stage.downsample, list(stage.blocks)) for stage in model.stages], [model.head]
    )


PARTS: dict[str, Callable[[Any, Architecture], Parts]] = {
    "mbconv": _mbconv,
    "residual": _residual,
    "regnet": _regnet,
    "ghost": _ghost,
    "convnext": _convnext,
}


def parts_of(model: nn.Module, architecture: Architecture) -> Parts:
    """The parts of a network.

    Raises:
        InputError: If they are not known for its family.
    """
    place = "where its blocks are (which the recipe's zero_init and inheritance need)"
    return of_family(PARTS, base(architecture.base), place)(model, architecture)
