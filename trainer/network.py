"""Architecture -> torch module, made of timm's own blocks and classes."""

from __future__ import annotations

from functools import partial

from timm.models._efficientnet_builder import decode_arch_def, round_channels
from timm.models.efficientnet import EfficientNet
from torch import nn

from sampler import Architecture, base

# Our widths are final: timm's own rounding must leave every integer as it is.
unrounded = partial(round_channels, divisor=1, round_limit=0.0)
TIMM_BLOCKS = {"ds": "ds", "mb": "ir"}


def build(architecture: Architecture, classes: int = 1000, drop_rate: float = 0.0) -> nn.Module:
    """Builds an architecture as a timm `EfficientNet`.

    Args:
        architecture: What to build.
        classes: Outputs of the classifier.
        drop_rate: Dropout before the classifier.

    Returns:
        A freshly initialised module (from torch's global generator); its parameter count is exactly
        `sampler.architecture_complexity(architecture, classes).params`.
    """
    stages = base(architecture.base).stages
    text = [
        [
            f"{TIMM_BLOCKS[stage.block]}_r{depth}_k{stage.kernel}_s{stage.stride}_e{stage.expansion:g}_c{width}"
            + (f"_se{stage.se_ratio:g}" if stage.se_ratio else "")
        ]
        for stage, width, depth in zip(stages, architecture.widths, architecture.depths, strict=True)
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
