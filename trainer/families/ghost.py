"""Ghost networks in torch, as timm builds them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from sampler import Architecture, BaseNetwork
from sampler.families.ghost import base_blocks, divisible, width_multipliers
from trainer.families.protocol import BlockEnds, ChannelRoles, Parts, StageParts
from trainer.families.timm_code import TimmCode

if TYPE_CHECKING:
    from torch import nn

# Input, hidden and output channels of a block; kernel, stride, squeeze-excite ratio.
GhostBlock = tuple[int, int, int, int, int, float]


class GhostFamily:
    """GhostNet and S-GhostNet as timm's `GhostNet`."""

    def build(self, network: BaseNetwork, architecture: Architecture, classes: int, drop_rate: float) -> nn.Module:
        """Builds an architecture."""
        return self.timm_code(network, architecture).build(classes, drop_rate)

    def timm_code(self, network: BaseNetwork, architecture: Architecture) -> TimmCode:
        """The code of an architecture, block by block."""
        arguments = {
            "stem": architecture.stem,
            "groups": _groups(network, architecture),
            "width": architecture.widths[-1],
            "head": architecture.head,
        }
        note = {"groups": "Of each block: input, hidden and output channels; kernel, stride, squeeze-excite ratio."}
        features = "dict(flatten_sequential=True)"
        return TimmCode((ghostnet,), arguments, "conv_stem", "classifier", note, features)

    def parts(self, model: Any, architecture: Architecture) -> Parts:
        """The parts of a network; timm groups blocks by their strides, so equal indices do not mean equal places."""
        blocks = iter([block for group in model.blocks[:-1] for block in group])
        stages = [StageParts(list(islice(blocks, depth))) for depth in architecture.depths]
        tail = [model.blocks[-1], model.conv_head, model.classifier]
        return Parts([model.conv_stem, model.bn1], stages, tail, growth="halves")

    def channels(self) -> ChannelRoles:
        """The roles of its blocks' channels."""
        return ChannelRoles(
            {
                "expand": ("input", "hidden"),
                "expand cheap": ("hidden",),
                "depthwise": ("hidden",),
                "squeeze": ("hidden",),
                "excite": ("hidden",),
                "project": ("hidden", "output"),
                "project cheap": ("output",),
                "shortcut depthwise": ("input",),
                "shortcut project": ("input", "output"),
            },
            _ends,
        )

    def shortcuts(self) -> Mapping[type[nn.Module], str]:
        """The module of each kind of block."""
        from timm.models.ghostnet import GhostBottleneck

        return {GhostBottleneck: "shortcut"}


def _ends(block: nn.Module) -> BlockEnds | None:
    """The ends of a block: its hidden channels' is its last layer before squeeze-excite."""
    from timm.models.ghostnet import GhostBottleneck

    if not isinstance(block, GhostBottleneck):
        return None
    return BlockEnds(("ghost1" if block.conv_dw is None else "bn_dw",), "ghost2")


def _groups(network: BaseNetwork, architecture: Architecture) -> list[list[GhostBlock]]:
    """An architecture's blocks, input side first, grouped as in timm's networks.

    The first block of a stage with a stride is alone, the others up to the next stride are together. A group that such
    a stage has no blocks for is kept empty, so that equal names mean equal places at every depth.
    """
    multipliers = width_multipliers(network, np.array([architecture.widths]), np.array([architecture.head]))
    groups: list[list[GhostBlock]] = [[]]
    c_in = architecture.stem
    for index, stage in enumerate(network.stages):
        width, multiplier = architecture.widths[index], multipliers[index]
        kinds = base_blocks(stage)
        for position in range(architecture.depths[index]):
            hidden, se_ratio = kinds[min(position, len(kinds) - 1)]
            strides = position == 0 and stage.stride > 1
            c_mid = int(divisible(hidden * multiplier)[0])
            block = (c_in, c_mid, width, stage.kernel, stage.stride if strides else 1, se_ratio)
            c_in = width
            if strides:
                groups += [[block], []]
            else:
                groups[-1].append(block)
    return groups


# --- code that an export writes ---


def ghostnet(stem: int, groups: list[list[Any]], width: int, head: int, **kwargs: Any) -> nn.Module:
    """A GhostNet of timm's with a stem, blocks and a head that timm's class would round."""
    from timm.models._efficientnet_blocks import ConvBnAct
    from timm.models.ghostnet import GhostBottleneck, GhostNet
    from torch import nn

    model = GhostNet([[[3, 16, 16, 0, 1]]], **kwargs)  # of a block that is replaced
    model.cfgs = []
    model.conv_stem = nn.Conv2d(model.conv_stem.in_channels, stem, 3, 2, 1, bias=False)
    model.bn1 = nn.BatchNorm2d(stem)
    model.feature_info = [dict(num_chs=stem, reduction=2, module="conv_stem")]
    parts = []
    for group in groups:
        blocks = (
            GhostBottleneck(c_in, c_mid, c_out, kernel, stride, se_ratio=se_ratio)
            for c_in, c_mid, c_out, kernel, stride, se_ratio in group
        )
        parts.append(nn.Sequential(*blocks))
        if group and group[0][4] > 1:
            reduction = model.feature_info[-1]["reduction"] * group[0][4]
            model.feature_info.append(dict(num_chs=group[0][2], reduction=reduction, module=f"blocks.{len(parts) - 1}"))
    model.stage_ends = [-1, *(int(info["module"].split(".")[1]) for info in model.feature_info[1:])]
    model.blocks = nn.Sequential(*parts, nn.Sequential(ConvBnAct(width, head, 1)))
    model.pool_dim = model.num_features = head
    model.conv_head = nn.Conv2d(head, model.head_hidden_size, 1, bias=True)
    return model
