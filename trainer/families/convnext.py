"""ConvNeXt networks in torch, as timm builds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sampler import Architecture, BaseNetwork
from trainer.families.protocol import BlockEnds, ChannelRoles, Parts, StageParts
from trainer.families.timm_code import TimmCode

if TYPE_CHECKING:
    from torch import nn


class ConvNeXtFamily:
    """ConvNeXt as timm's class, with a stem of any width."""

    def build(self, network: BaseNetwork, architecture: Architecture, classes: int, drop_rate: float) -> nn.Module:
        """Builds an architecture."""
        return self.timm_code(network, architecture).build(classes, drop_rate)

    def timm_code(self, network: BaseNetwork, architecture: Architecture) -> TimmCode:
        """The code of an architecture; timm's class makes the stem as wide as the first stage."""
        arguments: dict[str, Any] = {
            "widths": architecture.widths,
            "depths": architecture.depths,
            "kernels": tuple(stage.kernel for stage in network.stages),
            "patch": network.stem_stride,
            "conv_mlp": network.variant == "conv_mlp",
        }
        functions: tuple[Callable[..., Any], ...] = (convnext,)
        if architecture.stem != architecture.widths[0]:
            arguments, functions = {"stem": architecture.stem, **arguments}, (convnext, convnext_of_stem)
        features = "dict(out_indices=(0, 1, 2, 3), flatten_sequential=True)"
        return TimmCode(functions, arguments, "stem.0", "head.fc", features=features)

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
