"""Whether the MACs that a table says are those its networks cost.

The count of every row whose integers or multipliers are known is exact here, so millions given for MACs, FLOPs that are
twice the MACs, and networks of another base, resolution or number of classes show. Other counters differ by some per
cent (they count norms, activations, pooling), which is told and taken; what no counter explains is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from planner.errors import PlannerError
from planner.tables.cells import TableSource
from planner.text.quantities import format_count
from sampler import BaseNetwork, ScalingRule, rule_named
from sampler.architecture import MAX_BLOCKS, MAX_CHANNELS, MAX_PIXELS, Architectures, FloatArray, IntArray
from sampler.complexity import count
from sampler.errors import InputError
from sampler.families.residual import has_layers
from sampler.knobs import knobs_among, with_own_knobs
from sampler.moves import stage_columns
from sampler.scaling import buildable, rules_of, scale

if TYPE_CHECKING:
    import pandas as pd

_SILENT = 1.03  # a table's rounding
# A table's median ratio to the exact counts beyond which no counter explains it. What counts norms, activations and
# poolings too says up to `PER_OUTPUT` more for each output of a layer (thop 4 for a norm); nothing says much less.
_MOST, _LEAST, PER_OUTPUT = 1.15, 0.87, 6
_APART = 1.5  # how far a row may lie from the table's median
FAR_BELOW = 5  # so many times less than the least is a unit, not another network
LEAST_WIDTH = 1e-3  # a multiplier that makes every stage as narrow as its rule lets it be
_FACTORS: tuple[tuple[float, str], ...] = (
    (2.0, "FLOPs given as 2 x MACs? halve them"),
    (1e-3, "MACs in thousands? multiply them by 1e3"),
    (1e-6, "MACs in millions? multiply them by 1e6, or write 300M"),
    (1e-9, "MACs in billions? multiply them by 1e9, or write 0.3G"),
    (2e-3, "FLOPs in thousands, 2 x MACs? multiply them by 500"),
    (2e-6, "FLOPs in millions, 2 x MACs? multiply them by 5e5"),
    (2e-9, "FLOPs in billions, 2 x MACs? multiply them by 5e8"),
    (0.5, "MACs halved twice? double them"),
    (1e3, "a thousand times too many? divide them by 1e3"),
    (1e6, "a million times too many? divide them by 1e6"),
)
_ALIKE = 1.2  # a factor counts as found within this


@dataclass(frozen=True)
class Costs:
    """Exact MACs of the rows that say what they are.

    Attributes:
        macs: `(n,)` exact; NaN where a row does not say.
        most: `(n,)` most MACs that another counter may say of such a network.
    """

    macs: FloatArray
    most: FloatArray


def check_costs(frame: pd.DataFrame, network: BaseNetwork, classes: int, source: TableSource) -> str | None:
    """Refuses a table whose MACs are not those of its networks; says where they differ a little, and else nothing.

    Args:
        frame: Rows with numeric columns, as `planner.tables.table` describes them; the index counts the table's rows
            from 0.
        network: The base network, at the resolution that r multiplies.
        classes: Outputs of the classifier.
        source: Where the table comes from.

    Raises:
        PlannerError: Naming the first row, what it would cost, and the likely reason.
    """
    costs = exact_costs(frame, network, classes)
    ratio = frame["macs"].to_numpy(dtype=np.float64) / costs.macs
    known = np.isfinite(ratio)
    if not known.all():
        _check_narrowest(frame[~known], network, classes, source)
    if not known.any():
        return None
    middle = float(np.median(ratio[known]))
    most = max(_MOST, float(np.median((costs.most / costs.macs)[known])))
    if _LEAST <= middle <= most:
        far = known & (np.abs(np.log(ratio / middle)) > np.log(_APART))
    else:
        far = known & (np.abs(np.log(ratio)) > abs(np.log(middle)) / 2)
    if far.any():
        usual = far & (np.abs(np.log(ratio / np.median(ratio[far]))) < np.log(_ALIKE))  # of the commonest reason
        place = int(np.flatnonzero(usual if usual.any() else far)[0])
        raise PlannerError(
            f"{source.name}: macs are not what the networks cost in {far.sum()} of {known.sum()} rows; "
            f"{_row(frame, place, costs, source)}: {_reason(float(ratio[place]), network, classes)}"
        )
    if 1 / _SILENT <= middle <= _SILENT:
        return None
    place = int(np.nanargmin(np.abs(ratio - middle)))
    return (
        f"macs are {middle - 1:+.1%} off {network.name}'s exact counts ({known.sum()} rows; "
        f"{_row(frame, place, costs, source)}); counted otherwise, or another base, resolution or classes?"
    )


def exact_costs(frame: pd.DataFrame, network: BaseNetwork, classes: int) -> Costs:
    """The exact MACs of the rows whose integers, or whose r (or resolution), d and w are known."""
    costs = np.full((len(frame), 2), np.nan)
    for rules, rows in by_rule(frame, network):
        costs[rows] = _best([_costs(frame.iloc[rows], network, rule, classes) for rule in rules], frame, rows)
    if has_layers(network) and "origin" in frame:  # a study's own may have a width per layer, which no column says
        costs[frame["origin"].notna().to_numpy(dtype=bool)] = np.nan
    return Costs(costs[:, 0], costs[:, 0] + PER_OUTPUT * costs[:, 1])


def by_rule(frame: pd.DataFrame, network: BaseNetwork) -> list[tuple[list[ScalingRule], IntArray]]:
    """The rules that may have made rows, and these rows' places: one rule where they name it, and else all."""
    names = frame["rule"].fillna("").astype(str).to_numpy() if "rule" in frame else np.full(len(frame), "")
    known = rules_of(network)
    every = [known[network.rule], *known.values()]
    return [([known[name]] if name in known else every, np.flatnonzero(names == name)) for name in np.unique(names)]


