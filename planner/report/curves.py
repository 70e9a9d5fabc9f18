"""Multipliers over c with their bands: of a formula, of each stage, and of compound scaling beside them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.formulas.branch import Branch
from planner.formulas.formula import FormulaCurves
from planner.formulas.protocol import FormulaCurve
from sampler import rule_named
from sampler.architecture import Architectures, FloatArray
from sampler.scaling import scale
from sampler.solve import width_brackets

_POINTS = 60  # of a curve, over the whole range
_ENDS = ("lower", "upper")


@dataclass(frozen=True, eq=False)
class Band:
    """A quantity over c.

    Attributes:
        c: `(n,)`, rising.
        mean: `(n,)`.
        lower: `(n,)` lower ends of the 90 % interval; the mean where there is none.
        upper: `(n,)` upper ends.
    """

    c: FloatArray
    mean: FloatArray
    lower: FloatArray
    upper: FloatArray

    def times(self, factor: float) -> Band:
        """The band of a multiple."""
        return Band(self.c, factor * self.mean, factor * self.lower, factor * self.upper)

    def as_dict(self) -> dict[str, list[float]]:
        """In JSON's types, to six digits."""
        return {name: [float(f"{one:.6g}") for one in part] for name, part in vars(self).items()}


def bands_of(formula: FormulaCurves, c_range: tuple[float, float] | None = None) -> dict[str, list[Band]]:
    """Each quantity's bands, one for each direction: r, d, w, and width_1.., depth_1.. of the stages.

    Where one d and one w scale all stages, those of the stages are the integers that they become.

    r and d have the interval of a new point about their curves. w is solved on the exact MACs at r and d; its interval
    is theirs, carried over to first order as if they were independent: var log w = var log r + var log d / 4.

    Args:
        formula: Formula whose curves are drawn.
        c_range: Range of c to draw them over; what the formula has seen by default.
    """
    found: dict[str, list[Band]] = {}
    low, high = c_range or formula.c_range
    grid = np.geomspace(low, high, _POINTS)
    # The directions meet at c = 1, where each has its own value.
    for mask in (grid <= 1, grid > 1):
        c = grid[mask]
        if len(c):
            for name, band in _of_branch(formula, formula.branch(float(c[0])), c).items():
                found.setdefault(name, []).append(band)
    return found


def _of_branch(formula: FormulaCurves, branch: Branch, c: FloatArray) -> dict[str, Band]:
    r, d = (_band(curve, c) for curve in (branch.r, branch.d))
    w = _width(formula, branch, r, d)
    bands, network = {"r": r, "d": d, "w": w}, formula.network
    if branch.stages is None:
        return bands | _built(formula, branch, d, w)
    for i, stage in enumerate(network.stages):
        for kind, curve, one in (
            ("width", branch.stages.widths[i], stage.width),
            ("depth", branch.stages.depths[i], stage.depth),
        ):
            bands[f"{kind}_{i + 1}"] = _band(curve, c).times(one)
    return bands


def _built(formula: FormulaCurves, branch: Branch, d: Band, w: Band) -> dict[str, Band]:
    """The integers that one d and one w become in every stage, and those of the ends of their bands."""
    rule, network = rule_named(branch.rule), formula.network

    def scaled(depth: FloatArray, width: FloatArray) -> Architectures:
        buildable = np.where(np.isfinite(width), width, 1.0)
        return scale(network, rule, formula.resolution, np.maximum(depth, 1e-3), np.maximum(buildable, 1e-3))

    middle = scaled(d.mean, w.mean)
    ends = [(scaled(getattr(d, end), w.mean).depths, scaled(d.mean, getattr(w, end)).widths) for end in _ENDS]
    bands, lost = {}, ~np.isfinite(w.mean)
    for i in range(len(network.stages)):
        for kind, mean, (low, high) in (
            ("width", middle.widths, [widths for _, widths in ends]),
            ("depth", middle.depths, [depths for depths, _ in ends]),
        ):
            hidden = lost & (kind == "width")
            columns = (np.where(hidden, np.nan, part[:, i].astype(np.float64)) for part in (mean, low, high))
            bands[f"{kind}_{i + 1}"] = Band(d.c, *columns)
    return bands


def _band(curve: FormulaCurve, c: FloatArray) -> Band:
    lower, upper = np.array([curve.interval(float(value)) for value in c]).T
    return Band(c, curve(c), np.maximum(lower, 0.0), upper)


def _width(formula: FormulaCurves, branch: Branch, r: Band, d: Band) -> Band:
    """The width multiplier that the budget leaves; NaN where it leaves none."""
    rule, network = rule_named(branch.rule), formula.network
    pixels = np.maximum([int(rule.pixels(formula.resolution, one)[0]) for one in r.mean], network.stride)
    budgets = r.c * formula.base_macs
    # The bisection compares row by row, and so takes a budget for each.
    w, _ = width_brackets(network, rule, pixels, d.mean, budgets, formula.classes)  # type: ignore[arg-type]
    spread = np.hypot(np.log(r.upper / r.mean), np.log(d.upper / d.mean) / 2)
    return Band(r.c, w, w * np.exp(-spread), w * np.exp(spread))
