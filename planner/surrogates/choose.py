"""What the data say of warps and logarithms: by leave-one-out density in the target's own unit, on a short ladder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from planner.gaussian.features import Features, standardised_features
from planner.gaussian.kernels import Kernel
from planner.gaussian.members import tuned
from planner.gaussian.posterior import Member, Observations
from planner.gaussian.warps import Warp, WarpKind, standardised_warp
from planner.gaussian.weights import log_densities
from sampler.architecture import FloatArray

# The limit's distance from the outermost target, in distances of that from the median; None is no warp.
LADDER: tuple[tuple[WarpKind, float | None], ...] = (
    *(("below", share) for share in (0.1, 0.3, 1.0, 3.0)),
    ("identity", None),
    *(("above", share) for share in (5.0, 1.5, 0.5, 0.2, 0.07)),
)
IDENTITY = LADDER.index(("identity", None))
_MARGIN = 2.0  # nats that a choice must gain over the default
_FEWEST = 8  # rows from which anything is chosen
ROWS = 150  # rows that choices are made on
_STEPS = 15
_FORMS = ("linear", "joint")


@dataclass(frozen=True, eq=False)
class Problem:
    """Rows to learn from, in their own units: `(n, k)` inputs, `(n,)` targets and `(n,)` known noise variances."""

    names: tuple[str, ...]
    inputs: FloatArray
    target: FloatArray
    noise: FloatArray

    def rows(self, which: FloatArray) -> Problem:
        """Some of the rows."""
        return Problem(self.names, self.inputs[which], self.target[which], self.noise[which])


def seen_through(problem: Problem, features: Features, warp: Warp) -> Observations:
    """A problem's rows as features and warped targets."""
    noise = problem.noise * warp.slope(problem.target) ** 2
    return Observations(features.of(problem.inputs), warp.forward(problem.target), noise)


def warp_at(rung: int, target: FloatArray) -> Warp:
    """The warp of a rung of the ladder, for these targets."""
    kind, share = LADDER[rung]
    if share is None:
        return standardised_warp("identity", 0.0, target)
    middle = float(np.median(target))
    edge = float(target.max() if kind == "above" else target.min())
    distance = share * (edge - middle or float(target.std()) * (1 if kind == "above" else -1))
    return standardised_warp(kind, edge + distance, target)


class Chooser:
    """Scores of choices; each is fitted once."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.scores: dict[tuple[str, int, tuple[str, ...]], float] = {}
        self.starts: dict[str, FloatArray] = {}  # where the last fit of a form ended is where the next begins

    def score(self, form: str, rung: int, scales: tuple[str, ...]) -> float:
        """Sum of leave-one-out log densities of the targets in their own unit."""
        key = (form, rung, scales)
        if key not in self.scores:
            self.scores[key] = self._scored(*key)
        return self.scores[key]

    def _scored(self, form: str, rung: int, scales: tuple[str, ...]) -> float:
        problem = self.problem
        features = standardised_features(problem.names, scales, problem.inputs)
        seen = seen_through(problem, features, warp_at(rung, problem.target))
        d = seen.x.shape[1]
        kernel = Kernel("linear", "linear") if form == "linear" or not d else Kernel("one", "joint", (0,) * d)
        theta, _ = tuned(kernel, seen, self.starts.get(form), _STEPS)
        self.starts[form] = theta
        mean, variance = Member(kernel, theta, seen).leave_one_out()
        slope = warp_at(rung, problem.target).slope(problem.target)
        return float((log_densities(mean, variance, seen.w) + np.log(slope)).sum())

    def rung(self, form: str, scales: tuple[str, ...], start: int) -> int:
        """The rung from which neither neighbour is better."""
        best = start
        for step in (-1, 1):
            while 0 <= best + step < len(LADDER) and self.score(form, best + step, scales) > self.score(
                form, best, scales
            ):
                best += step
        return best


def chosen_transforms(problem: Problem, scales: tuple[str, ...]) -> tuple[int, tuple[str, ...]]:
    """Rung of the ladder and scales of the columns.

    A line finds where to start on the ladder and which groups of columns are better off without a logarithm;
    a Gaussian process with one length-scale goes on from there. Each departure from the default must gain `_MARGIN`.

    Args:
        problem: The rows to choose by.
        scales: The default.
    """
    if len(problem.target) < _FEWEST or np.ptp(problem.target) == 0:
        return IDENTITY, scales
    chooser = Chooser(problem)
    rung = max(range(len(LADDER)), key=lambda at: chooser.score("linear", at, scales))
    for columns in _logarithms(problem, scales):
        without = tuple("raw" if j in columns else scale for j, scale in enumerate(scales))
        # Around no warp too: a warp may have been found only because it undoes the logarithm.
        other = max(
            (chooser.rung("linear", without, at) for at in (rung, IDENTITY)),
            key=lambda at: chooser.score("linear", at, without),
        )
        gains = [chooser.score(form, other, without) - chooser.score(form, rung, scales) for form in _FORMS]
        if max(gains) > _MARGIN and min(gains) > 0:
            rung, scales = other, without
    rung = chooser.rung("joint", scales, rung)
    gain = chooser.score("joint", rung, scales) - chooser.score("joint", IDENTITY, scales)
    return (rung if gain > _MARGIN else IDENTITY), scales


def _logarithms(problem: Problem, scales: Sequence[str]) -> list[set[int]]:
    """Numbers of the columns that have logarithms, group by group."""
    features = standardised_features(problem.names, scales, problem.inputs)
    groups: dict[int, set[int]] = {}
    for column, group in zip(features.kept, features.groups, strict=True):
        if scales[column] in ("log", "log1p"):
            groups.setdefault(group, set()).add(column)
    return list(groups.values())
