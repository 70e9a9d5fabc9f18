"""RegNet's quantised linear rule as a way of scaling a RegNet, and what pycls does with group widths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from planner.errors import PlannerError
from sampler import Architecture, Architectures, BaseNetwork, stack
from sampler.architecture import FloatArray
from sampler.families.regnet import GROUP_WIDTH, MULTIPLE, X_PARAMETERS, Y_PARAMETERS, quantised_linear
from sampler.scaling import buildable

# Of the MACs, in the depths of the 24 published RegNets (0.076): depth hardly grows. The width has the rest, and so
# w0 grows as MACs^0.46, which is what the published w0 do.
DEPTH_EXPONENT = 0.08


@dataclass(frozen=True)
class Quantised:
    """Parameters of a RegNet (Radosavovic et al. 2020, https://arxiv.org/abs/2003.13678, section 3.3).

    Attributes:
        depth: Blocks in all.
        w0: Channels of the first block.
        wa: Channels by which the wanted width grows per block.
        wm: Ratio of two neighbouring stages' widths.
    """

    depth: int
    w0: int
    wa: float
    wm: float


def published(network: BaseNetwork) -> Quantised:
    """The published parameters of a RegNet.

    Raises:
        PlannerError: If the base network is none.
    """
    known = {**X_PARAMETERS, **Y_PARAMETERS}
    if network.name not in known:
        raise PlannerError(
            f"method regnet scales RegNets, by the published parameters of their widths; {network.name} is none: take "
            "a regnetx_* or regnety_* base, or --method fast"
        )
    return Quantised(*known[network.name][:4])


def scaled_parameters(start: Quantised, s: float) -> Quantised:
    """The parameters at scale s: d = s^0.08 and w = s^0.46; w_m stays.

    w_0 is multiplied with w and w_a with what takes the last block's width to w times its own, whatever their number:
    so the stages keep their shares of the blocks, up to rounding.
    """
    depth = max(2, round(start.depth * s**DEPTH_EXPONENT))
    w = s ** ((1 - DEPTH_EXPONENT) / 2)
    w0 = max(1, round(start.w0 * w / MULTIPLE)) * MULTIPLE
    return Quantised(depth, w0, start.wa * w * (start.depth - 1) / (depth - 1), start.wm)


def quantised_family(network: BaseNetwork, s: FloatArray) -> tuple[FloatArray, Architectures]:
    """The RegNets at `(n,)` scales, of those with the base network's number of stages, and their scales.

    Stem, resolution and group widths stay; widths move to multiples of their group width.
    """
    start, found = published(network), []
    for scale in s:
        one = scaled_parameters(start, float(scale))
        widths, depths = quantised_linear(one.depth, one.w0, one.wa, one.wm)
        if len(widths) == len(network.stages):
            found.append((float(scale), widths, depths))
    if not found:
        raise PlannerError(f"no RegNet of {len(network.stages)} stages near that scale; take another base or budget")
    scales, widths_, depths_ = zip(*found, strict=True)
    channels = buildable(network, np.array(widths_, dtype=np.int64))
    rows = [
        Architecture(network.name, network.resolution, network.stem, tuple(row.tolist()), depths, network.head)
        for row, depths in zip(channels, depths_, strict=True)
    ]
    return np.array(scales), stack(rows)


def scaled_group_widths(network: BaseNetwork, factor: float) -> list[int]:
    """What pycls' scaler makes of group widths: up to 2 as they are, up to 5 to 4, else multiples of 8."""
    rounded = [max(1, round(stage.group_width * factor)) for stage in network.stages]
    return [width if width <= 2 else 4 if width <= 5 else max(1, round(width / 8)) * 8 for width in rounded]


def group_note(network: BaseNetwork, architecture: Architecture) -> str | None:
    """The group widths of a network where they are not the base network's; None where they are."""
    groups = architecture.knob(GROUP_WIDTH)
    if groups is None:
        return None
    return f"group widths are {_listed(groups)} instead of {_listed([stage.group_width for stage in network.stages])}"


def _listed(values: Sequence[int]) -> str:
    return " ".join(str(value) for value in values)
