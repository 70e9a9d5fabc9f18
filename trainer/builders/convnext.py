"""ConvNeXt networks as timm builds them."""

from __future__ import annotations

from timm.layers import LayerNorm, LayerNorm2d
from timm.models._manipulate import named_apply
from timm.models.convnext import ConvNeXt, ConvNeXtStage, _init_weights
from torch import nn

from sampler import Architecture, BaseNetwork


def build(network: BaseNetwork, architecture: Architecture, classes: int, drop_rate: float) -> nn.Module:
    """Builds an architecture as a timm `ConvNeXt`.

    timm's class makes the stem as wide as the first stage; where it is not, both are replaced by timm's own parts.
    """
    conv_mlp = network.variant == "conv_mlp"
    model = ConvNeXt(
        num_classes=classes,
        depths=architecture.depths,
        dims=architecture.widths,
        kernel_sizes=tuple(stage.kernel for stage in network.stages),
        patch_size=network.stem_stride,
        conv_mlp=conv_mlp,
        drop_rate=drop_rate,
    )
    stem, width, first = architecture.stem, architecture.widths[0], network.stages[0]
    if stem != width:
        patch = network.stem_stride
        model.stem = nn.Sequential(nn.Conv2d(3, stem, patch, patch), LayerNorm2d(stem))
        model.stages[0] = ConvNeXtStage(
            stem,
            width,
            first.kernel,
            stride=first.stride,
            depth=architecture.depths[0],
            ls_init_value=1e-6,
            conv_mlp=conv_mlp,
            norm_layer=LayerNorm2d,
            norm_layer_cl=LayerNorm2d if conv_mlp else LayerNorm,
        )
        for part in (model.stem, model.stages[0]):
            named_apply(_init_weights, part)
    return model
