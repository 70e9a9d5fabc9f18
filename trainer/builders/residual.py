"""Residual networks as timm builds them, and CIFAR's ResNets from timm's blocks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from timm.layers import SelectAdaptivePool2d
from timm.models.resnet import BasicBlock, Bottleneck, ResNet, downsample_conv
from torch import nn

from sampler import Architecture, BaseNetwork, LayeredArchitecture
from sampler.families.residual import check_layered, check_layers, projects

TIMM_STEM = 64


class WidthBottleneck(Bottleneck):
    """timm's `Bottleneck`, given its output channels: hidden ones are `base_width` / 64 of them, rounded down."""

    expansion = 1


TIMM_BLOCKS: dict[str, type[BasicBlock] | type[Bottleneck]] = {"basic": BasicBlock, "bottleneck": WidthBottleneck}


@dataclass(frozen=True)
class BasicShape:
    """Channels of a basic block: of its input, its two convolutions and its output; and its stride."""

    c_in: int
    c_mid: int
    c_conv: int
    c_out: int
    stride: int


class ZeroPad(nn.Module):
    """Zero channels at the front, or only the first channels; after a pooling where there is one."""

    def __init__(self, c_in: int, c_out: int, pool: nn.Module | None = None) -> None:
        super().__init__()
        self.missing, self.kept = max(c_out - c_in, 0), min(c_in, c_out)
        self.pool = nn.Identity() if pool is None else pool

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`(n, c_in, h, w)` in, `(n, c_out, h, w)` out, at the pooling's size."""
        x = self.pool(x)[:, : self.kept]
        return nn.functional.pad(x, (0, 0, 0, 0, self.missing, 0)) if self.missing else x


def build(network: BaseNetwork, architecture: Architecture, classes: int, drop_rate: float) -> nn.Module:
    """Builds an architecture as a timm `ResNet`, or CIFAR's of timm's `BasicBlock`s."""
    if network.variant == "cifar":
        # A shortcut subsamples, as in He et al. 2015; a kernel of one pixel keeps every second.
        pool = nn.MaxPool2d(1, 2)
        return _of_blocks(network, architecture.stem, layered_blocks(network, architecture), pool, classes, drop_rate)
    stage = network.stages[0]
    block, base_width = TIMM_BLOCKS[stage.block], int(64 * stage.expansion)
    model = ResNet(
        block,  # type: ignore[arg-type]  # timm annotates an instance and wants the class
        architecture.depths,
        num_classes=classes,
        channels=architecture.widths,
        base_width=base_width,
        drop_rate=drop_rate,
    )
    if architecture.stem != TIMM_STEM:  # which timm's class has no argument for
        stem, width = architecture.stem, architecture.widths[0]
        model.set_submodule("conv1", nn.Conv2d(3, stem, 7, stride=2, padding=3, bias=False))
        model.set_submodule("bn1", nn.BatchNorm2d(stem))
        model.feature_info[0]["num_chs"] = stem
        projection = None if stem == width else downsample_conv(stem, width, kernel_size=1)
        model.set_submodule("layer1.0", block(stem, width, downsample=projection, base_width=base_width))
        model.init_weights()
    return model


def build_layered(network: BaseNetwork, one: LayeredArchitecture, classes: int, drop_rate: float) -> nn.Module:
    """Builds an architecture with one width per layer.

    Raises:
        InputError: If the base network has no layers to choose, or a number is out of range.
    """
    check_layered(network, one, classes)
    return build_layers(network, one.stem, one.layers, one.padding, classes, drop_rate)


def build_layers(
    network: BaseNetwork, stem: int, widths: Sequence[int], padding: str, classes: int, drop_rate: float = 0.0
) -> nn.Module:
    """Builds a ResNet with one free width per layer, as `sampler.families.residual.layer_blocks` says.

    CIFAR's shortcuts into a stage are average-pooled, as in the code released with https://arxiv.org/abs/2004.02767.

    Args:
        network: A base network of basic blocks, which gives the blocks of each stage.
        stem: Channels of the first convolution.
        widths: Output channels of the blocks' convolutions, two per block, input side first.
        padding: `"max"` or `"local"`.
        classes: Outputs of the classifier.
        drop_rate: Dropout before the classifier.

    Raises:
        InputError: If it has other blocks, the padding is unknown, or numbers are missing or out of range.
    """
    check_layers(network, np.array([network.resolution]), np.array([stem]), np.array([widths]), padding, classes)
    blocks = _blocks(network, stem, _by_stage(network, widths), padding)
    return _of_blocks(network, stem, blocks, nn.AvgPool2d(2, 2, ceil_mode=True), classes, drop_rate)


