"""How a formula's answers grow with the budget: the slopes of the curves that answer, in logs, and the same in words.

Notation, over one direction's fitted range:

    x (n,)   log c, evenly spaced               y (n,)   log of a multiplier that answers there
    a (n,)   (x - mean x) / |x - mean x|^2      slope    a y, least squares: r ~ c^slope

r and d are the curves, monotone and smoothed as they answer. w is what the exact MACs leave at those r (in whole
pixels) and d (in whole blocks), before an answer is moved to its budget by some pixels or channels. None of them is
what is left of a curve far from all data (`Curve.far_exponent`), which may be anything.

Intervals, 90 %: the slope is linear in the curve, so that its posterior variance is a C a, with C the joint posterior
covariance of the curve (without the noise of single points; of a curve that is no logarithm to first order). A curve
that was distilled from answers counts each of its anchors as one training, which scatters about it as near-best
networks do: its ends say how much steeper or flatter a rule is about as good. Where one rule was chosen from a grid,
the ends are those of the rules that cannot be told from it. The ends of w are those at the
tilted r and d, together with what rounding leaves of a slope over `_ASKED` budgets.
"""

from __future__ import annotations

import math

import numpy as np

from planner.formulas.branch import Branch, Direction
from planner.formulas.kinds import FORMULA_KINDS
from planner.formulas.protocol import FormulaCurve
from planner.formulas.record import FormulaRecord
from planner.gaussian.curve import REACH, Exponent
from planner.text.quantities import format_count
from sampler import InputError, rule_named
from sampler.architecture import FloatArray
from sampler.solve import width_brackets

_POINTS = 65  # values of c
WINDOW = 13  # of them, whose mean is no staircase any more
_ASKED = 15  # budgets of somebody who measures the slope of answers
END = 1 / 3  # of the range: where a slope near an end is taken
_WORDS = {"r": "pixels", "d": "blocks", "w": "channels"}


Exponents = dict[str, Exponent]


def exponents_of(formula: FormulaRecord) -> dict[Direction, Exponents]:
    """The exponents of r, d and w in each direction; one that has none (no width is left, no range) is not there."""
    found = {name: _of_branch(formula, name, branch) for name, branch in formula.branches.items()}
    return {name: one for name, one in found.items() if one}


def slope_of(curve: FormulaCurve, c_range: tuple[float, float]) -> Exponent | None:
    """The exponent of a curve over a range, or None where it is not positive throughout."""
    c = np.geomspace(*c_range, _POINTS)
    values = curve(c)
    if not (np.isfinite(values) & (values > 0)).all():
        return None
    x = np.log(c)
    weights = _weights(x) if curve.output_scale == "log" else _weights(x) / values
    half = REACH * math.sqrt(max(0.0, float(weights @ curve.posterior_covariance(c) @ weights)))
    return _exponent(x, np.log(values), half, half)


def _of_branch(formula: FormulaRecord, direction: Direction, branch: Branch) -> Exponents:
    low, high = formula.answered(direction)
    if not high > low:
        return {}
    found = {name: one for name in "rd" if (one := slope_of(getattr(branch, name), (low, high))) is not None}
    if len(found) == 2:
        found = {name: _among_alike(formula, name, one) for name, one in found.items()}
        width = _width(formula, branch, (low, high), found)
        found |= {} if width is None else {"w": width}
    return found


def _among_alike(formula: FormulaRecord, name: str, one: Exponent) -> Exponent:
    """An exponent of a rule from a grid, with the ends of those that cannot be told from it."""
    alike = formula.provenance.get("compound", {}).get("within_0.1_points")
    if not FORMULA_KINDS[formula.kind].constants or not alike:
        return one
    low, high = (math.log2(end) for end in alike["gamma" if name == "r" else "alpha"])
    return Exponent(one.value, min(low, one.value), max(high, one.value), one.near_ends, one.off)


