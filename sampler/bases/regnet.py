"""RegNetX and RegNetY, from 200 MMACs to 32 GMACs (Radosavovic et al. 2020, https://arxiv.org/abs/2003.13678)."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from sampler.architecture import BaseNetwork, Stage
from sampler.errors import InputError
from sampler.families.regnet import compatible

MULTIPLE = 8
# depth, w0, wa, wm and group width, of https://github.com/facebookresearch/pycls/tree/main/configs/dds_baselines.
X_PARAMETERS = {
    "regnetx_002": (13, 24, 36.44, 2.49, 8),
    "regnetx_004": (22, 24, 24.48, 2.54, 16),
    "regnetx_006": (16, 48, 36.97, 2.24, 24),
    "regnetx_008": (16, 56, 35.73, 2.28, 16),
    "regnetx_016": (18, 80, 34.01, 2.25, 24),
    "regnetx_032": (25, 88, 26.31, 2.25, 48),
    "regnetx_040": (23, 96, 38.65, 2.43, 40),
    "regnetx_064": (17, 184, 60.83, 2.07, 56),
    "regnetx_080": (23, 80, 49.56, 2.88, 120),
    "regnetx_120": (19, 168, 73.36, 2.37, 112),
    "regnetx_160": (22, 216, 55.59, 2.1, 128),
    "regnetx_320": (23, 320, 69.86, 2.0, 168),
}
Y_PARAMETERS = {
    "regnety_002": (13, 24, 36.44, 2.49, 8),
    "regnety_004": (16, 48, 27.89, 2.09, 8),
    "regnety_006": (15, 48, 32.54, 2.32, 16),
    "regnety_008": (14, 56, 38.84, 2.4, 16),
    "regnety_016": (27, 48, 20.71, 2.65, 24),
    "regnety_032": (21, 80, 42.63, 2.66, 24),
    "regnety_040": (22, 96, 31.41, 2.24, 64),
    "regnety_064": (25, 112, 33.22, 2.27, 72),
    "regnety_080": (17, 192, 76.82, 2.19, 56),
    "regnety_120": (19, 168, 73.36, 2.37, 112),
    "regnety_160": (18, 200, 106.23, 2.48, 112),
    "regnety_320": (20, 232, 115.89, 2.53, 232),
}


def quantised_linear(depth: int, w0: int, wa: float, wm: float) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Stage widths and depths of RegNet's quantised linear rule.

    Radosavovic et al. 2020 (https://arxiv.org/abs/2003.13678), section 3.3: block j of `depth` wants
    u_j = w0 + wa j channels; it gets w0 wm^k with k = round(log_wm(u_j / w0)), to a multiple of 8. Blocks of equal
    width are one stage. The widths need not divide into groups yet (see `sampler.families.regnet.compatible`).

    Args:
        depth: Blocks in all.
        w0: Channels of the first block, a multiple of 8.
        wa: Channels by which the wanted width grows per block.
        wm: Ratio of two neighbouring stages' widths, above 1.

    Returns:
        One width and one depth per stage.

    Raises:
        InputError: If a parameter is out of its range.

    Example:
        >>> quantised_linear(13, 24, 36.44, 2.49)
        ((24, 56, 152, 368), (1, 1, 4, 7))
    """
    if depth < 1 or w0 < 1 or w0 % MULTIPLE or wa < 0 or wm <= 1:
        raise InputError(
            f"depth >= 1, w0 a positive multiple of {MULTIPLE}, wa >= 0 and wm > 1 are wanted, "
            f"got depth={depth}, w0={w0}, wa={wa:g}, wm={wm:g}"
        )
    powers = [round(math.log((w0 + wa * j) / w0) / math.log(wm)) for j in range(depth)]
    stages = Counter(round(w0 * wm**k / MULTIPLE) * MULTIPLE for k in powers)  # in the order of the blocks
    return tuple(stages.keys()), tuple(stages.values())


def _regnet(name: str, parameters: tuple[int, int, float, float, int], se_ratio: float) -> BaseNetwork:
    """A published network; a stage narrower than the group width has its own width for it, also when scaled."""
    widths, depths = quantised_linear(*parameters[:4])
    widths = tuple(compatible(np.array(widths), np.array(parameters[4])).tolist())
    return BaseNetwork(
        name=name,
        family="regnet",
        resolution=224,
        stem=32,
        stages=tuple(
            Stage("bottleneck", 3, 2, 1.0, se_ratio, width, depth, min(parameters[4], width))
            for width, depth in zip(widths, depths, strict=True)
        ),
        head=0,
        rule="pycls",
    )


NETWORKS = (
    *(_regnet(name, parameters, se_ratio=0.0) for name, parameters in X_PARAMETERS.items()),
    *(_regnet(name, parameters, se_ratio=0.25) for name, parameters in Y_PARAMETERS.items()),
)
