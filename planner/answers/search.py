"""The best networks of a base network within budgets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from planner.errors import PlannerError
from planner.proposers.pool import _feasible, _levels
from sampler import Architecture, BaseNetwork, Limit, SearchSpace
from sampler.architecture import Architectures, FloatArray, concatenate
from sampler.complexity import base_macs, count
from sampler.limits import within

Score = Callable[[Architectures], FloatArray]


@dataclass(frozen=True)
class FoundNetwork:
    """A network that a search found: its score and its exact MACs; `started` says that it is one of the starts."""

    architecture: Architecture
    score: float
    macs: int
    started: bool = False


def best_networks(
    network: BaseNetwork,
    rule: str,
    classes: int,
    score: Score,
    *,
    macs: float | None,
    limits: Sequence[Limit] = (),
    ranges: Mapping[str, tuple[float, float]],
    starts: Architectures | None = None,
    kind: Literal["uniform", "stage"] = "uniform",
    n: int = 1,
    seed: int = 0,
) -> list[FoundNetwork]:
    """The `n` best distinct networks within the budgets, best first."""
    pixels = ranges.get("resolution", (network.stride, network.resolution))
    one = base_macs(network.name, network.resolution, classes)
    most = 1e3 if macs is None else macs / one
    r = (pixels[0] / network.resolution, pixels[1] / network.resolution)
    space = SearchSpace(network.name, network.resolution, classes, rule, window=(1e-9, most), r=r, w=(0.1, 2.8))
    factors = [_levels(space, column) for column in range(3)]
    pool = concatenate(list(_feasible(space, factors, np.arange(np.prod([len(one) for one in factors])))))
    rows = pool.integers()
    names = ("resolution", *(f"{what}_{i + 1}" for what in ("width", "depth") for i in range(len(network.stages))))
    keep = np.ones(len(pool), dtype=bool)
    for column, name in zip((0, *range(2, rows.shape[1] - 1)), names, strict=True):
        low, high = ranges.get(name, (-np.inf, np.inf))
        keep &= (rows[:, column] >= low) & (rows[:, column] <= high)
    pool = pool.take(keep)
    if starts is not None:
        affordable = starts if macs is None else starts.take(count(starts, classes).macs <= macs)
        pool = concatenate([pool, affordable])
    if limits:
        pool = pool.take(within(pool, classes, limits))
    if not len(pool):
        raise PlannerError("no network keeps to the budget; give more, or take another base network")
    values, costs = score(pool), count(pool, classes).macs
    found: dict[bytes, FoundNetwork] = {}
    for place in np.lexsort((costs, -values)):
        key = pool.integers()[place].tobytes()
        found.setdefault(key, FoundNetwork(pool[int(place)], float(values[place]), int(costs[place])))
        if len(found) == n:
            break
    return list(found.values())
