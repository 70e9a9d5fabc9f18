"""MBConv networks as timm builds them."""

from __future__ import annotations

from functools import partial

from timm.models._efficientnet_builder import decode_arch_def, round_channels
from timm.models.efficientnet import EfficientNet
from torch import nn

from sampler import Architecture, BaseNetwork

# Our widths are final: timm's own rounding must leave every integer as it is.
unrounded = partial(round_channels, divisor=1, round_limit=0.0)
TIMM_BLOCKS = {"ds": "ds", "mb": "ir"}


def build(network: BaseNetwork, architecture: Architecture, classes: int, drop_rate: float) -> nn.Module:
    """Builds an architecture as a timm `EfficientNet`."""
    text = [
        [
            f"{TIMM_BLOCKS[stage.block]}_r{depth}_k{stage.kernel}_s{stage.stride}_e{stage.expansion:g}_c{width}"
            + (f"_se{stage.se_ratio:g}" if stage.se_ratio else "")
        ]
        for stage, width, depth in zip(network.stages, architecture.widths, architecture.depths, strict=True)
    ]
    return EfficientNet(
        block_args=decode_arch_def(text),
        num_classes=classes,
        num_features=architecture.head,
        stem_size=architecture.stem,
        round_chs_fn=unrounded,
        act_layer=nn.SiLU,
        drop_rate=drop_rate,
    )
