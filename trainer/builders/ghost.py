"""Ghost networks as timm builds them."""

from __future__ import annotations

import numpy as np
from timm.layers import make_divisible
from timm.models._efficientnet_blocks import ConvBnAct
from timm.models.ghostnet import GhostBottleneck, GhostNet
from torch import nn

from sampler import Architecture, BaseNetwork
from sampler.families.ghost import base_blocks, width_multipliers


def build(network: BaseNetwork, architecture: Architecture, classes: int, drop_rate: float) -> nn.Module:
    """Builds an architecture as a timm `GhostNet`.

    timm's class rounds widths and fixes the stem, so it is made with one block and given ours. Blocks are grouped as
    in timm's: the first of a stage with a stride alone, the others up to the next stride together. A group that
    such a stage has no blocks for is kept empty, so that equal names mean equal places at every depth.
    """
    model = GhostNet([[[3, 16, 16, 0, 1]]], num_classes=classes, drop_rate=drop_rate)
    model.cfgs = []  # the placeholder's; nothing reads it after the constructor
    model.conv_stem = nn.Conv2d(3, architecture.stem, 3, 2, 1, bias=False)
    model.bn1 = nn.BatchNorm2d(architecture.stem)
    model.feature_info = [{"num_chs": architecture.stem, "reduction": network.stem_stride, "module": "conv_stem"}]
    multipliers = width_multipliers(network, np.array([architecture.widths]), np.array([architecture.head]))
    groups: list[list[nn.Module]] = [[]]
    c_in, reduction = architecture.stem, network.stem_stride
    for index, stage in enumerate(network.stages):
        width, multiplier = architecture.widths[index], float(multipliers[index][0])
        kinds = base_blocks(stage)
        for position in range(architecture.depths[index]):
            hidden, se_ratio = kinds[min(position, len(kinds) - 1)]
            strides = position == 0 and stage.stride > 1
            c_mid = make_divisible(hidden * multiplier, 4)
            stride = stage.stride if strides else 1
            block = GhostBottleneck(c_in, c_mid, width, stage.kernel, stride, se_ratio=se_ratio)
            c_in = width
            if not strides:
                groups[-1].append(block)
                continue
            reduction *= stride
            model.feature_info.append({"num_chs": width, "reduction": reduction, "module": f"blocks.{len(groups)}"})
            groups += [[block], []]
    groups.append([ConvBnAct(c_in, architecture.head, 1)])
    model.blocks = nn.Sequential(*(nn.Sequential(*group) for group in groups))
    model.stage_ends = [-1, *(int(info["module"].split(".")[1]) for info in model.feature_info[1:])]
    model.pool_dim = model.num_features = architecture.head
    model.conv_head = nn.Conv2d(architecture.head, model.head_hidden_size, 1, bias=True)
    return model
