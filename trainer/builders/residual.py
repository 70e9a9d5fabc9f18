"""Residual networks as timm builds them, and CIFAR's ResNets from timm's blocks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

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
        layers = [[width] * 2 * depth for width, depth in zip(architecture.widths, architecture.depths, strict=True)]
        # A shortcut subsamples, as in He et al. 2015; a kernel of one pixel keeps every second.
        return _of_layers(network, architecture.stem, layers, "local", nn.MaxPool2d(1, 2), classes, drop_rate)
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
    ends = np.cumsum([2 * depth for depth in network.depths]).tolist()
    layers = [list(widths[start:end]) for start, end in zip([0, *ends], ends, strict=False)]
    pool = nn.AvgPool2d(2, 2, ceil_mode=True)
    return _of_layers(network, stem, layers, padding, pool, classes, drop_rate)


def _of_layers(
    network: BaseNetwork,
    stem: int,
    layers: Sequence[Sequence[int]],
    padding: str,
    pool: nn.Module,
    classes: int,
    drop_rate: float,
) -> nn.Module:
    """A ResNet of basic blocks from the output channels of each convolution of each stage."""
    cifar = network.variant == "cifar"
    first = nn.Conv2d(3, stem, 3, padding=1, bias=False) if cifar else nn.Conv2d(3, stem, 7, 2, 3, bias=False)
    parts: OrderedDict[str, nn.Module] = OrderedDict(conv1=first, bn1=nn.BatchNorm2d(stem), act1=nn.ReLU(inplace=True))
    if not cifar:
        parts["maxpool"] = nn.MaxPool2d(3, 2, 1)
    c_in = stem
    shortcut: nn.Module | None
    for index, (stage, channels) in enumerate(zip(network.stages, layers, strict=True)):
        blocks: list[nn.Module] = []
        for c_mid, c_conv in zip(channels[::2], channels[1::2], strict=True):
            stride = 1 if blocks else stage.stride
            if projects(network, stride):
                c_out, shortcut = c_conv, downsample_conv(c_in, c_conv, kernel_size=1, stride=stride)
            else:
                c_out = max(c_in, c_conv) if padding == "max" else c_conv
                shortcut = _without_parameters(c_in, c_out, pool if stride > 1 else None)
            blocks.append(_basic_block(c_in, c_mid, c_conv, c_out, stride, shortcut))
            c_in = c_out
        parts[f"layer{index + 1}"] = nn.Sequential(*blocks)
    parts["global_pool"] = SelectAdaptivePool2d(flatten=True)
    parts["drop"] = nn.Dropout(drop_rate)
    parts["fc"] = nn.Linear(c_in, classes)
    model = nn.Sequential(parts)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):  # as timm's ResNet
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return model


def _without_parameters(c_in: int, c_out: int, pool: nn.Module | None) -> nn.Module | None:
    return None if pool is None and c_in == c_out else ZeroPad(c_in, c_out, pool)


def _basic_block(c_in: int, c_mid: int, c_conv: int, c_out: int, stride: int, shortcut: nn.Module | None) -> BasicBlock:
    """A `BasicBlock` of any two widths, its convolutions' output brought to the `c_out` channels of its shortcut."""
    block = BasicBlock(c_in, c_mid, stride, shortcut)
    if c_conv != c_mid:
        block.conv2 = nn.Conv2d(c_mid, c_conv, 3, padding=1, bias=False)
        block.bn2 = nn.BatchNorm2d(c_conv)
    if c_conv != c_out:
        block.se = ZeroPad(c_conv, c_out)  # what the block applies between its last norm and the sum
    return block
