"""Residual networks in torch, as timm builds them, and CIFAR's ResNets of timm's blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sampler import Architecture, BaseNetwork, LayeredArchitecture, base
from sampler.families.residual import check_layers, has_usual_stem, projects, residual_variant
from trainer.families.protocol import BlockEnds, ChannelRoles, Parts, StageParts
from trainer.families.timm_code import TimmCode

if TYPE_CHECKING:
    from torch import nn

_TIMM_STEM = 64
# Channels of a basic block: of its input, its two convolutions and its output; and its stride.
BasicShape = tuple[int, int, int, int, int]


class ResidualFamily:
    """ResNets as timm's `ResNet`, and those with a width per layer, or CIFAR's, of timm's `BasicBlock`s."""

    def build(self, network: BaseNetwork, architecture: Architecture, classes: int, drop_rate: float) -> nn.Module:
        """Builds an architecture, with one width per stage or per layer.

        Raises:
            InputError: If it has one width per layer, and the base network no layers to choose.
        """
        if isinstance(architecture, LayeredArchitecture):
            layers, padding = architecture.layers, architecture.padding
            return build_layers(network, architecture.stem, layers, padding, classes, drop_rate)
        return self.timm_code(network, architecture).build(classes, drop_rate)

    def timm_code(self, network: BaseNetwork, architecture: Architecture) -> TimmCode:
        """The code of an architecture, block by block where timm's class cannot have it."""
        if isinstance(architecture, LayeredArchitecture):
            return _layers_code(network, architecture.stem, architecture.layers, architecture.padding)
        usual = network.variant == "cifar" or [stage.stride for stage in network.stages] == [1, 2, 2, 2]
        if not (usual and has_usual_stem(network)):
            return _table_code(network, architecture)
        if network.variant == "cifar":
            rows = zip(architecture.widths, architecture.depths, strict=True)
            layers = [[width] * 2 * depth for width, depth in rows]
            # A shortcut subsamples, as in He et al. 2015; a kernel of one pixel keeps every second.
            return _blocks_code(network, architecture.stem, _shapes(network, architecture.stem, layers), "subsampled")
        stage = network.stages[0]
        arguments = {
            "block": stage.block,
            "widths": architecture.widths,
            "depths": architecture.depths,
            "base_width": int(64 * stage.expansion),
        }
        if architecture.stem == _TIMM_STEM:
            return TimmCode((resnet,), arguments, "conv1", "fc")
        return TimmCode((resnet, resnet_of_stem), {"stem": architecture.stem, **arguments}, "conv1", "fc")

    def parts(self, model: Any, architecture: Architecture) -> Parts:
        """The parts of a network; CIFAR's shortcuts into a stage pad with zero channels."""
        runs = (getattr(model, f"layer{index + 1}") for index in range(len(architecture.depths)))
        padded = residual_variant(base(architecture.base)).shortcut == "padded"
        return Parts([model.conv1, model.bn1], [StageParts(list(run), padded=padded) for run in runs], [model.fc])

    def channels(self) -> ChannelRoles:
        """The roles of its blocks' channels."""
        return ChannelRoles(
            {
                "first": ("input", "hidden"),
                "second": ("hidden", "output"),
                "reduce": ("input", "hidden"),
                "spatial": ("hidden", "hidden"),
                "expand": ("hidden", "output"),
                "shortcut": ("input", "output"),
            },
            _ends,
        )

    def shortcuts(self) -> Mapping[type[nn.Module], str]:
        """The module of each kind of block."""
        from timm.models.resnet import BasicBlock, Bottleneck

        return {BasicBlock: "downsample", Bottleneck: "downsample"}


def _table_code(network: BaseNetwork, architecture: Architecture) -> TimmCode:
    """The code of a network that neither timm's class can be, nor CIFAR's."""
    variant, stage = residual_variant(network), network.stages[0]
    arguments = {
        "stem": architecture.stem,
        "stem_kernel": variant.stem_kernel,
        "stem_stride": network.stem_stride // variant.pools,
        "stem_pool": variant.stem_pool,
        "block": stage.block,
        "widths": architecture.widths,
        "depths": architecture.depths,
        "strides": tuple(stage.stride for stage in network.stages),
        "base_width": int(64 * stage.expansion),
        "shortcuts": variant.shortcut,
        "activation": variant.activation,
        "norm_epsilon": variant.norm_epsilon,
    }
    return TimmCode((zero_padding, resnet_of_table), arguments, "conv1", "fc")


