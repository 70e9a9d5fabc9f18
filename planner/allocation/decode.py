"""From shares of the MACs to integers: the architecture whose stages cost those shares of a budget.

First real widths, by Newton's method on the exact count (depth, stem and head being what they are); then, of all
architectures with each width one step of the rule below or above those, the one whose shares are nearest among those
that cost the budget, and from there by steps of one or two widths to whatever is nearer. Where none does, the widths
go more steps, and then the resolution moves by pixels, as in `sampler.solve`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from planner.formulas.stages import log_ratios, stage_macs
from sampler import Architecture, BaseNetwork, InputError
from sampler.architecture import FloatArray, IntArray
from sampler.complexity import count
from sampler.moves import Grid, from_rows, moved, moves_of
from sampler.scaling import ScalingRule, buildable, own_steps
from sampler.solve import FAR, NEAR, TOLERANCE, WIDEST, spent_near

ITERATIONS = 12
_STEP = 1.2  # of one width, for the elasticities; far enough that roundings do not hide them
_LONGEST = 0.5  # of a logarithm, in one iteration
DAMPING = 1e-3
TOTAL_WEIGHT = 10.0  # the budget is met before the shares are
# Of log widths beside log-ratios of MACs: enough where a width changes its stage's MACs by a third or less of its own
# change (a stage one block deep), and little elsewhere.
WIDTH_WEIGHT = 0.3
MOST_POLISHES = 20
MOST_COMBINATIONS = 4_096  # of widths, at one resolution


@dataclass(frozen=True)
class Target:
    """What is wanted of an architecture.

    Attributes:
        resolution: Input side, in pixels.
        depths: Blocks of each stage.
        shares: Shares of the stages' MACs; they sum up to 1.
        widths: Widths of the stages, up to a common factor, which decide where the shares hardly say; or nothing.
    """

    resolution: int
    depths: tuple[int, ...]
    shares: tuple[float, ...]
    widths: tuple[float, ...] = ()


@dataclass(frozen=True)
class _StageWidths:
    """An architecture at a budget.

    Attributes:
        architecture: The architecture.
        macs: Exact MACs of it.
        pixels_nudged: Pixels the resolution moved away from the one asked for.
    """

    architecture: Architecture
    macs: int
    pixels_nudged: int


def decode_shares(
    network: BaseNetwork,
    rule: ScalingRule,
    target: Target,
    budget: float,
    classes: int = 1000,
    tolerance: float = TOLERANCE,
) -> _StageWidths:
    """The architecture that spends a budget as wanted.

    Args:
        network: The base network, of `s` stages.
        rule: The scaling rule: steps of widths, and what becomes of stem and head.
        target: Resolution, depths and shares.
        budget: MACs.
        classes: Outputs of the classifier.
        tolerance: Largest distance from the budget, as a share of it; at or below it is taken before above.

    A network that has steps of its own never costs more than the budget; where no widths come within the tolerance,
    other numbers move too (`sampler.solve.spent_near`).

    Raises:
        InputError: If nothing near comes within the tolerance; says what comes nearest.
    """
    grid = _grid(network, rule, target)
    if own_steps(network):
        return _in_steps(grid, target, budget, classes, tolerance)
    nearest: float = np.inf
    best: IntArray | None = None
    for far, rows in _tiers(grid, target, budget, classes):
        if far and best is not None:
            break
        macs = count(from_rows(network, rows), classes).macs
        error = macs / budget - 1
        nearest = min(nearest, float(np.abs(error).min()))
        below = rows[(error <= 0) & (error >= -tolerance)]
        if len(below):
            return _polished(grid, below, target, (1 - tolerance) * budget, budget, classes)
        if best is None and (error <= tolerance).any():
            best = rows[(error > 0) & (error <= tolerance)]
    if best is not None and len(best):
        return _polished(grid, best, target, budget, (1 + tolerance) * budget, classes)
    raise InputError(
        f"no widths at {target.resolution} px and depths {' '.join(map(str, target.depths))} cost {budget:,.0f} MACs; "
        f"the nearest is {100 * nearest:.1f} % off; take another budget"
    )


def _in_steps(grid: Grid, target: Target, budget: float, classes: int, tolerance: float) -> _StageWidths:
    """`decode_shares` of a network that has steps of its own."""
    network, below = grid.network, grid.followed(np.array([[levels[0] for levels in grid.levels]]))
    for _, rows in _tiers(grid, target, budget, classes):
        macs = count(from_rows(network, rows), classes).macs
        good = (macs <= budget) & (macs >= (1 - tolerance) * budget)
        if good.any():
            return _polished(grid, rows[good], target, (1 - tolerance) * budget, budget, classes)
        kept = np.concatenate([below, rows[macs <= budget]])
        below = kept[[int(np.argmax(count(from_rows(network, kept), classes).macs))]]
    found = spent_near(network, grid.rule, from_rows(network, below), budget, classes, tolerance)
    if found is None:
        raise InputError(f"no network of {network.name} costs as little as {budget:,.0f} MACs; give a larger budget")
    return _StageWidths(found.architecture, found.macs, found.architecture.resolution - target.resolution)


def _grid(network: BaseNetwork, rule: ScalingRule, target: Target) -> Grid:
    """All widths there are, at the target's depths and about its resolution."""
    low, high = int(target.resolution * (1 - FAR)), int(np.ceil(target.resolution * (1 + FAR)))
    widest = [int(WIDEST * width) for width in (network.stem, *network.widths)]
    lowest = [max(low, network.stride), min(1, network.stem), *[1] * len(network.stages), *target.depths]
    lowest.append(min(1, network.head))
    head = int(WIDEST * network.head)
    return Grid.between(network, rule, lowest, [max(high, network.stride), *widest, *target.depths, head])


