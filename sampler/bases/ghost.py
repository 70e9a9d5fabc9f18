"""Ghost networks: GhostNet, and the variant that S-GhostNet is scaled from."""

from __future__ import annotations

from dataclasses import replace

from sampler.architecture import BaseNetwork, Stage


def _stage(kernel: int, stride: int, width: int, hidden: tuple[int, ...], se_ratios: tuple[float, ...] = ()) -> Stage:
    """A stage by the hidden channels of its blocks and, where it has them, their squeeze-excite ratios."""
    expansions = tuple(channels / width for channels in hidden)
    return Stage("ghost", kernel, stride, expansions[0], 0.0, width, len(hidden), 0, expansions, se_ratios)


# Han et al. 2020, https://arxiv.org/abs/1911.11907, Table 1 (squeeze-excite as in the released code).
GHOSTNET_100 = BaseNetwork(
    name="ghostnet_100",
    family="ghost",
    resolution=224,
    stem=16,
    stages=(
        _stage(3, 1, 16, (16,)),
        _stage(3, 2, 24, (48, 72)),
        _stage(5, 2, 40, (72, 120), (0.25, 0.25)),
        _stage(3, 2, 80, (240, 200, 184, 184)),
        _stage(3, 1, 112, (480, 672), (0.25, 0.25)),
        _stage(5, 2, 160, (672, 960, 960, 960, 960), (0.25, 0.0, 0.25, 0.0, 0.25)),
    ),
    head=960,
    rule="ghost",
)

# "GhostNet with squeeze-excite in every block", the base of https://arxiv.org/abs/2108.00177.
S_GHOSTNET = replace(
    GHOSTNET_100,
    name="s_ghostnet",
    stages=tuple(replace(stage, se_ratio=0.25, se_ratios=()) for stage in GHOSTNET_100.stages),
)

NETWORKS = (GHOSTNET_100, S_GHOSTNET)