def _ends(block: nn.Module) -> BlockEnds | None:
    from timm.models.resnet import BasicBlock, Bottleneck

    if isinstance(block, BasicBlock):
        return BlockEnds(("act1",), "bn2")
    return BlockEnds(("act1", "act2"), "bn3") if isinstance(block, Bottleneck) else None


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
    return _layers_code(network, stem, widths, padding).build(classes, drop_rate)


def _layers_code(network: BaseNetwork, stem: int, widths: Sequence[int], padding: str) -> TimmCode:
    """The code of a network with one width per layer."""
    ends = np.cumsum([2 * depth for depth in network.depths]).tolist()
    layers = [list(widths[start:end]) for start, end in zip([0, *ends], ends, strict=False)]
    kind = "averaged" if network.variant == "cifar" else "projected"
    return _blocks_code(network, stem, _shapes(network, stem, layers, padding), kind)


def _blocks_code(network: BaseNetwork, stem: int, stages: list[list[BasicShape]], shortcuts: str) -> TimmCode:
    """The code of a network of basic blocks."""
    functions = (zero_padding, basic_block, resnet_of_blocks)
    note = {"stages": "Of each block: channels of its input, its two convolutions and its output; its stride."}
    return TimmCode(functions, {"stem": stem, "stages": stages, "shortcuts": shortcuts}, "conv1", "fc", note)


def _shapes(
    network: BaseNetwork, stem: int, layers: Sequence[Sequence[int]], padding: str = "local"
) -> list[list[BasicShape]]:
    """The blocks of each stage, from the output channels of each of its convolutions."""
    stages: list[list[BasicShape]] = []
    c_in = stem
    for stage, channels in zip(network.stages, layers, strict=True):
        stages.append([])
        for c_mid, c_conv in zip(channels[::2], channels[1::2], strict=True):
            stride = 1 if stages[-1] else stage.stride
            padded = padding == "max" and not projects(network, stride)
            c_out = max(c_in, c_conv) if padded else c_conv
            stages[-1].append((c_in, c_mid, c_conv, c_out, stride))
            c_in = c_out
    return stages


# --- code that an export writes ---


def resnet(block: str, widths: tuple[int, ...], depths: tuple[int, ...], base_width: int, **kwargs: Any) -> Any:
    """A ResNet of timm's, given its blocks' output channels; base_width / 64 of them are a bottleneck's hidden ones."""
    from timm.models.resnet import BasicBlock, Bottleneck, ResNet

    class WidthBottleneck(Bottleneck):
        expansion = 1

    kind: Any = WidthBottleneck if block == "bottleneck" else BasicBlock
    return ResNet(kind, depths, channels=widths, base_width=base_width, **kwargs)


def resnet_of_stem(
    stem: int, block: str, widths: tuple[int, ...], depths: tuple[int, ...], base_width: int, **kwargs: Any
) -> Any:
    """A ResNet of timm's with another stem than timm's, which has 64 channels."""
    from timm.models.resnet import downsample_conv
    from torch import nn

    model = resnet(block, widths, depths, base_width, **kwargs)
    kind = type(model.layer1[0])
    model.conv1 = nn.Conv2d(model.conv1.in_channels, stem, 7, stride=2, padding=3, bias=False)
    model.bn1 = nn.BatchNorm2d(stem)
    model.feature_info[0]["num_chs"] = stem
    projection = None if stem == widths[0] else downsample_conv(stem, widths[0], kernel_size=1)
    model.layer1[0] = kind(stem, widths[0], downsample=projection, base_width=base_width)
    model.init_weights()
    return model


def zero_padding(c_in: int, c_out: int, pool: nn.Module | None = None) -> nn.Module:
    """Zero channels at the front, or only the first channels; after a pooling where there is one."""
    from torch import nn

    class ZeroPadding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pool = nn.Identity() if pool is None else pool

        def forward(self, x: Any) -> Any:
            x = self.pool(x)[:, :c_out]
            return nn.functional.pad(x, (0, 0, 0, 0, c_out - c_in, 0)) if c_out > c_in else x

    return ZeroPadding()