def layered_blocks(network: BaseNetwork, architecture: Architecture) -> list[list[BasicShape]]:
    """The blocks of each stage of a ResNet of basic blocks, with one width per stage or per layer."""
    if isinstance(architecture, LayeredArchitecture):
        return _blocks(network, architecture.stem, _by_stage(network, architecture.layers), architecture.padding)
    layers = [[width] * 2 * depth for width, depth in zip(architecture.widths, architecture.depths, strict=True)]
    return _blocks(network, architecture.stem, layers, "local")


def _by_stage(network: BaseNetwork, widths: Sequence[int]) -> list[list[int]]:
    """Widths of all layers, apart by stage."""
    ends = np.cumsum([2 * depth for depth in network.depths]).tolist()
    return [list(widths[start:end]) for start, end in zip([0, *ends], ends, strict=False)]


def _blocks(network: BaseNetwork, stem: int, layers: Sequence[Sequence[int]], padding: str) -> list[list[BasicShape]]:
    """Blocks from the output channels of each convolution of each stage."""
    found: list[list[BasicShape]] = []
    c_in = stem
    for stage, channels in zip(network.stages, layers, strict=True):
        found.append([])
        for c_mid, c_conv in zip(channels[::2], channels[1::2], strict=True):
            stride = 1 if found[-1] else stage.stride
            padded = padding == "max" and not projects(network, stride)
            c_out = max(c_in, c_conv) if padded else c_conv
            found[-1].append(BasicShape(c_in, c_mid, c_conv, c_out, stride))
            c_in = c_out
    return found


def _of_blocks(
    network: BaseNetwork,
    stem: int,
    stages: Sequence[Sequence[BasicShape]],
    pool: nn.Module,
    classes: int,
    drop_rate: float,
) -> nn.Module:
    """A ResNet from its basic blocks; `pool` brings a shortcut without parameters to half the size."""
    cifar = network.variant == "cifar"
    first = nn.Conv2d(3, stem, 3, padding=1, bias=False) if cifar else nn.Conv2d(3, stem, 7, 2, 3, bias=False)
    parts: OrderedDict[str, nn.Module] = OrderedDict(conv1=first, bn1=nn.BatchNorm2d(stem), act1=nn.ReLU(inplace=True))
    if not cifar:
        parts["maxpool"] = nn.MaxPool2d(3, 2, 1)
    for index, blocks in enumerate(stages):
        parts[f"layer{index + 1}"] = nn.Sequential(*(_basic_block(network, one, pool) for one in blocks))
    parts["global_pool"] = SelectAdaptivePool2d(flatten=True)
    parts["drop"] = nn.Dropout(drop_rate)
    parts["fc"] = nn.Linear(stages[-1][-1].c_out, classes)
    model = nn.Sequential(parts)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):  # as timm's ResNet
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return model


def _basic_block(network: BaseNetwork, one: BasicShape, pool: nn.Module) -> BasicBlock:
    """A `BasicBlock` of any two widths, both its paths brought to its output channels."""
    block = BasicBlock(one.c_in, one.c_mid, one.stride, _shortcut(network, one, pool))
    if one.c_conv != one.c_mid:
        block.conv2 = nn.Conv2d(one.c_mid, one.c_conv, 3, padding=1, bias=False)
        block.bn2 = nn.BatchNorm2d(one.c_conv)
    if one.c_conv != one.c_out:
        block.se = ZeroPad(one.c_conv, one.c_out)  # what the block applies between its last norm and the sum
    return block


def _shortcut(network: BaseNetwork, one: BasicShape, pool: nn.Module) -> nn.Module | None:
    if projects(network, one.stride):
        return downsample_conv(one.c_in, one.c_out, kernel_size=1, stride=one.stride)
    if one.stride == 1 and one.c_in == one.c_out:
        return None
    return ZeroPad(one.c_in, one.c_out, pool if one.stride > 1 else None)
