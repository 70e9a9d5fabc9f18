"""Ghost networks as timm builds them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from timm.layers import make_divisible
from timm.models._efficientnet_blocks import ConvBnAct
from timm.models.ghostnet import GhostBottleneck, GhostNet
from torch import nn

from sampler import Architecture, BaseNetwork
from sampler.families.ghost import base_blocks, width_multipliers


@dataclass(frozen=True)
class GhostBlock:
    """The arguments of a timm `GhostBottleneck`."""

    c_in: int
    c_mid: int
    c_out: int
    kernel: int
    stride: int
    se_ratio: float


def build(network: BaseNetwork, architecture: Architecture, classes: int, drop_rate: float) -> nn.Module:
    """Builds an architecture as a timm `GhostNet`.

    timm's class rounds widths and fixes the stem, so it is made with one block and given ours.
    """
    model = GhostNet([[[3, 16, 16, 0, 1]]], num_classes=classes, drop_rate=drop_rate)
    model.cfgs = []  # the placeholder's; nothing reads it after the constructor
    model.conv_stem = nn.Conv2d(3, architecture.stem, 3, 2, 1, bias=False)
    model.bn1 = nn.BatchNorm2d(architecture.stem)
    reduction = network.stem_stride
    model.feature_info = [{"num_chs": architecture.stem, "reduction": reduction, "module": "conv_stem"}]
    parts: list[nn.Module] = []
    for group in groups(network, architecture):
        blocks = (GhostBottleneck(b.c_in, b.c_mid, b.c_out, b.kernel, b.stride, se_ratio=b.se_ratio) for b in group)
        parts.append(nn.Sequential(*blocks))
        if group and group[0].stride > 1:
            reduction *= group[0].stride
            info = {"num_chs": group[0].c_out, "reduction": reduction, "module": f"blocks.{len(parts) - 1}"}
            model.feature_info.append(info)
    model.blocks = nn.Sequential(*parts, nn.Sequential(ConvBnAct(architecture.widths[-1], architecture.head, 1)))
    model.stage_ends = [-1, *(int(info["module"].split(".")[1]) for info in model.feature_info[1:])]
    model.pool_dim = model.num_features = architecture.head
    model.conv_head = nn.Conv2d(architecture.head, model.head_hidden_size, 1, bias=True)
    return model


def groups(network: BaseNetwork, architecture: Architecture) -> list[list[GhostBlock]]:
    """An architecture's blocks, input side first, grouped as in timm's networks.

    The first block of a stage with a stride is alone, the others up to the next stride are together. A group that such
    a stage has no blocks for is kept empty, so that equal names mean equal places at every depth.
    """
    multipliers = width_multipliers(network, np.array([architecture.widths]), np.array([architecture.head]))
    found: list[list[GhostBlock]] = [[]]
    c_in = architecture.stem
    for index, stage in enumerate(network.stages):
        width, multiplier = architecture.widths[index], float(multipliers[index][0])
        kinds = base_blocks(stage)
        for position in range(architecture.depths[index]):
            hidden, se_ratio = kinds[min(position, len(kinds) - 1)]
            strides = position == 0 and stage.stride > 1
            c_mid = make_divisible(hidden * multiplier, 4)
            block = GhostBlock(c_in, c_mid, width, stage.kernel, stage.stride if strides else 1, se_ratio)
            c_in = width
            if strides:
                found += [[block], []]
            else:
                found[-1].append(block)
    return found
