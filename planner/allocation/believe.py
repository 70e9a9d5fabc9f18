"""What a surrogate believes of architectures, and where it was taught."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from planner.formulas.columns import check_reads, columns_of
from planner.formulas.formula import FormulaCurves
from planner.formulas.stages import VARIED
from sampler import SearchSpace, rule_named
from sampler.architecture import Architectures, BaseNetwork, FloatArray
from sampler.knobs import knobs_among
from sampler.moves import Grid, stage_of_column

NO_SEARCH = "no search: "
NO_STAGES = f"{NO_SEARCH}the trainings scaled all stages alike, so the surrogate knows nothing of single ones"
NO_SURROGATE = f"{NO_SEARCH}this formula holds no surrogate of the accuracy; fit one with `planner fit`"
# Gives the (n,) means and the (n,) standard deviations of accuracy.
Belief = Callable[[Architectures], tuple[FloatArray, FloatArray]]


def surrogate_belief(formula: FormulaCurves) -> Belief:
    """The surrogate's posterior as a function of architectures.

    Args:
        formula: With a surrogate, which has `inputs` and `posterior_of`, and `cost` where it reads one.

    Raises:
        PlannerError: If the surrogate reads something that an architecture does not have; names it.
    """
    check_reads(formula)
    surrogate, cost = formula.surrogate, getattr(formula.surrogate, "cost", None)

    def posterior(architectures: Architectures) -> tuple[FloatArray, FloatArray]:
        columns = columns_of(formula, architectures)
        matrix = np.column_stack([columns[name] for name in surrogate.inputs])
        mean, std = surrogate.posterior_of(matrix, columns[cost] if cost else None)
        return np.asarray(mean), np.asarray(std)

    return posterior


def doubt_of_stages(formula: FormulaCurves) -> str:
    """Why a surrogate is not believed about stages scaled apart; empty where it is.

    A surrogate of uniformly scaled networks takes their roundings for effects of single stages, and promises several
    points for them (eight networks of the reference study reached 4 to 7 points less). So at least a share `VARIED` of
    the trainings must have scaled stages apart; files that do not say so have a surrogate of stages only if most did.
    """
    columns = filter(None, map(stage_of_column, getattr(formula.surrogate, "inputs", ())))
    if not any(kind in ("width", "depth") for kind, _ in columns):
        return NO_SURROGATE if formula.surrogate is None else NO_STAGES
    number, rows = formula.provenance.get("stage_varied", (1, 1))
    if number >= VARIED * rows:
        return ""
    if not number:
        return NO_STAGES
    return (
        f"{NO_SEARCH}{number} of {rows} trainings scaled stages apart, and what is expected of single stages is "
        f"believed from a fifth on ({math.ceil(VARIED * rows)}); train more of `planner propose --space stage`"
    )


def taught(formula: FormulaCurves, rule_name: str) -> Grid:
    """The integers between those of the trainings, column by column: beyond them a surrogate only guesses.

    The ranges are the surrogate's own (`ranges`, by column), or those of the formula's table.
    """
    ranges = getattr(formula.surrogate, "ranges", None) or formula.provenance.get("ranges", {})
    return stage_grid(formula.network, rule_name, ranges)


def stage_grid(network: BaseNetwork, rule_name: str, ranges: Mapping[str, tuple[float, float]]) -> Grid:
    """The integers within ranges, by column; a column of which nothing is said has the bounds of a usual space.

    Raises:
        InputError: If nothing buildable is within; names the column.
    """
    knobs = tuple(knobs_among(network, ranges))
    usual = Grid.of(SearchSpace(network.name, network.resolution, rule=rule_name, kind="stage", knobs=knobs))
    lowest, highest = [], []
    for name, levels in zip(usual.columns, usual.levels, strict=True):
        low, high = ranges.get(name, (levels[0], levels[-1]))
        lowest.append(int(np.ceil(low)))
        highest.append(int(np.floor(high)))
    return Grid.between(network, rule_named(rule_name), lowest, highest, knobs=knobs)


def at_bounds(grid: Grid, architectures: Architectures) -> tuple[str, ...]:
    """The free columns in which the only architecture lies at, or beyond, an end of a grid."""
    row = architectures.integers()[0]
    return tuple(
        grid.columns[column]
        for column in grid.free
        if len(grid.levels[column]) > 1 and not grid.levels[column][0] < row[column] < grid.levels[column][-1]
    )
