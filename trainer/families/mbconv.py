"""MBConv networks (MobileNetV2 to EfficientNetV2) in torch, as timm builds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sampler import Architecture, BaseNetwork, Stage
from sampler.families.mbconv import mbconv_variant
from sampler.families.mbconv_variants import MBCONV_VARIANTS, MBConvVariant
from trainer.families.protocol import BlockEnds, ChannelRoles, Parts, StageParts
from trainer.families.timm_code import TimmCode

if TYPE_CHECKING:
    from torch import nn

_TIMM_BLOCKS = {"ds": "ds", "mb": "ir", "er": "er", "cn": "cn"}


# Squeeze-excite of timm's two classes, as their functions below have it.
_USUAL = {pooled: MBCONV_VARIANTS["mobilenetv3_large" if pooled else ""].squeeze for pooled in (False, True)}


class MBConvFamily:
    """MBConv networks as timm's `EfficientNet` and `MobileNetV3`."""

    def build(self, network: BaseNetwork, architecture: Architecture, classes: int, drop_rate: float) -> nn.Module:
        """Builds an architecture."""
        return self.timm_code(network, architecture).build(classes, drop_rate)

    def timm_code(self, network: BaseNetwork, architecture: Architecture) -> TimmCode:
        """The code of an architecture: every stage in timm's notation, as its widths are final."""
        variant = mbconv_variant(network)
        stages = [
            _repeated(_stage_words(variant, index, stage, width, depth))
            for index, (stage, width, depth) in enumerate(
                zip(network.stages, architecture.widths, architecture.depths, strict=True)
            )
        ]
        arguments: dict[str, Any] = {
            "stem": architecture.stem,
            "stages": stages,
            "head": architecture.head,
            "activation": variant.activation,
            "norm_epsilon": variant.norm_epsilon,
            "padding": variant.padding,
        }
        functions: tuple[Callable[..., Any], ...] = (mobilenetv3 if variant.pooled_head else efficientnet,)
        if (variant.squeeze, network.stem_stride) != (_USUAL[variant.pooled_head], 2):
            of, divisor, gate, activation = variant.squeeze
            arguments |= {"stem_stride": network.stem_stride, "pooled_head": variant.pooled_head}
            arguments |= {"squeeze_of": of, "squeeze_divisor": divisor}
            arguments |= {"squeeze_gate": gate, "squeeze_activation": activation}
            functions = (mbconv_of_table,)
        return TimmCode(functions, arguments, "conv_stem", "classifier", features="dict(flatten_sequential=True)")

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


def _stage_words(variant: MBConvVariant, index: int, stage: Stage, width: int, depth: int) -> list[str]:
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
        f"{start}_e{_shortest(expansions[min(block, len(expansions) - 1)])}"
        f"_se{_shortest(ratios[min(block, len(ratios) - 1)])}{end}"
        for block in range(depth)
    ]


def _shortest(number: float) -> str:
    """The shortest text that timm reads as exactly this number."""
    text = f"{number:g}"
    return text if float(text) == number else repr(number)


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


def mbconv_of_table(
    stem: int,
    stages: list[list[str]],
    head: int,
    activation: str,
    norm_epsilon: float,
    padding: str,
    stem_stride: int,
    pooled_head: bool,
    squeeze_of: str,
    squeeze_divisor: int,
    squeeze_gate: str,
    squeeze_activation: str,
    **kwargs: Any,
) -> Any:
    """An EfficientNet, or MobileNetV3 where its head is pooled, with another squeeze-excite or stem than timm's."""
    from functools import partial

    from timm.layers import create_conv2d
    from timm.models._efficientnet_blocks import SqueezeExcite
    from timm.models._efficientnet_builder import decode_arch_def, efficientnet_init_weights, round_channels
    from timm.models.efficientnet import EfficientNet
    from timm.models.mobilenetv3 import MobileNetV3
    from torch import nn

    blocks = decode_arch_def(stages)
    of_hidden = squeeze_of == "hidden"
    if of_hidden and not pooled_head:
        for block in (block for stage in blocks for block in stage if block.get("se_ratio")):
            block["se_ratio"] *= block.get("exp_ratio", 1.0)  # by which timm's class will divide
    squeeze = partial(
        SqueezeExcite,
        gate_layer=getattr(nn, squeeze_gate),
        force_act_layer=getattr(nn, squeeze_activation) if squeeze_activation else None,
        rd_round_fn=round_channels if squeeze_divisor == 8 else None,
    )
    kind: Any = partial(MobileNetV3, se_from_exp=of_hidden) if pooled_head else EfficientNet
    model = kind(
        block_args=blocks,
        stem_size=stem,
        num_features=head,
        round_chs_fn=partial(round_channels, divisor=1, round_limit=0.0),
        pad_type=padding,
        act_layer=getattr(nn, activation),
        norm_layer=partial(nn.BatchNorm2d, eps=norm_epsilon),
        se_layer=squeeze,
        **kwargs,
    )
    if stem_stride == 1:
        model.conv_stem = create_conv2d(model.conv_stem.in_channels, stem, 3, stride=1, padding=padding)
        for info in model.feature_info:
            info["reduction"] //= 2
        efficientnet_init_weights(model)
    return model
