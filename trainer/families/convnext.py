"""ConvNeXt networks in torch, as timm builds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sampler import Architecture, BaseNetwork
from sampler.families.convnext import CONVNEXT_VARIANTS
from sampler.families.variants import variant_of
from trainer.families.protocol import BlockEnds, ChannelRoles, Parts, StageParts
from trainer.families.timm_code import TimmCode

if TYPE_CHECKING:
    from torch import nn


# Of the stem and the stages, in timm's class.
_USUAL_STRIDES = (4, 1, 2, 2, 2)


class ConvNeXtFamily:
    """ConvNeXt as timm's class, with a stem of any width."""

    def build(self, network: BaseNetwork, architecture: Architecture, classes: int, drop_rate: float) -> nn.Module:
        """Builds an architecture."""
        return self.timm_code(network, architecture).build(classes, drop_rate)

    def timm_code(self, network: BaseNetwork, architecture: Architecture) -> TimmCode:
        """The code of an architecture; timm's class makes the stem as wide as the first stage."""
        variant = variant_of(CONVNEXT_VARIANTS, network.variant)
        arguments: dict[str, Any] = {
            "widths": architecture.widths,
            "depths": architecture.depths,
            "kernels": tuple(stage.kernel for stage in network.stages),
            "patch": network.stem_stride,
            "conv_mlp": variant.conv_mlp,
        }
        if network.variant not in CONVNEXT_VARIANTS or _strides(network) != _USUAL_STRIDES:
            arguments = {"stem": architecture.stem, **arguments, "strides": _strides(network)[1:]}
            arguments |= {"activation": variant.activation, "norm_epsilon": variant.norm_epsilon}
            return TimmCode((convnext_of_table,), arguments, "stem.0", "head.fc", features=_features(network))
        functions: tuple[Callable[..., Any], ...] = (convnext,)
        if architecture.stem != architecture.widths[0]:
            arguments, functions = {"stem": architecture.stem, **arguments}, (convnext, convnext_of_stem)
        return TimmCode(functions, arguments, "stem.0", "head.fc", features=_features(network))

    def parts(self, model: Any, architecture: Architecture) -> Parts:
        """The parts of a network; layer norms average over channels."""
        stages = [StageParts(list(stage.blocks), [stage.downsample]) for stage in model.stages]
        return Parts([model.stem], stages, [model.head], growth="multiples")

    def channels(self) -> ChannelRoles:
        """The roles of its blocks' channels; its downsampling makes a stage's feature map."""
        return ChannelRoles(
            {
                "norm": (),
                "downsample": ("input", "output"),
                "depthwise": ("input",),
                "expand": ("input", "hidden"),
                "project": ("hidden", "output"),
            },
            _ends,
            entry="stages.{stage}.downsample",
        )

    def shortcuts(self) -> Mapping[type[nn.Module], str]:
        """The module of each kind of block."""
        from timm.models.convnext import ConvNeXtBlock

        return {ConvNeXtBlock: "shortcut"}


def _strides(network: BaseNetwork) -> tuple[int, ...]:
    return network.stem_stride, *(stage.stride for stage in network.stages)


def _features(network: BaseNetwork) -> str:
    return f"dict(out_indices={tuple(range(len(network.stages)))}, flatten_sequential=True)"


def _ends(block: nn.Module) -> BlockEnds | None:
    from timm.models.convnext import ConvNeXtBlock

    if not isinstance(block, ConvNeXtBlock):
        return None
    return BlockEnds(("mlp.act",), "drop_path", 1 if block.use_conv_mlp else -1)


# --- code that an export writes ---


def convnext(
    widths: tuple[int, ...],
    depths: tuple[int, ...],
    kernels: tuple[int, ...],
    patch: int,
    conv_mlp: bool,
    **kwargs: Any,
) -> Any:
    """A ConvNeXt of timm's."""
    from timm.models.convnext import ConvNeXt

    return ConvNeXt(depths=depths, dims=widths, kernel_sizes=kernels, patch_size=patch, conv_mlp=conv_mlp, **kwargs)


def convnext_of_stem(
    stem: int,
    widths: tuple[int, ...],
    depths: tuple[int, ...],
    kernels: tuple[int, ...],
    patch: int,
    conv_mlp: bool,
    **kwargs: Any,
) -> Any:
    """A ConvNeXt of timm's with a stem that is not as wide as the first stage, which then begins with a convolution."""
    from timm.layers import LayerNorm, LayerNorm2d
    from timm.models._manipulate import named_apply
    from timm.models.convnext import ConvNeXtStage, _init_weights
    from torch import nn

    model = convnext(widths, depths, kernels, patch, conv_mlp, **kwargs)
    model.stem = nn.Sequential(nn.Conv2d(model.stem[0].in_channels, stem, patch, patch), LayerNorm2d(stem))
    model.stages[0] = ConvNeXtStage(
        stem,
        widths[0],
        kernels[0],
        stride=1,
        depth=depths[0],
        ls_init_value=1e-6,
        conv_mlp=conv_mlp,
        norm_layer=LayerNorm2d,
        norm_layer_cl=LayerNorm2d if conv_mlp else LayerNorm,
    )
    for part in (model.stem, model.stages[0]):
        named_apply(_init_weights, part)
    return model


def convnext_of_table(
    stem: int,
    widths: tuple[int, ...],
    depths: tuple[int, ...],
    kernels: tuple[int, ...],
    patch: int,
    conv_mlp: bool,
    strides: tuple[int, ...],
    activation: str,
    norm_epsilon: float,
    **kwargs: Any,
) -> Any:
    """A ConvNeXt of timm's stages, with strides, an activation or an epsilon that timm's class has not."""
    from functools import partial

    from timm.layers import LayerNorm, LayerNorm2d, NormMlpClassifierHead
    from timm.models._manipulate import named_apply
    from timm.models.convnext import ConvNeXt, ConvNeXtStage, _init_weights
    from torch import nn

    norm, norm_last = (partial(kind, eps=norm_epsilon) for kind in (LayerNorm2d, LayerNorm))
    model: Any = ConvNeXt(depths=(1,) * 4, dims=(8,) * 4, **kwargs)  # of stages that are replaced
    model.stem = nn.Sequential(nn.Conv2d(model.stem[0].in_channels, stem, patch, patch), norm(stem))
    stages = []
    c_in, reduction = stem, patch
    model.feature_info = []
    for index, (width, depth, kernel, stride) in enumerate(zip(widths, depths, kernels, strides, strict=True)):
        stage = ConvNeXtStage(
            c_in,
            width,
            kernel,
            stride=stride,
            depth=depth,
            ls_init_value=1e-6,
            conv_mlp=conv_mlp,
            act_layer=getattr(nn, activation),
            norm_layer=norm,
            norm_layer_cl=norm if conv_mlp else norm_last,
        )
        stages.append(stage)
        c_in, reduction = width, reduction * stride
        model.feature_info.append(dict(num_chs=width, reduction=reduction, module=f"stages.{index}"))
    model.stages = nn.Sequential(*stages)
    model.num_features = model.head_hidden_size = c_in
    pool = model.head.global_pool.pool_type
    model.head = NormMlpClassifierHead(
        c_in, model.num_classes, pool_type=pool, drop_rate=model.drop_rate, norm_layer=norm, act_layer="gelu"
    )
    named_apply(partial(_init_weights, head_init_scale=1.0), model)
    return model