def basic_block(shortcuts: str, c_in: int, c_mid: int, c_conv: int, c_out: int, stride: int) -> Any:
    """A BasicBlock of timm's with any two widths, both paths brought to its output channels."""
    from timm.models.resnet import BasicBlock, downsample_conv
    from torch import nn

    shortcut = None
    if stride > 1 and shortcuts == "projected":
        shortcut = downsample_conv(c_in, c_out, kernel_size=1, stride=stride)
    elif stride > 1:
        pool = nn.MaxPool2d(1, 2) if shortcuts == "subsampled" else nn.AvgPool2d(2, 2, ceil_mode=True)
        shortcut = zero_padding(c_in, c_out, pool)
    elif c_in != c_out:
        shortcut = zero_padding(c_in, c_out)
    block: Any = BasicBlock(c_in, c_mid, stride, shortcut)
    if c_conv != c_mid:
        block.conv2 = nn.Conv2d(c_mid, c_conv, 3, padding=1, bias=False)
        block.bn2 = nn.BatchNorm2d(c_conv)
    if c_conv != c_out:
        block.se = zero_padding(c_conv, c_out)  # between its last norm and the sum
    return block


def resnet_of_blocks(
    stem: int,
    stages: list[list[Any]],
    shortcuts: str,
    num_classes: int,
    in_chans: int = 3,
    drop_rate: float = 0.0,
) -> Any:
    """A ResNet of basic blocks: CIFAR's, or ImageNet's where shortcuts into its stages are projected."""
    from timm.layers import SelectAdaptivePool2d
    from torch import nn

    model: Any = nn.Sequential()
    if shortcuts == "projected":
        model.conv1 = nn.Conv2d(in_chans, stem, 7, 2, 3, bias=False)
    else:
        model.conv1 = nn.Conv2d(in_chans, stem, 3, padding=1, bias=False)
    model.bn1 = nn.BatchNorm2d(stem)
    model.act1 = nn.ReLU(inplace=True)
    if shortcuts == "projected":
        model.maxpool = nn.MaxPool2d(3, 2, 1)
    for number, blocks in enumerate(stages, start=1):
        model.add_module(f"layer{number}", nn.Sequential(*(basic_block(shortcuts, *shape) for shape in blocks)))
    model.global_pool = SelectAdaptivePool2d(flatten=True)
    model.drop = nn.Dropout(drop_rate)
    model.fc = nn.Linear(stages[-1][-1][3], num_classes)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):  # as timm's ResNet
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return model


def resnet_of_table(
    stem: int,
    stem_kernel: int,
    stem_stride: int,
    stem_pool: bool,
    block: str,
    widths: tuple[int, ...],
    depths: tuple[int, ...],
    strides: tuple[int, ...],
    base_width: int,
    shortcuts: str,
    activation: str,
    norm_epsilon: float,
    num_classes: int,
    in_chans: int = 3,
    drop_rate: float = 0.0,
) -> Any:
    """A ResNet of timm's blocks, with any stem, strides and number of stages."""
    from functools import partial

    from timm.layers import SelectAdaptivePool2d
    from timm.models.resnet import BasicBlock, Bottleneck, downsample_conv
    from torch import nn

    class WidthBottleneck(Bottleneck):
        expansion = 1

    kind: Any = WidthBottleneck if block == "bottleneck" else BasicBlock
    norm: Any = partial(nn.BatchNorm2d, eps=norm_epsilon)
    activate = getattr(nn, activation)
    model: Any = nn.Sequential()
    model.conv1 = nn.Conv2d(in_chans, stem, stem_kernel, stem_stride, stem_kernel // 2, bias=False)
    model.bn1 = norm(stem)
    model.act1 = activate(inplace=True)
    if stem_pool:
        model.maxpool = nn.MaxPool2d(3, 2, 1)
    c_in = stem
    for number, (width, depth, stage_stride) in enumerate(zip(widths, depths, strides, strict=True), start=1):
        blocks = []
        for index in range(depth):
            stride, shortcut = (1 if index else stage_stride), None
            if shortcuts == "projected" and (stride > 1 or c_in != width):
                shortcut = downsample_conv(c_in, width, kernel_size=1, stride=stride, norm_layer=norm)
            elif stride > 1 or c_in != width:
                shortcut = zero_padding(c_in, width, nn.MaxPool2d(1, 2) if stride > 1 else None)
            made = kind(c_in, width, stride, shortcut, base_width=base_width, act_layer=activate, norm_layer=norm)
            blocks.append(made)
            c_in = width
        model.add_module(f"layer{number}", nn.Sequential(*blocks))
    model.global_pool = SelectAdaptivePool2d(flatten=True)
    model.drop = nn.Dropout(drop_rate)
    model.fc = nn.Linear(c_in, num_classes)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):  # as timm's ResNet
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return model