def _tiers(grid: Grid, target: Target, budget: float, classes: int) -> Iterator[tuple[bool, IntArray]]:
    """Whether rows are far from what is wanted, and the rows, the nearest first."""
    for reach, steps in ((0.0, 1), (0.0, 2), (0.0, 4), (NEAR, 2), (FAR, 4)):
        sides = grid.levels[0]
        off = np.abs(sides - target.resolution)
        chosen = sides[(off <= reach * target.resolution) | (off == off.min())]
        widths = solved_widths(grid, chosen, target, budget, classes)
        rows = [_around(grid, side, target, row, steps) for side, row in zip(chosen, widths, strict=True)]
        yield reach == FAR, np.concatenate(rows)


def _around(grid: Grid, side: int, target: Target, widths: FloatArray, steps: int) -> IntArray:
    """Rows whose widths are among the next below and above the real ones, so many steps far."""
    stages = len(widths)
    per_stage = max(2, int(MOST_COMBINATIONS ** (1 / stages)))
    choices = []
    for stage, width in enumerate(widths):
        levels = grid.levels[2 + stage]
        above = int(np.searchsorted(levels, width))
        near = levels[max(0, above - steps) : above + steps]
        near = near if len(near) else levels[-1:]
        choices.append(near[np.argsort(np.abs(near - width), kind="stable")][:per_stage])
    combinations = np.array(list(product(*choices)), dtype=np.int64)
    rows = np.zeros((len(combinations), 3 + 2 * stages), dtype=np.int64)
    rows[:, 0], rows[:, 2 : 2 + stages], rows[:, 2 + stages : -1] = side, combinations, target.depths
    return grid.followed(rows)


def _polished(grid: Grid, rows: IntArray, target: Target, least: float, most: float, classes: int) -> _StageWidths:
    """The best of some rows, then steepest descent by steps of one or two widths between two costs."""
    off = _distance(grid, rows, target, classes)
    row, distance = rows[[int(np.argmin(off))]], float(off.min())
    moves = moves_of(grid, ["width"], steps=(1, 2))
    for _ in range(MOST_POLISHES):
        near = np.concatenate([moved(grid, row, moves)[0], moved(grid, row, moves, moves)[0]])
        macs = count(from_rows(grid.network, near), classes).macs
        near = near[(macs >= least) & (macs <= most)]
        if not len(near) or (off := _distance(grid, near, target, classes)).min() >= distance:
            break
        row, distance = near[[int(np.argmin(off))]], float(off.min())
    architectures = from_rows(grid.network, row)
    macs = int(count(architectures, classes).macs[0])
    return _StageWidths(architectures[0], macs, int(row[0, 0]) - target.resolution)


