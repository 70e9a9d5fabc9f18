"""MBConv networks (MobileNetV2 to EfficientNetV2) in torch, as timm builds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sampler import Architecture, BaseNetwork, Stage
from trainer.families.protocol import BlockEnds, ChannelRoles, Parts, StageParts
from trainer.families.timm_code import TimmCode

if TYPE_CHECKING:
    from torch import nn

_TIMM_BLOCKS = {"ds": "ds", "mb": "ir", "er": "er", "cn": "cn"}


@dataclass(frozen=True)
class Variant:
    """What a network's table cannot say, and what changes no count.

    Attributes:
        activation: Name in `torch.nn` of what follows every convolution that has an activation.
        norm_epsilon: Number that batch norm adds to a variance.
        padding: timm's word: `""` for symmetric, `"same"` for TensorFlow's.
        relu_stages: How many of the first stages have ReLU all the same.
        no_skip: Indices of stages that never have a skip connection.
        skip_convolutions: Whether blocks of one convolution have a skip connection where they can.
        pooled_head: Whether pooling comes before the head's convolution, as in MobileNetV3.
    """

    activation: str
    norm_epsilon: float = 1e-5
    padding: str = ""
    relu_stages: int = 0
    no_skip: tuple[int, ...] = ()
    skip_convolutions: bool = False
    pooled_head: bool = False


VARIANTS = {
    "": Variant("SiLU"),
    "relu6": Variant("ReLU6"),
    "efficientnetv2": Variant("SiLU", norm_epsilon=1e-3, padding="same", skip_convolutions=True),
    "mobilenetv3_large": Variant("Hardswish", relu_stages=3, pooled_head=True),
    "mobilenetv3_small": Variant("Hardswish", relu_stages=2, pooled_head=True),
    "mnasnet_b1": Variant("ReLU", no_skip=(0, 6)),
    "mnasnet_a1": Variant("ReLU", no_skip=(0,)),
}


class MBConvFamily:
    """MBConv networks as timm's `EfficientNet` and `MobileNetV3`."""

    def build(self, network: BaseNetwork, architecture: Architecture, classes: int, drop_rate: float) -> nn.Module:
        """Builds an architecture."""
        return self.timm_code(network, architecture).build(classes, drop_rate)

    def timm_code(self, network: BaseNetwork, architecture: Architecture) -> TimmCode:
        """The code of an architecture: every stage in timm's notation, as its widths are final."""
        variant = VARIANTS[network.variant]
        stages = [
            _repeated(_stage_words(variant, index, stage, width, depth))
            for index, (stage, width, depth) in enumerate(
                zip(network.stages, architecture.widths, architecture.depths, strict=True)
            )
        ]
        arguments = {
            "stem": architecture.stem,
            "stages": stages,
            "head": architecture.head,
            "activation": variant.activation,
            "norm_epsilon": variant.norm_epsilon,
            "padding": variant.padding,
        }
        build = mobilenetv3 if variant.pooled_head else efficientnet
        return TimmCode((build,), arguments, "conv_stem", "classifier", features="dict(flatten_sequential=True)")

    def parts(self, model: Any, architecture: Architecture) -> Parts:
        """The parts of a network; MobileNetV3's tail has no norm."""
        norm = [model.bn2] if hasattr(model, "bn2") else []
        stages = [StageParts(list(stage)) for stage in model.blocks]
        return Parts([model.conv_stem, model.bn1], stages, [model.conv_head, *norm, model.classifier])

    def channels(self) -> ChannelRoles:
        """The roles of its blocks' channels: hidden ones are multiples of a block's input."""
        return ChannelRoles(
            {
                "expand": ("input", "hidden"),
                "depthwise": ("hidden",),
                "squeeze": ("hidden",),
                "excite": ("hidden",),
                "project": ("hidden", "output"),
                "convolution": ("input", "output"),
            },
            _ends,
            follows_input=True,
        )

    def shortcuts(self) -> Mapping[type[nn.Module], str]:
        """The flag of each kind of block."""
        from timm.models._efficientnet_blocks import ConvBnAct, DepthwiseSeparableConv, EdgeResidual, InvertedResidual

        return dict.fromkeys((ConvBnAct, DepthwiseSeparableConv, InvertedResidual, EdgeResidual), "has_skip")


