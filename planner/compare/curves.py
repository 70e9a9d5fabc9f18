"""Accuracy against MACs when one dimension grows alone, beside all of them together: by a surrogate of the trainings.

The figures by which compound scaling and TinyNet argue. Scaling jointly, with EfficientNet's exponents, here passes
through the middle of the trainings; from a few points on the way, resolution, depth or width alone grows and shrinks. A
curve ends where the trainings end, in MACs or in a multiplier: beyond them a surrogate knows nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from planner.compare.pictures import plain_ticks
from planner.errors import PlannerError
from planner.formulas.coefficients import EFFICIENTNET
from planner.formulas.networks import network_inputs
from planner.rules.rays import DEPTH, RESOLUTION, WIDTH, Ray, compound_ray
from planner.surrogates.fit import fit_surrogate
from planner.tables.table import Table
from planner.text.documents import write_figure
from planner.text.quantities import format_count
from sampler import base as base_named
from sampler import rule_named, scale
from sampler.architecture import MAX_PIXELS, FloatArray
from sampler.complexity import count
from sampler.moves import column_names
from trainer.score import ACCURACY, Score

if TYPE_CHECKING:
    import pandas as pd

JOINT = "all together"
FUSED = "er"
_ALONE = {"resolution": RESOLUTION, "depth": DEPTH, "width": WIDTH}
_STARTS = 3
STYLES = ("-", "--")
COLOURS = {JOINT: "black", "resolution": "tab:blue", "depth": "tab:orange", "width": "tab:green"}
_POINTS = 201
_REACH = 30.0  # of the ideal cost, up and down
_NEAR = 0.1  # of the MACs: how far a start may be from what was asked for
LESS_NEAR = 0.3  # of another base network, whose integers are other steps
_LEVEL = 0.9
_MULTIPLIERS = ("r", "d", "w")


@dataclass(frozen=True, eq=False)
class GrownCurve:
    """Expected accuracies along one way to grow.

    Attributes:
        base: Name of the base network.
        start: Where it begins, in words.
        start_macs: MACs of the network it begins with.
        dimension: Dimension that grows.
        macs: `(m,)` exact MACs, ascending.
        mean: `(m,)` expected accuracies.
        std: `(m,)` their standard deviations; a training's own noise is not in them.
        in_range: `(m,)` whether every input and the MACs lie within those of the rows that the surrogate saw.
        score: Number that the trainings are judged by; accuracies are its merits.
    """

    base: str
    start: str
    start_macs: int
    dimension: str
    macs: FloatArray
    mean: FloatArray
    std: FloatArray
    in_range: NDArray[np.bool_]
    score: Score = ACCURACY

    @property
    def blocks(self) -> str:
        """`fused` where the base network has blocks whose expansion and depthwise convolution are one; else `plain`."""
        return "fused" if any(stage.block == FUSED for stage in base_named(self.base).stages) else "plain"

    def ends(self) -> tuple[int, ...]:
        """Places of the fewest and the most MACs; one where they are the same."""
        return tuple(dict.fromkeys((0, len(self.macs) - 1)))

    def at(self, place: int) -> str:
        """Accuracy at one place, in words."""
        beyond = "" if self.in_range[place] else ", outside the trainings"
        off = self.score.gap(self.half[place]).removesuffix(" points")
        return f"{self.score.text(self.mean[place])} +- {off}{beyond}"

    @property
    def half(self) -> FloatArray:
        """`(m,)` half widths of intervals of `_LEVEL`."""
        return NormalDist().inv_cdf(0.5 + _LEVEL / 2) * self.std

    def as_dict(self) -> dict[str, Any]:
        """In JSON's types."""
        values = self.score.merit(self.mean)
        return {
            "base": self.base,
            "blocks": self.blocks,
            "start": self.start,
            "start_macs": self.start_macs,
            "dimension": self.dimension,
            "macs": [int(one) for one in self.macs],
            self.score.name: values.tolist(),
            "lower": (values - self.half).tolist(),
            "upper": (values + self.half).tolist(),
            "in_range": self.in_range.tolist(),
        }


def grown_curves(
    table: Table, starts: Sequence[float] | None = None, seed: int = 0, some: bool = False
) -> list[GrownCurve]:
    """The curves of a table of trainings.

    Args:
        table: The trainings; they must vary in resolution, depth and width.
        starts: MACs where curves begin; three of joint scaling's by default.
        seed: Random seed of the surrogate.
        some: Whether starts may lie farther off, and those not among the trainings are left out while one remains.

    Raises:
        PlannerError: If the table has no widths, or no network scaled jointly to a start lies among the trainings.
    """
    frame = table.frame
    if frame["w"].isna().any():
        raise PlannerError("the table has no width multipliers (w, or width_1 ..), which curves are drawn along")
    joint = compound_ray(EFFICIENTNET)
    middle = np.exp(np.log(frame[list(_MULTIPLIERS)].to_numpy(dtype=np.float64)).mean(axis=0))
    together = _points(table, middle, joint)
    if together.empty:
        raise PlannerError("too few trainings: none is near the middle of their resolutions, depths and widths")
    described, inputs = network_inputs(table)
    described = described.assign(accuracy=frame["accuracy"])
    surrogate = fit_surrogate(described, inputs, cost="macs", noise_variance=table.noise_variance, seed=seed)
    found = []
    for row in _starts(together, starts, some):
        start, macs = (
            together[list(_MULTIPLIERS)].to_numpy(dtype=np.float64)[row],
            int(together["macs"].to_numpy()[row]),
        )
        for name, ray in {JOINT: joint, **_ALONE}.items():
            points = together if name == JOINT else _points(table, start, ray)
            if points.empty:
                continue
            mean, std = surrogate.posterior(points)
            inside = surrogate.predict(points)["in_range"].to_numpy()
            costs = points["macs"].to_numpy(dtype=np.float64)
            begins = table.base, f"{format_count(macs)} MACs", macs
            found.append(GrownCurve(*begins, name, costs, mean, std, inside, table.score))
    return found


