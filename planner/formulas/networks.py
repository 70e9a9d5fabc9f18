"""Which numbers describe a table's networks to a surrogate: one answer for fits, curves, reports and predictions.

The integers that vary, wherever they are known: resolution, stem, each stage's width and depth, head. Rounding makes
steps of them of which r, d and w say nothing, and by one of which networks of one cost differ by points. Where a table
holds multipliers alone, the integers are those that its rule makes of them, if these cost exactly what the rows say;
else r and d stand for them, and the MACs, the surrogate's cost, for the width.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from planner.formulas.stages import architectures_of, uniform_in
from planner.surrogates.rows import varying
from planner.tables.row_costs import by_rule, macs_of, networks_in
from planner.tables.table import Table
from sampler import BaseNetwork, InputError, ScalingRule, rule_named
from sampler import base as base_named
from sampler.architecture import MAX_PIXELS, IntArray
from sampler.moves import column_names
from sampler.solve import width_brackets

if TYPE_CHECKING:
    import pandas as pd

MULTIPLIERS = ("r", "d")
_FEW = 20  # rows that say whether it is worth solving the widths of all


def network_inputs(table: Table) -> tuple[pd.DataFrame, list[str]]:
    """What describes a table's networks to a surrogate.

    Returns:
        `n` rows with the columns r, d, macs and, where they are known, the integers; and the names of the inputs that
        a surrogate should read beside the cost, `macs`: those that vary, so perhaps none.
    """
    frame = table.frame[[*MULTIPLIERS, "macs"]].astype(float)
    integers = integers_of(table)
    if not integers:
        return frame, varying(MULTIPLIERS, frame)
    frame = frame.assign(**{name: column.astype(float) for name, column in integers.items()})
    return frame, varying(list(integers), frame)


def with_integers(table: Table) -> Table:
    """A table that holds its networks' integers, where they are known."""
    return replace(table, frame=table.frame.assign(**integers_of(table)))


def integers_of(table: Table) -> dict[str, IntArray]:
    """The `(n,)` integers of a table's networks, by column; nothing where they are not known."""
    network, frame = _network(table), table.frame
    given = architectures_of(frame, network, rule_named(network.rule))
    if given is None:
        exact = _exact(table)
        names = column_names(len(network.stages))
        return {} if exact is None else dict(zip(names, exact.T, strict=True))
    names = column_names(len(network.stages), {name: values.shape[1] for name, values in given.knobs.items()})
    found = dict(zip(names, given.integers().T, strict=True))
    if (macs_of(given, table.classes) == frame["macs"]).all():
        return found
    # Stem and head that were not given are the rule's guess, and it was wrong.
    return {name: column for name, column in found.items() if name in frame and frame[name].notna().all()}


def stages_varied(table: Table) -> int:
    """How many rows have stages scaled apart: more than the rule makes of one depth and one width multiplier.

    A surrogate that saw none knows nothing of single stages, though rounding makes them look as if they were varied.
    """
    network = _network(table)
    return int((~uniform_in(table.frame, network, network.rule)).sum())


def _network(table: Table) -> BaseNetwork:
    return replace(base_named(table.base), resolution=table.resolution)


def _exact(table: Table) -> IntArray | None:
    """The `(n, 3 + 2 s)` integers that rows give or their rules make, if those of every row cost exactly its MACs."""
    network, frame = _network(table), table.frame
    few = frame.iloc[:: -(-len(frame) // _FEW)]
    if _costing(few, network, table.classes) is None:
        return None
    return _costing(frame, network, table.classes)


def _costing(frame: pd.DataFrame, network: BaseNetwork, classes: int) -> IntArray | None:
    found = np.zeros((len(frame), 3 + 2 * len(network.stages)), dtype=np.int64)
    macs = frame["macs"].to_numpy(dtype=np.float64)
    for rules, rows in by_rule(frame, network):
        for rule in rules:
            left = rows[found[rows, 0] == 0]
            known, networks = networks_in(_with_widths(frame.iloc[left], network, rule, classes), network, rule)
            same = macs_of(networks, classes) == macs[left[known]]
            found[left[known[same]]] = networks.take(same).integers()
    return found if found[:, 0].all() else None


def _with_widths(frame: pd.DataFrame, network: BaseNetwork, rule: ScalingRule, classes: int) -> pd.DataFrame:
    """Rows with the width multipliers that their MACs leave at their r and d, where they say none."""
    unknown = frame["w"].isna().to_numpy()
    if not unknown.any():
        return frame
    r, d, macs = (frame.loc[unknown, name].to_numpy(dtype=np.float64) for name in (*MULTIPLIERS, "macs"))
    pixels = np.clip(rule.pixels(network.resolution, r), network.stride, MAX_PIXELS)
    widths = frame["w"].to_numpy(dtype=np.float64, copy=True)
    try:
        # The bisection compares row by row, and so takes a budget for each.
        widths[unknown], _ = width_brackets(network, rule, pixels, d, macs, classes)  # type: ignore[arg-type]
    except InputError:  # no width costs as much
        return frame
    return frame.assign(w=widths)
