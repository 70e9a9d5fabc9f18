"""MBConv networks as timm builds them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from timm.models._efficientnet_blocks import SqueezeExcite
from timm.models._efficientnet_builder import BN_EPS_TF_DEFAULT, decode_arch_def, round_channels
from timm.models.efficientnet import EfficientNet
from timm.models.mobilenetv3 import MobileNetV3
from torch import nn

from sampler import Architecture, BaseNetwork, Stage

# Our widths are final: timm's own rounding must leave every integer as it is.
unrounded = partial(round_channels, divisor=1, round_limit=0.0)
TIMM_BLOCKS = {"ds": "ds", "mb": "ir", "er": "er", "cn": "cn"}


@dataclass(frozen=True)
class Variant:
    """What a network's table cannot say, and what changes no count.

    Attributes:
        activation: After every convolution that has one.
        norm_epsilon: What batch norm adds to a variance.
        padding: timm's word: `""` for symmetric, `"same"` for TensorFlow's.
        relu_stages: The first stages whose activation is ReLU all the same.
        no_skip: Indices of stages that never have a skip connection.
        skip_convolutions: Whether blocks of one convolution have a skip connection where they can.
        pooled_head: Whether pooling comes before the head's convolution, as in MobileNetV3.
    """

    activation: type[nn.Module]
    norm_epsilon: float = 1e-5
    padding: str = ""
    relu_stages: int = 0
    no_skip: tuple[int, ...] = ()
    skip_convolutions: bool = False
    pooled_head: bool = False


VARIANTS = {
    "": Variant(nn.SiLU),
    "relu6": Variant(nn.ReLU6),
    "efficientnetv2": Variant(nn.SiLU, norm_epsilon=BN_EPS_TF_DEFAULT, padding="same", skip_convolutions=True),
    "mobilenetv3_large": Variant(nn.Hardswish, relu_stages=3, pooled_head=True),
    "mobilenetv3_small": Variant(nn.Hardswish, relu_stages=2, pooled_head=True),
    "mnasnet_b1": Variant(nn.ReLU, no_skip=(0, 6)),
    "mnasnet_a1": Variant(nn.ReLU, no_skip=(0,)),
}
# MobileNetV3's: channels rounded to 8, and activations of its own.
HARD_SQUEEZE = partial(SqueezeExcite, gate_layer="hard_sigmoid", force_act_layer=nn.ReLU, rd_round_fn=round_channels)


def build(network: BaseNetwork, architecture: Architecture, classes: int, drop_rate: float) -> nn.Module:
    """Builds an architecture as a timm `EfficientNet` or `MobileNetV3`."""
    variant = VARIANTS[network.variant]
    text = [
        stage_text(variant, index, stage, width, depth)
        for index, (stage, width, depth) in enumerate(
            zip(network.stages, architecture.widths, architecture.depths, strict=True)
        )
    ]
    make = partial(MobileNetV3, se_layer=HARD_SQUEEZE) if variant.pooled_head else EfficientNet
    return make(
        block_args=decode_arch_def(text),
        num_classes=classes,
        num_features=architecture.head,
        stem_size=architecture.stem,
        round_chs_fn=unrounded,
        pad_type=variant.padding,
        act_layer=variant.activation,
        norm_layer=partial(nn.BatchNorm2d, eps=variant.norm_epsilon),
        drop_rate=drop_rate,
    )


def stage_text(variant: Variant, index: int, stage: Stage, width: int, depth: int) -> list[str]:
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
    start = f"{TIMM_BLOCKS[stage.block]}_r1_k{stage.kernel}_s{stage.stride}"  # timm strides the first block only
    return [
        f"{start}_e{expansions[min(block, len(expansions) - 1)]:g}_se{ratios[min(block, len(ratios) - 1)]:g}{end}"
        for block in range(depth)
    ]
