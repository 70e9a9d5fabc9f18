"""Each stage's share of the MACs, its depth and its width, as functions of c.

Shares are a composition: positive, and they sum up to 1. They are learned in centred log-ratio coordinates
(Aitchison 1982, https://doi.org/10.1111/j.2517-6161.1982.tb01195.x), where no sum has to be kept:

    clr_i = log m_i - mean_j log m_j          m_i   MACs of stage i, of s
    share_i = exp(clr_i) / sum_j exp(clr_j)

Stem and head are no parts of it: the rule makes them follow the first and the last stage.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from planner.errors import PlannerError
from planner.gaussian.curve import Curve
from sampler import Architecture, BaseNetwork, rule_named, stack
from sampler.architecture import Architectures, FloatArray, IntArray
from sampler.complexity import blocks_of
from sampler.knobs import knobs_among
from sampler.moves import column_names, from_rows, stage_columns
from sampler.scaling import ScalingRule, rules_of
from sampler.totals import by_part
from sampler.uniform import uniform_rows

if TYPE_CHECKING:
    import pandas as pd

# (log c, values, value at c = 1 of the mean, output scale) -> the curve and its leave-one-out RMSE
Smoother = Callable[[FloatArray, FloatArray, float, str], tuple[Curve, float]]
# Of a table's rows: where one d and one w explain as many, it is a table of uniform scaling. A study may have scaled
# stages apart in some; and in the smallest networks every stage has its fewest channels, whatever made them.
UNIFORM = 0.6
# Of a table's rows that scaled stages apart: fewer are too few for what a surrogate says of such networks.
VARIED = 0.2
_ASKED = 1_000  # rows, evenly over the table, that say what most of them are
KEYS = ("shares", "depths", "widths")


@dataclass(frozen=True, eq=False)
class StageCurves:
    """What a budget is spent on, over c, in one direction.

    Attributes:
        shares: One curve per stage of the centred log-ratio of its MACs.
        depths: One curve per stage of its depth multiplier.
        widths: One curve per stage of its width multiplier. Shares and a budget give widths, too, but hardly where a
            stage is one block deep, whose MACs are mostly made by the width of the stage before it.
    """

    shares: tuple[Curve, ...]
    depths: tuple[Curve, ...]
    widths: tuple[Curve, ...]

    def share(self, c: float) -> FloatArray:
        """`(s,)` shares of the stages' MACs at c; they sum up to 1."""
        return closed(np.array([float(curve.mean(c)[0]) for curve in self.shares]))

    def channels(self, network: BaseNetwork, c: float) -> FloatArray:
        """`(s,)` real widths at c."""
        return np.array([width * float(curve(c)[0]) for width, curve in zip(network.widths, self.widths, strict=True)])

    def blocks(self, network: BaseNetwork, c: float) -> IntArray:
        """`(s,)` depths at c: the nearest whole numbers, at least 1."""
        exact = [depth * float(curve(c)[0]) for depth, curve in zip(network.depths, self.depths, strict=True)]
        rounded: IntArray = np.maximum(np.rint(exact), 1).astype(np.int64)
        return rounded


def log_ratios(macs: FloatArray | IntArray) -> FloatArray:
    """`(n, s)` centred log-ratios of `(n, s)` positive numbers.

    Example:
        >>> log_ratios(np.array([[1.0, np.e**2]])).tolist()
        [[-1.0, 1.0]]
    """
    logs = np.log(np.asarray(macs, dtype=np.float64))
    ratios: FloatArray = logs - logs.mean(axis=-1, keepdims=True)
    return ratios


def closed(ratios: FloatArray) -> FloatArray:
    """Shares of centred log-ratios, the inverse of `log_ratios`.

    Example:
        >>> closed(np.log(np.array([1.0, 3.0]))).tolist()
        [0.25, 0.75]
    """
    parts = np.exp(ratios - ratios.max(axis=-1, keepdims=True))
    shares: FloatArray = parts / parts.sum(axis=-1, keepdims=True)
    return shares


def part_macs(network: BaseNetwork, architectures: Architectures, classes: int) -> IntArray:
    """`(n, s + 2)` exact MACs of stem, stages and head; they sum up to the network's."""
    parts = by_part(blocks_of(network, architectures, classes))
    keys: list[str | int] = ["stem", *range(1, len(network.stages) + 1), "head"]
    n = len(architectures)
    return np.stack([np.broadcast_to(parts[key].macs if key in parts else 0, (n,)) for key in keys], axis=1)


def shares_of(network: BaseNetwork, one: Architecture, classes: int) -> dict[str, float]:
    """Of an architecture's MACs, the share of each part: `stem`, `1` .., `head`; they sum up to 1."""
    parts = part_macs(network, stack([one]), classes)[0]
    names = ["stem", *(str(i + 1) for i in range(len(network.stages))), "head"]
    return dict(zip(names, (parts / parts.sum()).tolist(), strict=True))


def stage_macs(network: BaseNetwork, architectures: Architectures, classes: int) -> IntArray:
    """`(n, s)` exact MACs of the stages."""
    return part_macs(network, architectures, classes)[:, 1:-1]