def _distance(grid: Grid, rows: IntArray, target: Target, classes: int) -> FloatArray:
    """`(n,)` mean squares of the distances; the resolution's, as a share, counts like one of them all."""
    off = _off(grid, rows, target, classes)
    distance: FloatArray = (off**2).sum(axis=1) / len(target.shares) + (rows[:, 0] / target.resolution - 1) ** 2
    return distance


def _off(grid: Grid, rows: IntArray, target: Target, classes: int) -> FloatArray:
    """`(n, s)` distances of the log-ratios of MACs, and as many of those of widths where the target has them."""
    architectures = from_rows(grid.network, rows)
    off = log_ratios(stage_macs(grid.network, architectures, classes)) - log_ratios(np.array(target.shares))
    if not target.widths:
        return off
    widths = log_ratios(architectures.widths) - log_ratios(np.array(target.widths))
    return np.column_stack([off, WIDTH_WEIGHT * widths])


def solved_widths(grid: Grid, sides: IntArray, target: Target, budget: float, classes: int) -> FloatArray:
    """`(n, s)` real widths whose stages cost the target's shares and whose network costs the budget, at `n` sides.

    Damped Newton on the logarithms (Levenberg's method): s log-ratios and log MACs, with the elasticities taken over
    steps of 20 %. Counts are of the nearest whole widths, so the result is right to about half a channel.
    """
    s, n = len(grid.network.stages), len(sides)
    logs = np.tile(np.log(np.array(grid.network.widths, dtype=np.float64)), (n, 1))
    smallest = np.log([levels[0] for levels in grid.levels[2 : 2 + s]])
    largest = np.log([levels[-1] for levels in grid.levels[2 : 2 + s]])
    best, least = logs.copy(), np.full(n, np.inf)
    for _ in range(ITERATIONS):
        probes = np.concatenate([logs[:, None, :], logs[:, None, :] + np.log(_STEP) * np.eye(s)], axis=1)
        widths = np.maximum(np.rint(np.exp(probes)).reshape(-1, s), 1).astype(np.int64)
        rows = np.zeros((len(widths), 3 + 2 * s), dtype=np.int64)
        rows[:, 0] = np.repeat(sides, s + 1)
        rows[:, 2 : 2 + s] = np.maximum(
            buildable(grid.network, widths), [levels[0] for levels in grid.levels[2 : 2 + s]]
        )
        rows[:, 2 + s : -1] = target.depths
        rows = grid.followed(rows)
        residual = _residuals(grid, rows, target, budget, classes).reshape(n, s + 1, -1)
        exact = np.log(rows[:, 2 : 2 + s]).reshape(n, s + 1, s)
        now = residual[:, 0]
        better = (square := (now**2).sum(axis=1)) < least
        best[better], least[better] = exact[better, 0], square[better]
        # What the rounded probes really moved by; a probe that rounding left in place says nothing.
        apart = np.einsum("nii->ni", exact[:, 1:] - exact[:, :1])
        slopes = (residual[:, 1:] - now[:, None]) / np.where(np.abs(apart) > 1e-9, apart, np.inf)[:, :, None]
        normal = slopes @ slopes.transpose(0, 2, 1) + DAMPING * np.eye(s)
        step = -np.linalg.solve(normal, (slopes @ now[:, :, None]))[:, :, 0]
        logs = np.clip(exact[:, 0] + np.clip(step, -_LONGEST, _LONGEST), smallest, largest)
    result: FloatArray = np.exp(best)
    return result


def _residuals(grid: Grid, rows: IntArray, target: Target, budget: float, classes: int) -> FloatArray:
    """`(n, k)` distances from the target, and of log MACs with more weight."""
    total = np.log(count(from_rows(grid.network, rows), classes).macs / budget)
    return np.column_stack([_off(grid, rows, target, classes), TOTAL_WEIGHT * total])