def _ends(block: nn.Module) -> BlockEnds | None:
    """The ends of a block; a depthwise channel passes on the one before it, so one mask discards both."""
    from timm.models._efficientnet_blocks import ConvBnAct, DepthwiseSeparableConv, EdgeResidual, InvertedResidual

    match block:
        case ConvBnAct():
            return BlockEnds((), "bn1")
        case DepthwiseSeparableConv():
            return BlockEnds((), "bn2")
        case InvertedResidual():
            return BlockEnds(("bn2",), "bn3")
        case EdgeResidual():
            return BlockEnds(("bn1",), "bn2")
    return None


def _stage_words(variant: Variant, index: int, stage: Stage, width: int, depth: int) -> list[str]:
    """A stage in timm's notation, one word per block."""
    end = f"_c{width}"
    if index < variant.relu_stages:
        end += "_nre"
    if index in variant.no_skip:
        end += "_noskip"
    if stage.block == "cn" and variant.skip_convolutions:
        end += "_skip"
    expansions = stage.expansions or (stage.expansion,)
    ratios = stage.se_ratios or (stage.se_ratio,)
    start = f"{_TIMM_BLOCKS[stage.block]}_r1_k{stage.kernel}_s{stage.stride}"  # timm strides the first block only
    return [
        f"{start}_e{expansions[min(block, len(expansions) - 1)]:g}_se{ratios[min(block, len(ratios) - 1)]:g}{end}"
        for block in range(depth)
    ]


def _repeated(words: list[str]) -> list[str]:
    """Blocks in timm's notation, those alike in a row written once."""
    runs: list[tuple[str, int]] = []
    for word in words:
        if runs and runs[-1][0] == word:
            runs[-1] = (word, runs[-1][1] + 1)
        else:
            runs.append((word, 1))
    return [word.replace("_r1_", f"_r{times}_") for word, times in runs]


# --- code that an export writes ---


def efficientnet(
    stem: int, stages: list[list[str]], head: int, activation: str, norm_epsilon: float, padding: str, **kwargs: Any
) -> nn.Module:
    """An EfficientNet of stages in timm's notation; no width is rounded."""
    from functools import partial

    from timm.models._efficientnet_builder import decode_arch_def, round_channels
    from timm.models.efficientnet import EfficientNet
    from torch import nn

    return EfficientNet(
        block_args=decode_arch_def(stages),
        stem_size=stem,
        num_features=head,
        round_chs_fn=partial(round_channels, divisor=1, round_limit=0.0),
        pad_type=padding,
        act_layer=getattr(nn, activation),
        norm_layer=partial(nn.BatchNorm2d, eps=norm_epsilon),
        **kwargs,
    )


def mobilenetv3(
    stem: int, stages: list[list[str]], head: int, activation: str, norm_epsilon: float, padding: str, **kwargs: Any
) -> nn.Module:
    """A MobileNetV3 of stages in timm's notation; no width but squeeze-excite's is rounded."""
    from functools import partial

    from timm.models._efficientnet_blocks import SqueezeExcite
    from timm.models._efficientnet_builder import decode_arch_def, round_channels
    from timm.models.mobilenetv3 import MobileNetV3
    from torch import nn

    return MobileNetV3(
        block_args=decode_arch_def(stages),
        stem_size=stem,
        num_features=head,
        round_chs_fn=partial(round_channels, divisor=1, round_limit=0.0),
        pad_type=padding,
        act_layer=getattr(nn, activation),
        norm_layer=partial(nn.BatchNorm2d, eps=norm_epsilon),
        se_layer=partial(SqueezeExcite, gate_layer="hard_sigmoid", force_act_layer=nn.ReLU, rd_round_fn=round_channels),
        **kwargs,
    )