def architectures_of(frame: pd.DataFrame, network: BaseNetwork, rule: ScalingRule) -> Architectures | None:
    """The architectures of a table's rows, stem and head by the rule where it has none; None without integers."""
    numbers = range(1, len(network.stages) + 1)
    wanted = ["resolution", *(f"width_{i}" for i in numbers), *(f"depth_{i}" for i in numbers)]
    if not set(wanted) <= set(frame):
        return None
    integers = frame[wanted].to_numpy(dtype=np.float64)
    if not np.isfinite(integers).all() or (integers < 1).any():
        return None
    rows = np.rint(integers).astype(np.int64)
    s = len(network.stages)
    ends = {
        "stem": rule.stem_channels(network, rows[:, 1] / network.stages[0].width),
        "head": rule.head_channels(network, rows[:, s] / network.stages[-1].width),
    }
    for name in ends:
        if name in frame and np.isfinite(frame[name].to_numpy(dtype=np.float64)).all():
            ends[name] = frame[name].to_numpy(dtype=np.int64)
    found = from_rows(network, np.column_stack([rows[:, 0], ends["stem"], rows[:, 1:], ends["head"]]))
    return replace(found, knobs=_knobs_of(frame, network))


def _knobs_of(frame: pd.DataFrame, network: BaseNetwork) -> dict[str, IntArray]:
    """`(n, k)` values of the knobs that a table says of all its rows."""
    found = {}
    for name, size in knobs_among(network, frame.columns).items():
        values = frame[list(stage_columns(name, size))].to_numpy(dtype=np.float64, na_value=np.nan)
        if np.isfinite(values).all() and (values >= 1).all():
            found[name] = np.rint(values).astype(np.int64)
    return found


def evenly(frame: pd.DataFrame) -> pd.DataFrame:
    """At most `_ASKED` rows of a table, evenly over it."""
    return frame.iloc[:: -(-len(frame) // _ASKED)]


def uniform_in(frame: pd.DataFrame, network: BaseNetwork, rule_name: str) -> np.ndarray:
    """`(n,)` bools: which rows of a table are of uniform scaling, by their own rules; by any where they name none.

    All are where the table does not hold the integers.
    """
    architectures = architectures_of(frame, network, rule_named(rule_name))
    if architectures is None:
        return np.ones(len(frame), dtype=bool)
    rules = frame["rule"].fillna("").to_numpy() if "rule" in frame else np.full(len(frame), "")
    uniform = np.zeros(len(frame), dtype=bool)
    for name in sorted({*rules} - {""}) + ([rule_name, *rules_of(network)] if "" in rules else []):
        asked = (rules == name) | (rules == "")
        uniform |= asked & uniform_rows(network, rule_named(name), architectures)
    return uniform


def stage_curves(
    points: pd.DataFrame,
    table: pd.DataFrame,
    network: BaseNetwork,
    rule_name: str,
    classes: int,
    smooth: Smoother,
) -> tuple[StageCurves, dict[str, float]] | None:
    """The curves of one direction, with their leave-one-out errors in logs; None for uniform scaling.

    Args:
        points: Rows of the front, with `c` and the architectures' integers.
        table: All rows, which say whether the study scaled uniformly.
        network: The base network, at the table's resolution.
        rule_name: The rule that made most of the rows; where a row names its own, that counts.
        classes: Outputs of the classifier.
        smooth: Fits one curve.
    """
    if uniform_in(evenly(table), network, rule_name).mean() >= UNIFORM:
        return None
    architectures = architectures_of(points, network, rule_named(rule_name))
    assert architectures is not None  # the front is a part of the table
    x = np.log(points["c"].to_numpy(dtype=np.float64))
    ratios = log_ratios(stage_macs(network, architectures, classes))
    depths = np.log(architectures.depths / np.array(network.depths))
    widths = np.log(architectures.widths / np.array(network.widths))
    curves: dict[str, list[Curve]] = {"share": [], "depth": [], "width": []}
    errors: dict[str, float] = {}
    for name, values, scale in (("share", ratios, "identity"), ("depth", depths, "log"), ("width", widths, "log")):
        for stage in range(values.shape[1]):
            curve, error = smooth(x, values[:, stage], _at_one(x, values[:, stage]), scale)
            curves[name].append(curve)
            errors[f"{name}_{stage + 1}"] = error
    return StageCurves(tuple(curves["share"]), tuple(curves["depth"]), tuple(curves["width"])), errors


def column_ranges(frame: pd.DataFrame, network: BaseNetwork) -> dict[str, list[float]]:
    """The smallest and the largest value of each column of integers that a table has: where it knows anything."""
    names = column_names(len(network.stages), knobs_among(network, frame.columns))
    found = {name: frame[name].to_numpy(dtype=np.float64) for name in names if name in frame}
    return {
        name: [float(values.min()), float(values.max())] for name, values in found.items() if np.isfinite(values).all()
    }


def stages_out(stages: StageCurves) -> dict[str, Any]:
    """The curves in JSON's types."""
    return {name: [curve.as_dict() for curve in getattr(stages, name)] for name in KEYS}


def stages_in(document: dict[str, Any], count: int, name: str, curve_in: Callable[[Any, str], Curve]) -> StageCurves:
    """The curves of a document.

    Raises:
        PlannerError: If there is not one per stage, or one is damaged.
    """
    read = {}
    for key in KEYS:
        curves = document[key]
        if len(curves) != count:
            raise PlannerError(f"{key} of the stages of {name} are {len(curves)} curves; {count} are wanted")
        read[key] = tuple(curve_in(curve, f"{key} {i + 1} of {name}") for i, curve in enumerate(curves))
    return StageCurves(**read)


def _at_one(x: FloatArray, y: FloatArray) -> float:
    """Least squares' line through the points, at c = 1."""
    if not np.ptp(x):
        return float(y.mean())
    return float(np.polynomial.Polynomial.fit(x, y, 1).convert().coef[0])