def curves_beside(table: Table, other: Table, starts: Sequence[float] | None = None, seed: int = 0) -> list[GrownCurve]:
    """The curves of two tables from the same starts, such as those of a plain and a fused base network.

    Args:
        table: Trainings, whose starts they are.
        other: Trainings of another base network on the same images; its curves begin where it has such MACs.
        starts: MACs where curves begin; three of the first table's by default.
        seed: Random seed of the surrogates.

    Raises:
        PlannerError: Where `grown_curves` does; or if the tables are of different tasks, or share no start.
    """
    if other.score != table.score:
        raise PlannerError(f"--beside is judged by {other.score.name}, the other by {table.score.name}; give like ones")
    if other.classes != table.classes:
        raise PlannerError(
            f"--beside has {other.classes} classes, the other {table.classes}; give trainings of one task"
        )
    first = grown_curves(table, starts, seed)
    begun = {curve.start_macs: curve.start for curve in first}
    try:
        second = grown_curves(other, list(begun), seed, some=True)
    except PlannerError as error:
        raise PlannerError(f"--beside: {error}") from error
    nearest = [min(begun, key=lambda macs: abs(math.log(macs / curve.start_macs))) for curve in second]
    return first + [replace(curve, start=begun[macs]) for curve, macs in zip(second, nearest, strict=True)]


def _starts(together: pd.DataFrame, budgets: Sequence[float] | None, some: bool) -> list[int]:
    """Rows of the networks scaled jointly where curves begin."""
    macs = together["macs"].to_numpy(dtype=np.float64)
    wanted = budgets or np.geomspace(macs[0], macs[-1], 1 + 2 * _STARTS)[1::2]
    rows = [int(np.abs(np.log(macs / budget)).argmin()) for budget in wanted]
    near = LESS_NEAR if some else _NEAR
    far = [budgets is not None and abs(macs[row] / budget - 1) > near for row, budget in zip(rows, wanted, strict=True)]
    if any(far) and not (some and not all(far)):
        ends = f"{format_count(macs[0])} to {format_count(macs[-1])}"
        budget = format_count(wanted[far.index(True)])
        raise PlannerError(f"--flops {budget}: curves begin among the trainings, at {ends} MACs")
    return list(dict.fromkeys(row for row, too_far in zip(rows, far, strict=True) if not too_far))


def _points(table: Table, start: FloatArray, ray: Ray) -> pd.DataFrame:
    """Networks from a start along a ray, as far as the trainings reach in MACs and in each multiplier; MACs rise."""
    import pandas as pd

    network = replace(base_named(table.base), resolution=table.resolution)
    named: Any = table.frame["rule"].dropna().unique() if "rule" in table.frame else []
    rule = rule_named(str(named[0]) if len(named) == 1 else network.rule)
    r, d, w = (one * part for one, part in zip(start, ray.at(np.geomspace(1 / _REACH, _REACH, _POINTS)), strict=True))
    pixels = np.clip(rule.pixels(network.resolution, r), network.stride, MAX_PIXELS)
    grown = scale(network, rule, pixels, d, w)
    points = pd.DataFrame(dict(zip(_MULTIPLIERS, (pixels / network.resolution, d, w), strict=True)))
    points["macs"] = count(grown, table.classes).macs
    integers = zip(column_names(len(network.stages)), grown.integers().T, strict=True)
    points = points.assign(**{name: column.astype(float) for name, column in integers})
    seen = table.frame[[*_MULTIPLIERS, "macs"]]
    inside = ((points[seen.columns] >= seen.min()) & (points[seen.columns] <= seen.max())).all(axis=1)
    return points[inside].drop_duplicates("macs").sort_values("macs").reset_index(drop=True)


def plot_curves(path: Path, curves: Sequence[GrownCurve]) -> None:
    """Draws curves into a file, a panel for each start; its suffix says the format."""
    from matplotlib.figure import Figure  # without pyplot: no window system, no state

    score = curves[0].score
    starts = list(dict.fromkeys(curve.start for curve in curves))
    bases = list(dict.fromkeys(curve.base for curve in curves))
    figure = Figure(figsize=(max(8.5, 4.2 * len(starts)), 4.4), dpi=120, layout="constrained")
    panels = figure.subplots(1, len(starts), sharey=True, squeeze=False)[0]
    for axes, start in zip(panels, starts, strict=True):
        for curve in (one for one in curves if one.start == start):
            colour = COLOURS[curve.dimension]
            style, label = STYLES[bases.index(curve.base)], curve.dimension
            label += f", {curve.base} ({curve.blocks})" if len(bases) > 1 else ""
            mean = score.drawn(curve.mean)
            axes.plot(curve.macs / 1e6, mean, label=label, linewidth=1.5, color=colour, linestyle=style)
            half = abs(score.drawn(curve.half))
            axes.fill_between(curve.macs / 1e6, mean - half, mean + half, alpha=0.12, color=colour)
            axes.axvline(curve.start_macs / 1e6, color="tab:gray", linestyle=":", linewidth=1)
        axes.set_xscale("log")
        plain_ticks(axes)
        axes.set_title(f"from {start}", fontsize=10)
        axes.set_xlabel("MACs (millions)")
        axes.grid(alpha=0.3)
    labels = {label: line for axes in panels for line, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(list(labels.values()), list(labels), loc="outside lower center", ncols=len(COLOURS), fontsize=8)
    panels[0].set_ylabel(f"expected {score.title}{score.axis}, {_LEVEL:.0%}")
    write_figure(figure, path)