def _best(counted: list[FloatArray], frame: pd.DataFrame, rows: IntArray) -> FloatArray:
    """Of the counts by several rules, row by row the one nearest to the factor by which the table differs from all.

    That factor is of the rule from whose counts the rows differ most alike; a table may hold several rules' networks.
    """
    if len(counted) == 1:
        return counted[0]
    every, said = np.stack(counted), frame["macs"].to_numpy(dtype=np.float64)[rows]
    apart = np.log(said) - np.log(every[:, :, 0])
    known = np.isfinite(apart).all(axis=0)
    if not known.any():
        return counted[0]
    middles = np.median(apart[:, known], axis=1)
    spreads = np.median(np.abs(apart[:, known] - middles[:, None]), axis=1)
    middle = middles[int(np.argmin(np.round(spreads, 6)))]
    nearest = np.argmin(np.where(np.isfinite(apart), np.abs(apart - middle), np.inf), axis=0)
    chosen: FloatArray = every[nearest, np.arange(len(rows))]
    return chosen


def _columns(frame: pd.DataFrame, names: Sequence[str]) -> FloatArray:
    """`(n, k)` numbers of columns; NaN for those that are not there."""
    empty = np.full(len(frame), np.nan)
    return np.column_stack(
        [
            frame[name].astype("Float64").to_numpy(dtype=np.float64, na_value=np.nan) if name in frame else empty
            for name in names
        ]
    )


def _costs(frame: pd.DataFrame, network: BaseNetwork, rule: ScalingRule, classes: int) -> FloatArray:
    """`(n, 2)` exact MACs and activations of rows, NaN where they are not known."""
    costs = np.full((len(frame), 2), np.nan)
    known, networks = networks_in(frame, network, rule)
    costs[known] = _counted(networks, classes)
    return costs


def networks_in(frame: pd.DataFrame, network: BaseNetwork, rule: ScalingRule) -> tuple[IntArray, Architectures]:
    """Which rows say what their networks are, by their places, and these; some may be none that can be counted.

    Integers that are not given are what the rule makes of r, d and w.
    """
    given = _given(frame, network)
    multipliers = _multipliers(frame, network, given)
    known = np.flatnonzero(np.isfinite(multipliers).all(axis=1) & _possible(multipliers, network))
    given, (r, d, w) = given[known], multipliers[known].T
    pixels = np.where(np.isfinite(given[:, 0]), given[:, 0], rule.pixels(network.resolution, r)).astype(np.int64)
    scaled = scale(network, rule, pixels, d, w)
    made = np.column_stack([pixels, scaled.stem, scaled.head, scaled.widths, scaled.depths])
    whole = np.where(np.isfinite(given), given, made).astype(np.int64)
    stages, head = len(network.stages), whole[:, 2] if network.head else np.zeros_like(pixels)
    widths, depths = buildable(network, whole[:, 3 : 3 + stages]), whole[:, 3 + stages :]
    large = pixels >= network.stride  # smaller ones are none that could be built
    networks = Architectures(network.name, pixels, whole[:, 1], widths, depths, head)
    return known[large], _with_knobs(networks, frame.iloc[known], network).take(large)


def _with_knobs(networks: Architectures, frame: pd.DataFrame, network: BaseNetwork) -> Architectures:
    """The networks with the knobs that rows say; in rows that say none of one it follows its rule."""
    sizes = knobs_among(network, frame.columns)
    if not sizes:
        return networks
    told, knobs = with_own_knobs(network, networks, list(sizes)), {}
    for name, size in sizes.items():
        given = _columns(frame, stage_columns(name, size))
        knobs[name] = np.where(np.isfinite(given), given, told.knobs[name]).astype(np.int64)
    return replace(networks, knobs=knobs)


