"""RegNets as timm builds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from timm.models.regnet import RegNet, RegNetCfg
from torch import nn

from sampler import Architecture, BaseNetwork
from sampler.families.regnet import group_widths


@dataclass
class TableCfg(RegNetCfg):
    """A timm configuration whose stages are given instead of generated.

    Attributes:
        stages: Arguments of each timm `RegStage`.
    """

    stages: tuple[dict[str, Any], ...] = ()


class TableRegNet(RegNet):
    """A timm `RegNet` with the stages of a `TableCfg`."""

    def _get_stage_args(
        self, cfg: RegNetCfg, default_stride: int = 2, output_stride: int = 32, drop_path_rate: float = 0.0
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        assert isinstance(cfg, TableCfg)
        _, common = super()._get_stage_args(cfg, default_stride, output_stride, drop_path_rate)
        return list(cfg.stages), common


def build(network: BaseNetwork, architecture: Architecture, classes: int, drop_rate: float) -> nn.Module:
    """Builds an architecture as a timm `RegNet`.

    Raises:
        InputError: If a width does not divide into groups.
    """
    stages = stage_arguments(network, architecture)
    cfg = TableCfg(stem_width=architecture.stem, se_ratio=network.stages[0].se_ratio, stages=stages)
    return TableRegNet(cfg, num_classes=classes, drop_rate=drop_rate)


def stage_arguments(network: BaseNetwork, architecture: Architecture) -> tuple[dict[str, Any], ...]:
    """The arguments of each timm `RegStage` of an architecture.

    Raises:
        InputError: If a width does not divide into groups.
    """
    groups = group_widths(network, np.array([architecture.widths]))[0].tolist()
    return tuple(
        dict(
            out_chs=width, depth=depth, stride=stage.stride, dilation=1, bottle_ratio=stage.expansion, group_size=group
        )
        for stage, width, depth, group in zip(
            network.stages, architecture.widths, architecture.depths, groups, strict=True
        )
    )