def _width(formula: FormulaRecord, branch: Branch, c_range: tuple[float, float], found: Exponents) -> Exponent | None:
    """The exponent of the width that the exact MACs leave, or None where they leave none over half of the range."""
    c = np.geomspace(*c_range, _POINTS)
    r, d = branch.r(c), branch.d(c)
    solved = _solved(formula, branch, c, r, d)
    if solved is None:
        return None
    x, y = solved
    value, drops, rises = float(_weights(x) @ y), [], []
    pivot = np.exp(np.log(c) - np.log(c).mean())
    for name, one in found.items():
        ends = []
        for end in (one.lower, one.upper):
            tilt = pivot ** (end - one.value)
            tilted = _solved(formula, branch, c, r * tilt if name == "r" else r, d * tilt if name == "d" else d)
            ends.append(value if tilted is None else float(_weights(tilted[0]) @ tilted[1]))
        drops.append(value - min(value, *ends))
        rises.append(max(value, *ends) - value)
    smooth = np.convolve(y, np.full(WINDOW, 1 / WINDOW), mode="valid")
    scatter = y[WINDOW // 2 : -(WINDOW // 2)] - smooth
    rounding = REACH * float(scatter.std()) / (math.sqrt(_ASKED) * float(x.std()))
    return _exponent(x, y, math.hypot(*drops, rounding), math.hypot(*rises, rounding), smooth)


def _solved(
    formula: FormulaRecord, branch: Branch, c: FloatArray, r: FloatArray, d: FloatArray
) -> tuple[FloatArray, FloatArray] | None:
    """Log c and log of the widest w that the exact MACs afford, where they afford one: half of the c at least."""
    rule, network = rule_named(branch.rule), formula.network
    pixels = np.maximum([int(rule.pixels(formula.resolution, one)[0]) for one in r], network.stride)
    try:
        # The bisection compares row by row, and so takes a budget for each.
        w, _ = width_brackets(network, rule, pixels, d, c * formula.base_macs, formula.classes)  # type: ignore[arg-type]
    except InputError:  # more MACs than any width has
        return None
    known = np.isfinite(w)
    return (np.log(c[known]), np.log(w[known])) if known.sum() > max(len(c) / 2, 2 * WINDOW) else None


def _weights(x: FloatArray) -> FloatArray:
    """What a slope takes of each value."""
    centred = x - x.mean()
    weights: FloatArray = centred / (centred @ centred)
    return weights


def _exponent(x: FloatArray, y: FloatArray, drop: float, rise: float, smooth: FloatArray | None = None) -> Exponent:
    """The exponent of values, which lies so far above and below its ends; `smooth` are those in the middle, even."""
    value, third = float(_weights(x) @ y), max(3, round(END * len(x)))
    ends = tuple(float(_weights(x[part]) @ y[part]) for part in (slice(third), slice(-third, None)))
    line = y.mean() + value * (x - x.mean())
    even = y if smooth is None else smooth
    cut = (len(y) - len(even)) // 2
    off = float(np.abs(np.expm1(even - line[cut : len(line) - cut])).max())
    return Exponent(value, value - drop, value + rise, (ends[0], ends[1]), off)


def law_words(found: Exponents) -> str:
    """The exponents with their 90 % intervals: `r ~ c^0.441 (0.37 to 0.52), ..`."""

    def number(value: float, digits: int) -> str:
        return f"{round(value, digits) + 0.0:.{digits}f}"  # no "-0.00"

    return ", ".join(
        f"{name} ~ c^{number(one.value, 3)} ({number(one.lower, 2)} to {number(one.upper, 2)})"
        for name, one in found.items()
    )


def doubling_words(found: Exponents) -> str:
    """What twice the MACs do, in one sentence: `for twice the MACs: pixels x1.36, ..`."""
    parts = (f"{_WORDS[name]} x{one.doubling:.2f}" for name, one in found.items())
    average = "" if all(one.power_law for one in found.values()) else ", on average over the range"
    return f"for twice the MACs{average}: {', '.join(parts)}"


def bend_words(formula: FormulaRecord, direction: Direction, found: Exponents) -> list[str]:
    """Which multipliers follow no power law, a sentence each."""
    low, high = (format_count(c * formula.base_macs) for c in formula.answered(direction))
    return [
        f"{name} follows no power law (one would be off by up to {one.off:.0%}): it goes as c^{one.near_ends[0]:z.2f} "
        f"near {low} MACs and as c^{one.near_ends[1]:z.2f} near {high}"
        for name, one in found.items()
        if not one.power_law
    ]


def sentences(formula: FormulaRecord, direction: Direction, found: Exponents) -> list[str]:
    """Everything that is to be said of one direction, a line each."""
    if not found:
        return ["its range is too narrow for a slope"]
    unsolved = [] if "w" in found else ["over most of the range r and d leave no width, so there is no slope of w"]
    return [law_words(found), doubling_words(found), *bend_words(formula, direction, found), *unsolved]
