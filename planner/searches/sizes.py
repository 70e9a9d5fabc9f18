"""Step 1 of RBIS: the resolutions at which networks are grown (section 4.1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from planner.errors import PlannerError
from planner.latency.staircase import staircase
from sampler import Architecture, rule_named, stack
from sampler import base as base_named
from sampler.architecture import Architectures, FloatArray, IntArray
from sampler.moves import just_before_jumps
from sampler.scaling import own_steps

# Of `n` architectures, `(n,)`: MACs, or milliseconds.
Cost = Callable[[Architectures], FloatArray | IntArray]
MOST_SIZES = 8  # candidates where no jump chooses them


_PIXELS = 4  # pixels of the thesis' grid


def sizes_above(
    start: Architecture, highest: int, cost: Cost | None = None, most: int = 4, neighbours: bool = False
) -> list[int]:
    """Resolutions just before a jump of the cost, from the start's own upwards: the thesis' grid.

    Args:
        start: The network to grow, whose resolution the grid begins at (at the next multiple of 4 pixels).
        highest: Last size of the grid at most, in pixels.
        cost: Cost that jumps; None for the exact MACs.
        most: How many are taken, from the smallest; their neighbours are not counted.
        neighbours: Whether the sizes beside them on the grid are candidates, too.

    Raises:
        InputError: If none lies there.

    Example:
        >>> from sampler import base
        >>> sizes_above(base("efficientnet_b0").architecture(), 314)
        [240, 256, 272, 288]
    """
    lowest = -(-start.resolution // _PIXELS) * _PIXELS
    return resolutions(start, lowest, highest, cost, _PIXELS, neighbours, most)


def resolutions(
    start: Architecture,
    lowest: int,
    highest: int,
    cost: Cost | None = None,
    step: int = _PIXELS,
    neighbours: bool = False,
    most: int | None = None,
) -> list[int]:
    """Step 1: resolutions just before a jump of the cost, strictly between two.

    Args:
        start: The network that is swept.
        lowest: First size of the grid, in pixels.
        highest: Last size of the grid at most.
        cost: Cost that jumps, such as `LatencyModel.of`; None for the exact MACs of the base network, which need no
            sweep.
        step: Pixels between the grid's sizes.
        neighbours: Whether the sizes beside them on the grid are candidates, too.
        most: How many jumps are taken, from the smallest; None for all.

    Where the network has steps of its own, the grid has no finer ones, and without a cost its sizes are candidates, 8
    of them at most.

    Raises:
        InputError: If the range is empty or impossible, or holds no jump.

    Example:
        >>> from sampler import base
        >>> resolutions(base("efficientnet_b0").architecture(), 224, 304)
        [240, 256, 272, 288]
    """
    if step < 1 or lowest + step >= highest:
        raise PlannerError(f"no size lies between {lowest} and {highest} px by steps of {step}; widen the range")
    network = base_named(start.base)
    own = rule_named(network.rule).step  # of a network that has steps of its own; else 1
    step, lowest = -(-step // own) * own, max(-(-lowest // own) * own, network.stride if own > 1 else 1)
    grid = list(range(lowest, highest + 1, step))
    if cost is None and own_steps(network):  # nobody knows its strides: every step may be a jump
        inner = grid[1:-1]
        found = [inner[i] for i in sorted({i * len(inner) // MOST_SIZES for i in range(MOST_SIZES)})] if inner else []
    elif cost is None:
        jumps = just_before_jumps(base_named(start.base), lowest, highest)
        before = {lowest + (int(jump) - lowest) // step * step for jump in jumps}
        found = [size for size in grid[1:-1] if size in before]
    else:
        found = list(staircase(grid, cost(stack([replace(start, resolution=size) for size in grid]))).candidates)
    if not found:
        raise PlannerError(f"the cost of {start.base} has no jump between {lowest} and {highest} px; name resolutions")
    found = found[:most]
    beside = {size + sign * step for size in found for sign in (-1, 0, 1)} if neighbours else set(found)
    return [size for size in grid if size in beside]
