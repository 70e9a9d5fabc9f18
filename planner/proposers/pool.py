"""Pools: the distinct architectures of a space among which proposals are chosen.

Costs are exact, so a pool holds integers that can be built and that cost what is allowed, and nothing else. A uniform
space is enumerated where it is small enough. A stage space has 10^15 architectures and more: its pool is what uniform
scaling gives, the front's neighbours by one move and by two, and draws whose stages are alike to a random degree.
Where there are more than asked for, they are thinned to equal counts in every bin of log MACs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from planner.errors import PlannerError
from sampler import Architectures, SearchSpace
from sampler.architecture import FloatArray, IntArray, concatenate
from sampler.complexity import count
from sampler.moves import Grid, neighbours, stage_columns
from sampler.uniform import UniformGrid

if TYPE_CHECKING:
    import pandas as pd

SIZE = 20_000
_LARGEST = 1_000_000
# Products of a resolution, a depth and a width that are looked at: so many for each one wanted, within bounds.
_LOOKED_AT, FEWEST_LOOKED_AT, MOST_LOOKED_AT = 50, 1_000_000, 20_000_000
_CHUNK = 65_536
BINS = 20
# Shares of a stage pool.
UNIFORM_SHARE, NEIGHBOUR_SHARE = 0.25, 0.25
# Rounds of `_CHUNK` draws after which a stage space counts as exhausted: at least so many, or so many for each wanted.
FEWEST_ROUNDS, DRAWS_EACH = 8, 20


def make_pool(
    space: SearchSpace,
    n: int = SIZE,
    seed: int = 0,
    tried: Architectures | None = None,
    front: Architectures | None = None,
) -> Architectures:
    """Distinct architectures inside a space's window of MACs and limits, none of them tried.

    Args:
        space: The space; its `kind` decides how the pool is made.
        n: Architectures wanted; fewer come back where the space holds fewer.
        seed: Same seed, same pool.
        tried: Architectures that are left out: finished, running or waiting.
        front: Architectures whose neighbours belong to the pool of a stage space.

    Returns:
        The architectures, in no particular order.

    Raises:
        PlannerError: If `n` is impossible, or nothing is left to try.
    """
    if not 1 <= n <= _LARGEST:
        raise PlannerError(f"a pool of {n} architectures; between 1 and {_LARGEST:,} are possible")
    rng = np.random.default_rng(seed)
    parts = [_thinned(space, _uniform(space, n, rng, tried), n, rng)]
    if space.kind == "stage":
        parts = [_thinned(space, parts[0], max(1, int(UNIFORM_SHARE * n)), rng)]
        if front is not None and len(front):
            near = _untried(_around(space, front, rng, n), tried, *parts)
            parts.append(_thinned(space, near, max(1, int(NEIGHBOUR_SHARE * n)), rng))
        wanted = n - sum(len(part) for part in parts)
        parts.append(_thinned(space, _drawn(space, wanted, rng, tried, parts), wanted, rng))
    pool = concatenate(parts)
    if not len(pool):
        raise PlannerError(
            "no architecture inside the window of MACs and the budgets is left to try; "
            "widen them, or make another study with wider bounds"
        )
    return pool


def architectures_frame(architectures: Architectures, space: SearchSpace) -> pd.DataFrame:
    """Architectures as a table: the columns of a study's trials that are known before training.

    Args:
        architectures: `n` of the space's base network.
        space: Says what c and r are measured against, and the classes.

    Returns:
        `n` rows: base, base_resolution, classes, resolution, stem, width_1.., depth_1.., head, c, r, d, w, costs, and
        the knobs that the architectures say.
    """
    import pandas as pd

    cost = count(architectures, space.classes)
    stages = architectures.widths.shape[1]
    return pd.DataFrame(
        {
            "base": architectures.base,
            "base_resolution": space.resolution,
            "classes": space.classes,
            "resolution": architectures.resolution,
            "stem": architectures.stem,
            **dict(zip(stage_columns("width", stages), architectures.widths.T, strict=True)),
            **dict(zip(stage_columns("depth", stages), architectures.depths.T, strict=True)),
            "head": architectures.head,
            "c": cost.macs / space.base_macs,
            **{name: architectures.multipliers[:, i] for i, name in enumerate("rdw")},
            "macs": cost.macs,
            "params": cost.params,
            "activations": cost.activations,
            "memory": cost.memory,
            **knob_columns(architectures),
        }
    )


def knob_columns(architectures: Architectures) -> dict[str, IntArray]:
    """`(n,)` values of the knobs that architectures say, by column."""
    return {
        column: values[:, i]
        for name, values in sorted(architectures.knobs.items())
        for i, column in enumerate(stage_columns(name, values.shape[1]))
    }


def _uniform(space: SearchSpace, n: int, rng: np.random.Generator, tried: Architectures | None) -> Architectures:
    """What one d and one w for all stages give: all of it, or as many random ones as hold enough."""
    grid = UniformGrid.of(space)
    looked_at = min(max(_LOOKED_AT * n, FEWEST_LOOKED_AT), MOST_LOOKED_AT)
    if grid.size <= looked_at:
        return _untried(concatenate(list(_feasible(space, grid, np.arange(grid.size)))), tried)
    found: list[Architectures] = []
    codes = np.sort(rng.integers(grid.size, size=looked_at))
    codes = codes[np.r_[True, codes[1:] > codes[:-1]]]
    for part in _feasible(space, grid, rng.permutation(codes)):
        found.append(part)
        if sum(len(one) for one in found) >= 3 * n:  # enough to thin to equal bins
            break
    return _untried(concatenate(found), tried)


def _feasible(space: SearchSpace, grid: UniformGrid, codes: IntArray) -> Iterator[Architectures]:
    """The architectures of numbers in a grid, those that are allowed, by chunks."""
    for start in range(0, len(codes), _CHUNK):
        batch = grid.take(codes[start : start + _CHUNK])
        yield batch.take(space.inside(batch)[0])


def _around(space: SearchSpace, front: Architectures, rng: np.random.Generator, n: int) -> Architectures:
    """The front's neighbours: by single moves, and by pairs of which one pays for the other."""
    grid, found = Grid.of(space), []
    for one in range(len(front)):
        alone = front.take([one])
        singles, pairs = neighbours(alone, grid), neighbours(alone, grid, pairs=True)
        share = min(len(pairs), max(1, n // len(front)))
        found += [singles, pairs.take(np.sort(rng.choice(len(pairs), share, replace=False)))]
    together = concatenate(found)
    return together.take(space.inside(together)[0])


def _drawn(
    space: SearchSpace, n: int, rng: np.random.Generator, tried: Architectures | None, others: Sequence[Architectures]
) -> Architectures:
    """Draws of a stage space, new ones only; three times as many as wanted, so that bins can be made equal."""
    known = np.sort(np.concatenate([_keys(part) for part in (*([] if tried is None else [tried]), *others)]))
    found, total = list[Architectures](), 0
    for _ in range(max(FEWEST_ROUNDS, DRAWS_EACH * n // _CHUNK)):
        batch = space.decode(_alike(rng, _CHUNK, space))
        batch = batch.take(space.inside(batch)[0])
        keys = _keys(batch)
        new = _first_new(keys, known)
        found.append(batch.take(new))
        known, total = np.sort(np.concatenate([known, keys[new]]), kind="stable"), total + len(new)
        if total >= 3 * n:
            break
    return concatenate(found)


def _alike(rng: np.random.Generator, k: int, space: SearchSpace) -> FloatArray:
    """`(k, dimensions)` points whose stages lie around a common depth and width, near or far.

    Stages drawn independently are never all small, and so would leave the cheap end of the window empty.
    """
    stages = len(space.network.stages)
    centre = np.repeat(rng.random((k, 2)) ** rng.choice([1.0, 3.0], (k, 1)), stages, axis=1)
    far = rng.random((k, 1)) ** 2
    drawn = rng.random((k, space.dimensions))
    sizes = slice(1, 1 + 2 * stages)
    drawn[:, sizes] = centre + far * (drawn[:, sizes] - centre)
    return drawn


def _untried(architectures: Architectures, *others: Architectures | None) -> Architectures:
    """Those that are in none of the others, each once."""
    known = [_keys(one) for one in others if one is not None and len(one)]
    nothing = np.empty(0, dtype=np.int64)
    return architectures.take(_first_new(_keys(architectures), np.sort(np.concatenate([nothing, *known]))))


def _first_new(keys: IntArray, known: IntArray) -> IntArray:
    """Numbers of the first of all equal keys that are not among sorted known ones, ascending."""
    # By sorting: numpy's own unique and isin hash integers, which took ten times as long.
    order = np.argsort(keys, kind="stable")
    ranked = keys[order]
    new = np.r_[True, ranked[1:] > ranked[:-1]] if len(keys) else np.empty(0, dtype=bool)
    if len(known):
        new &= known[np.minimum(np.searchsorted(known, ranked), len(known) - 1)] != ranked
    return np.sort(order[new])


def _keys(architectures: Architectures) -> IntArray:
    """`(n,)` numbers that are equal where the architectures are, and otherwise with a probability of 2^-64.

    Rows are too slow to sort by the million. Should two share a number after all, the pool lacks one of them.
    """
    rows = architectures.integers()
    weights = np.random.default_rng(0).integers(np.iinfo(np.int64).min, np.iinfo(np.int64).max, rows.shape[1])
    with np.errstate(over="ignore"):
        keys: IntArray = rows @ (weights | 1)
    return keys


def _thinned(space: SearchSpace, architectures: Architectures, n: int, rng: np.random.Generator) -> Architectures:
    """At most `n` of them, with equal counts in every bin of log MACs as far as the bins hold them."""
    if len(architectures) <= n:
        return architectures
    order = rng.permutation(len(architectures))
    macs = count(architectures, space.classes).macs[order]
    which = np.searchsorted(np.geomspace(*space.macs_window, BINS + 1)[1:-1], macs)
    # The place of each within its bin: the n smallest places fill all bins evenly.
    sorted_by_bin = np.argsort(which, kind="stable")
    first = np.searchsorted(which[sorted_by_bin], np.arange(BINS))
    place = np.empty(len(order), dtype=np.int64)
    place[sorted_by_bin] = np.arange(len(order)) - first[which[sorted_by_bin]]
    return architectures.take(np.sort(order[np.argsort(place, kind="stable")[:n]]))