def macs_of(networks: Architectures, classes: int) -> FloatArray:
    """`(n,)` exact MACs; NaN for networks that cannot be built."""
    return _counted(networks, classes)[:, 0]


def _counted(networks: Architectures, classes: int) -> FloatArray:
    """`(n, 2)` MACs and activations; NaN for those that could not be built, as where squeeze-excite gets no channel."""
    if not len(networks):
        return np.empty((0, 2))
    try:
        counted = count(networks, classes)
        return np.column_stack([counted.macs, counted.activations]).astype(np.float64)
    except InputError:
        if len(networks) == 1:
            return np.full((1, 2), np.nan)
    half = len(networks) // 2
    return np.concatenate([_counted(networks.take(slice(*ends)), classes) for ends in ((None, half), (half, None))])


def _given(frame: pd.DataFrame, network: BaseNetwork) -> FloatArray:
    """`(n, 3 + 2 s)` resolution, stem, head, widths, depths; NaN where not given, or not for all stages."""
    stages = len(network.stages)
    names = ("resolution", "stem", "head", *stage_columns("width", stages), *stage_columns("depth", stages))
    given = _columns(frame, names)
    for part in (slice(3, 3 + stages), slice(3 + stages, None)):
        given[~np.isfinite(given[:, part]).all(axis=1), part] = np.nan
    return given


def _multipliers(frame: pd.DataFrame, network: BaseNetwork, given: FloatArray) -> FloatArray:
    """`(n, 3)` r, d, w; where the integers are given instead, what they amount to."""
    stages = len(network.stages)
    widths, depths = given[:, 3 : 3 + stages], given[:, 3 + stages :]
    amount = np.column_stack(
        [
            given[:, 0] / network.resolution,
            depths.sum(axis=1) / sum(network.depths),
            np.exp(np.log(widths / np.array(network.widths)).mean(axis=1)),
        ]
    )
    said = _columns(frame, ["r", "d", "w"])
    return np.where(np.isfinite(said), said, amount)


def _possible(multipliers: FloatArray, network: BaseNetwork) -> np.ndarray:
    """`(n,)` bools: whether a network of these multipliers is within what can be counted."""
    base = np.array([network.resolution, max(network.depths), max(*network.widths, network.stem, network.head)])
    sizes = multipliers * base
    most = np.array([MAX_PIXELS, MAX_BLOCKS, MAX_CHANNELS]) / 2
    within: np.ndarray = np.logical_and((sizes <= most).all(axis=1), sizes[:, 0] >= 1)
    return within


def _check_narrowest(frame: pd.DataFrame, network: BaseNetwork, classes: int, source: TableSource) -> None:
    """Refuses rows of unknown width that say less than any width costs at their resolution and depth, by any rule."""
    widths = stage_columns("width", len(network.stages))
    given = [name for name in frame if name in (*widths, "rule", "stem", "head")]
    narrow = frame.drop(columns=given).assign(w=LEAST_WIDTH)
    said, rule = frame["macs"].to_numpy(dtype=np.float64), rules_of(network).get("free", rule_named(network.rule))
    least = _costs(narrow, network, rule, classes)[:, 0]
    below = said < least
    if not below.any():
        return
    place = int(np.flatnonzero(below)[0])
    row, far_below = source.place(int(frame.index[place])), said[place] < least[place] / FAR_BELOW
    raise PlannerError(
        f"{source.name}: {row} says {format_count(said[place])} MACs, and no width of {network.name} costs less than "
        f"{format_count(least[place])} at its resolution and depth ({below.sum()} of {len(frame)} rows): "
        + ("MACs in thousands, millions or billions? write 300M" if far_below else _another(network, classes))
    )


def _row(frame: pd.DataFrame, place: int, costs: Costs, source: TableSource) -> str:
    said = format_count(float(frame["macs"].iloc[place]))
    return f"{source.place(int(frame.index[place]))} says {said}, it would cost {format_count(costs.macs[place])}"


def _reason(factor: float, network: BaseNetwork, classes: int) -> str:
    """Why a row may say so many times what it would cost."""
    for one, why in _FACTORS:
        if abs(np.log(factor / one)) < np.log(_ALIKE):
            return why
    return _another(network, classes)


def _another(network: BaseNetwork, classes: int) -> str:
    return (
        f"another base than {network.name}, another base_resolution than {network.resolution}, or other classes than "
        f"{classes}? name the right ones (--base, or columns base, base_resolution, classes)"
    )
