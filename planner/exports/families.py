"""What a network of each family is in timm's code alone: imports, its integers, and a function that builds it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from planner.exports.bodies import (
    BOTTLENECK,
    CIFAR,
    CONVNEXT,
    CONVNEXT_STEM,
    EFFICIENTNET,
    GHOST,
    LAYERS,
    MOBILENETV3,
    REGNET,
    RESNET,
    RESNET_STEM,
)
from sampler import Architecture, BaseNetwork, LayeredArchitecture
from sampler.families import of_family
from trainer.builders import ghost, mbconv, regnet, residual


@dataclass(frozen=True)
class Code:
    """How a network is built with timm alone.

    Attributes:
        imports: Lines that import, beside `register_model` and its like.
        body: Reads the constants and defines `network`, a function of timm's `num_classes`, `in_chans`, `drop_rate`.
        first: Name of the first convolution in the module.
        classifier: Name of the classifier in it.
        constants: Python expressions by name.
        notes: What stands as a comment before a constant, by its name.
        features: What timm's `features_only` has to know, as a Python expression.
    """

    imports: tuple[str, ...]
    body: str
    first: str
    classifier: str
    constants: Mapping[str, str]
    notes: Mapping[str, str] = field(default_factory=dict)
    features: str = ""


LONGEST = 100
FLAT = "dict(flatten_sequential=True)"
FOUR = "dict(out_indices=(0, 1, 2, 3), flatten_sequential=True)"


def listed(items: Sequence[Any], indent: int = 4) -> str:
    """A Python list of lists of numbers and texts, an item a line, long items in lines of their own."""
    lines = []
    for item in items:
        text = json.dumps(item)
        if len(text) > LONGEST and isinstance(item, list):
            text = listed(item, indent + 4)
        lines.append(f"{' ' * indent}{text},\n")
    return "[\n" + "".join(lines) + " " * (indent - 4) + "]"


def code_of(network: BaseNetwork, architecture: Architecture) -> Code:
    """How an architecture is built with timm alone."""
    return of_family(CODES, network, "code of timm alone")(network, architecture)


def _mbconv(network: BaseNetwork, architecture: Architecture) -> Code:
    variant = mbconv.VARIANTS[network.variant]
    stages = [
        _repeated(mbconv.stage_text(variant, index, stage, width, depth))
        for index, (stage, width, depth) in enumerate(
            zip(network.stages, architecture.widths, architecture.depths, strict=True)
        )
    ]
    constants = {
        "STEM": str(architecture.stem),
        "STAGES": listed(stages),
        "HEAD": str(architecture.head),
        "ACTIVATION": f"nn.{variant.activation.__name__}",
        "NORM_EPSILON": f"{variant.norm_epsilon:g}",
        "PADDING": repr(variant.padding).replace("'", '"'),
    }
    imports = (
        "from functools import partial",
        "from timm.models._efficientnet_builder import decode_arch_def, round_channels",
        "from torch import nn",
    )
    if variant.pooled_head:
        timm = (
            "from timm.models._efficientnet_blocks import SqueezeExcite",
            "from timm.models.mobilenetv3 import MobileNetV3",
        )
        return Code((*imports, *timm), MOBILENETV3, "conv_stem", "classifier", constants, features=FLAT)
    efficientnet = "from timm.models.efficientnet import EfficientNet"
    return Code((*imports, efficientnet), EFFICIENTNET, "conv_stem", "classifier", constants, features=FLAT)


def _repeated(words: list[str]) -> list[str]:
    """Blocks in timm's notation, those alike in a row written once (only a stage's first has its stride)."""
    found: list[tuple[str, int]] = []
    for word in words:
        if found and found[-1][0] == word:
            found[-1] = (word, found[-1][1] + 1)
        else:
            found.append((word, 1))
    return [word.replace("_r1_", f"_r{times}_") for word, times in found]


def _regnet(network: BaseNetwork, architecture: Architecture) -> Code:
    stages = regnet.stage_arguments(network, architecture)
    constants = {
        "STEM": str(architecture.stem),
        "SE_RATIO": str(network.stages[0].se_ratio),
        "STAGES": listed(stages),
    }
    return Code(("from timm.models.regnet import RegNet, RegNetCfg",), REGNET, "stem.conv", "head.fc", constants)


def _residual(network: BaseNetwork, architecture: Architecture) -> Code:
    if network.variant == "cifar" or isinstance(architecture, LayeredArchitecture):
        return _layers(network, architecture)
    stage = network.stages[0]
    bottleneck = stage.block == "bottleneck"
    constants = {
        "STEM": str(architecture.stem),
        "WIDTHS": str(architecture.widths),
        "DEPTHS": str(architecture.depths),
        "BASE_WIDTH": str(int(64 * stage.expansion)),
    }
    block = "Bottleneck" if bottleneck else "BasicBlock"
    body = BOTTLENECK if bottleneck else "\nBlock = BasicBlock\n\n"
    if architecture.stem == residual.TIMM_STEM:
        del constants["STEM"]
        imports: tuple[str, ...] = (f"from timm.models.resnet import {block}, ResNet",)
        return Code(imports, body + RESNET, "conv1", "fc", constants)
    imports = (f"from timm.models.resnet import {block}, ResNet, downsample_conv", "from torch import nn")
    return Code(imports, body + RESNET_STEM, "conv1", "fc", constants)


def _layers(network: BaseNetwork, architecture: Architecture) -> Code:
    """CIFAR's ResNets, and those with one width per layer, block by block."""
    stages = [
        [(one.c_in, one.c_mid, one.c_conv, one.c_out, one.stride) for one in blocks]
        for blocks in residual.layered_blocks(network, architecture)
    ]
    constants = {"STEM": str(architecture.stem), "STAGES": listed(stages)}
    cifar, names = network.variant == "cifar", "BasicBlock"
    if cifar:
        layered = isinstance(architecture, LayeredArchitecture)
        constants["POOL"] = "nn.AvgPool2d(2, 2, ceil_mode=True)" if layered else "nn.MaxPool2d(1, 2)"
    else:
        names += ", downsample_conv"
    imports = (
        "from collections import OrderedDict",
        "from timm.layers import SelectAdaptivePool2d",
        f"from timm.models.resnet import {names}",
        "from torch import nn",
    )
    note = {"STAGES": "Of each block: channels of its input, its two convolutions and its output; its stride."}
    return Code(imports, CIFAR if cifar else LAYERS, "conv1", "fc", constants, note)


