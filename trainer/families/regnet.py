"""RegNets in torch, as timm builds them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from sampler import Architecture, BaseNetwork
from sampler.families.regnet import GROUP_WIDTH, REGNET_VARIANTS, group_widths
from sampler.families.variants import variant_of
from trainer.families.protocol import BlockEnds, ChannelRoles, Parts, StageParts
from trainer.families.timm_code import TimmCode

if TYPE_CHECKING:
    from torch import nn


class RegNetFamily:
    """RegNetX and RegNetY as timm's `RegNet`, whose stages are given instead of generated."""

    def build(self, network: BaseNetwork, architecture: Architecture, classes: int, drop_rate: float) -> nn.Module:
        """Builds an architecture.

        Raises:
            InputError: If a width does not divide into groups.
        """
        return self.timm_code(network, architecture).build(classes, drop_rate)

    def timm_code(self, network: BaseNetwork, architecture: Architecture) -> TimmCode:
        """The code of an architecture.

        Raises:
            InputError: If a width does not divide into groups.
        """
        groups = _groups_of_stages(network, architecture)
        rows = zip(network.stages, architecture.widths, architecture.depths, groups, strict=True)
        stages = [
            dict(
                out_chs=width,
                depth=depth,
                stride=stage.stride,
                dilation=1,
                bottle_ratio=stage.expansion,
                group_size=group,
            )
            for stage, width, depth, group in rows
        ]
        arguments = {"stem": architecture.stem, "se_ratio": network.stages[0].se_ratio, "stages": stages}
        if network.variant not in REGNET_VARIANTS:
            variant = variant_of(REGNET_VARIANTS, network.variant)
            arguments |= {"activation": variant.activation, "norm_epsilon": variant.norm_epsilon}
            return TimmCode((given_regnet, regnet_of_variant), arguments, "stem.conv", "head.fc")
        return TimmCode((given_regnet,), arguments, "stem.conv", "head.fc")

    def parts(self, model: Any, architecture: Architecture) -> Parts:
        """The parts of a network."""
        runs = (getattr(model, f"s{index + 1}") for index in range(len(architecture.depths)))
        return Parts([model.stem], [StageParts(list(run.children())) for run in runs], [model.head])

    def channels(self) -> ChannelRoles:
        """The roles of its blocks' channels; a grouped convolution drops channels on either side."""
        return ChannelRoles(
            {
                "reduce": ("input", "hidden"),
                "spatial": ("hidden", "hidden"),
                "squeeze": ("hidden",),
                "excite": ("hidden",),
                "expand": ("hidden", "output"),
                "shortcut": ("input", "output"),
            },
            _ends,
        )

    def shortcuts(self) -> Mapping[type[nn.Module], str]:
        """The module of each kind of block."""
        from timm.models.regnet import Bottleneck

        return {Bottleneck: "downsample"}


def _groups_of_stages(network: BaseNetwork, architecture: Architecture) -> list[int]:
    """Channels per group of each stage: the base network's, or the architecture's own.

    Raises:
        InputError: If a width does not divide into groups.
    """
    own = architecture.knob(GROUP_WIDTH)
    groups = group_widths(network, np.array([architecture.widths]), None if own is None else np.array([own]))
    result: list[int] = groups[0].tolist()
    return result


def _ends(block: nn.Module) -> BlockEnds | None:
    from timm.models.regnet import Bottleneck

    return BlockEnds(("conv1", "conv2"), "conv3") if isinstance(block, Bottleneck) else None


# --- code that an export writes ---


def given_regnet(stem: int, se_ratio: float, stages: list[dict[str, Any]], **kwargs: Any) -> nn.Module:
    """A RegNet of these stages, which timm would generate from four numbers."""
    from timm.models.regnet import RegNet, RegNetCfg

    class GivenRegNet(RegNet):
        def _get_stage_args(self, *args: Any, **options: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
            return stages, super()._get_stage_args(*args, **options)[1]

    return GivenRegNet(RegNetCfg(stem_width=stem, se_ratio=se_ratio), **kwargs)


def regnet_of_variant(
    stem: int, se_ratio: float, stages: list[dict[str, Any]], activation: str, norm_epsilon: float, **kwargs: Any
) -> nn.Module:
    """A RegNet of these stages with another activation or epsilon than timm's."""
    from functools import partial

    from torch import nn

    norm = partial(nn.BatchNorm2d, eps=norm_epsilon)
    return given_regnet(stem, se_ratio, stages, act_layer=getattr(nn, activation), norm_layer=norm, **kwargs)