def _ghost(network: BaseNetwork, architecture: Architecture) -> Code:
    groups = [
        [(one.c_in, one.c_mid, one.c_out, one.kernel, one.stride, one.se_ratio) for one in group]
        for group in ghost.groups(network, architecture)
    ]
    constants = {
        "STEM": str(architecture.stem),
        "GROUPS": listed(groups),
        "WIDTH": str(architecture.widths[-1]),
        "HEAD": str(architecture.head),
    }
    imports = (
        "from timm.models._efficientnet_blocks import ConvBnAct",
        "from timm.models.ghostnet import GhostBottleneck, GhostNet",
        "from torch import nn",
    )
    note = {"GROUPS": "Of each block: input, hidden and output channels; kernel, stride, squeeze-excite ratio."}
    return Code(imports, GHOST, "conv_stem", "classifier", constants, note, FLAT)


def _convnext(network: BaseNetwork, architecture: Architecture) -> Code:
    constants = {
        "STEM": str(architecture.stem),
        "WIDTHS": str(architecture.widths),
        "DEPTHS": str(architecture.depths),
        "KERNELS": str(tuple(stage.kernel for stage in network.stages)),
        "PATCH": str(network.stem_stride),
        "CONV_MLP": str(network.variant == "conv_mlp"),
    }
    if architecture.stem == architecture.widths[0]:
        del constants["STEM"]
        return Code(
            ("from timm.models.convnext import ConvNeXt",), CONVNEXT, "stem.0", "head.fc", constants, features=FOUR
        )
    imports = (
        "from timm.layers import LayerNorm, LayerNorm2d",
        "from timm.models._manipulate import named_apply",
        "from timm.models.convnext import ConvNeXt, ConvNeXtStage, _init_weights",
        "from torch import nn",
    )
    return Code(imports, CONVNEXT_STEM, "stem.0", "head.fc", constants, features=FOUR)


CODES: dict[str, Callable[[BaseNetwork, Architecture], Code]] = {
    "mbconv": _mbconv,
    "regnet": _regnet,
    "residual": _residual,
    "ghost": _ghost,
    "convnext": _convnext,
}
