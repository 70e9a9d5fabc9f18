"""First designs: the architectures to try before anything is known. Every one is deterministic by seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sampler.architecture import Architectures, FloatArray, IntArray, concatenate
from sampler.checks import checked_whole
from sampler.complexity import count
from sampler.errors import InputError
from sampler.limits import within
from sampler.scaling import rule_named, scale
from sampler.seeds import checked_seed
from sampler.solve import width_brackets
from sampler.space import BATCH, SearchSpace, check_space, stream, too_few

_MOST_BINS = 10_000
TARGET_TOLERANCE = 0.03  # TinyNet section 3.1


def random_design(space: SearchSpace, n: int, seed: int, seen: Architectures | None = None) -> Architectures:
    """TinyNet's design: every factor uniform between its bounds, kept when its MACs lie in the window.

    Args:
        space: The search space.
        n: Architectures wanted; all distinct.
        seed: Same seed, same architectures.
        seen: Architectures not to be drawn again.

    Raises:
        InputError: If the space holds too few.

    Example:
        >>> from sampler import SearchSpace
        >>> len(random_design(SearchSpace("efficientnet_b0", 224, rule="tinynet"), n=5, seed=0))
        5
    """
    check_space(space, seen)
    rng = np.random.default_rng(_checked_count(n, seed))
    return _first(space, lambda k: rng.random((k, space.dimensions)), n, seen)


def sobol_design(space: SearchSpace, n: int, seed: int, seen: Architectures | None = None) -> Architectures:
    """A scrambled Sobol sequence over the factors, kept when its MACs lie in the window.

    Arguments and errors as for `random_design`.
    """
    from scipy.stats import qmc  # slow to import, and only this design needs it

    check_space(space, seen)
    engine = qmc.Sobol(space.dimensions, scramble=True, rng=np.random.default_rng(_checked_count(n, seed)))
    return _first(space, engine.random, n, seen)


def stratified_design(
    space: SearchSpace, n: int, seed: int, seen: Architectures | None = None, bins: int | None = None
) -> Architectures:
    """Random architectures with equal counts in every bin of log MACs (differing by one at most).

    Where a bin holds too few distinct architectures, as the smallest may, the nearest other bin takes its places.

    A random design puts few architectures where networks are small; a front needs them everywhere.

    Args:
        space: The search space.
        n: Architectures wanted; all distinct.
        seed: Same seed, same architectures.
        seen: Architectures not to be drawn again.
        bins: Bins over the window; as many as architectures, at most 10, by default.

    Raises:
        InputError: If the space holds too few.
    """
    check_space(space, seen)
    rng = np.random.default_rng(_checked_count(n, seed))
    bins = min(10, n) if bins is None else checked_whole("bins", bins, 1, _MOST_BINS)
    edges = np.geomspace(*space.macs_window, bins + 1)
    quota = np.full(bins, n // bins)
    quota[rng.permutation(bins)[: n % bins]] += 1
    parts = [seen] if seen is not None else []
    exhausted = np.zeros(bins, dtype=bool)
    while quota.any():
        for batch, macs in stream(space, lambda k: _related(rng, k, space), concatenate(parts) if parts else None):
            parts.append(batch.take(_fill(quota, np.clip(np.searchsorted(edges, macs, side="right") - 1, 0, bins - 1))))
            if not quota.any():
                break
        exhausted |= quota > 0
        if exhausted.all():
            raise too_few(space)
        _hand_on(quota, exhausted)
    parts = parts[1:] if seen is not None else parts
    # Shuffled, so that a study stopped early has not trained only what was drawn easily.
    return concatenate(parts).take(rng.permutation(n))


def target_design(
    space: SearchSpace,
    macs: float,
    n: int,
    seed: int,
    tolerance: float = TARGET_TOLERANCE,
    seen: Architectures | None = None,
) -> Architectures:
    """Uniform architectures that all cost about the same: r and d drawn, w solved on the exact count.

    The experiment behind TinyNet's Figure 2: which of r, d, w matters at one budget?

    Args:
        space: A uniform search space.
        macs: The MACs wanted.
        n: Architectures wanted; all distinct.
        seed: Same seed, same architectures.
        tolerance: Largest distance from `macs`, as a share of it.
        seen: Architectures not to be drawn again.

    Raises:
        InputError: If the space is per stage, or holds too few.
    """
    check_space(space, seen)
    if space.knobs:
        raise InputError(
            f"a target design solves one width; knobs follow their rules: leave {', '.join(space.knobs)} out"
        )
    if space.kind != "uniform":
        raise InputError("a target design solves one width for all stages; it needs a uniform space")
    rng = np.random.default_rng(_checked_count(n, seed))
    rule = rule_named(space.rule)
    solved_by_key: dict[bytes, Architectures] = {}
    known = {row.tobytes() for row in seen.integers()} if seen is not None else set()
    for _ in range(40):
        points = rng.random((BATCH // 16, 3))
        drawn = space.decode(points)
        low, high = width_brackets(space.network, rule, drawn.resolution, drawn.multipliers[:, 1], macs, space.classes)
        for w in (low, high):
            inside = np.flatnonzero((w >= space.w[0]) & (w <= space.w[1]))
            solved = scale(space.network, rule, drawn.resolution[inside], drawn.multipliers[inside, 1], w[inside])
            error = np.abs(count(solved, space.classes).macs / macs - 1)
            for row in np.flatnonzero((error <= tolerance) & within(solved, space.classes, space.limits)):
                if (key := solved.integers()[row].tobytes()) not in known:
                    solved_by_key.setdefault(key, solved.take([row]))
        if len(solved_by_key) >= n:
            return concatenate(list(solved_by_key.values())[:n])
    raise InputError(
        f"only {len(solved_by_key)} of {n} distinct architectures cost {macs:,.0f} MACs within {tolerance:.0%}; "
        "widen the bounds of r, d or w"
    )


def _checked_count(n: int, seed: int) -> int:
    """The seed, once the number of architectures is known to make sense."""
    if checked_whole("n", n, -(2**62), 2**62) < 1:
        raise InputError(f"a design has at least one architecture, got {n}")
    return checked_seed(seed)


def _first(space: SearchSpace, draw: Callable[[int], FloatArray], n: int, seen: Architectures | None) -> Architectures:
    """The first `n` distinct architectures inside the window."""
    parts, total = [], 0
    for batch, _ in stream(space, draw, seen):
        parts.append(batch.take(np.arange(min(len(batch), n - total))))
        total += len(parts[-1])
        if total == n:
            return concatenate(parts)
    raise too_few(space)


def _related(rng: np.random.Generator, k: int, space: SearchSpace) -> FloatArray:
    """Points whose stages are alike to a random degree: stages drawn independently are never all small.

    Depths and widths each lie around a common centre, within a random share of the way to independent draws.
    """
    points = rng.random((k, space.dimensions))
    if space.kind == "uniform":
        return points
    stages = len(space.network.stages)
    spread = rng.random((k, 1)) ** 2
    for columns in (slice(1, 1 + stages), slice(1 + stages, 1 + 2 * stages)):
        centre = rng.random((k, 1)) ** rng.choice([1.0, 3.0], (k, 1))  # the small end is the rare one
        points[:, columns] = centre + spread * (points[:, columns] - centre)
    return points


def _hand_on(quota: IntArray, exhausted: NDArray[np.bool_]) -> None:
    """Gives the places left in exhausted bins to the nearest bin that is not."""
    open_bins = np.flatnonzero(~exhausted)
    for full in np.flatnonzero(quota * exhausted):
        quota[open_bins[np.argmin(np.abs(open_bins - full))]] += quota[full]
        quota[full] = 0


def _fill(quota: IntArray, which: IntArray) -> IntArray:
    """Rows taken while their bin has places left; takes the places."""
    rows = []
    for row, place in enumerate(which):
        if quota[place]:
            quota[place] -= 1
            rows.append(row)
    return np.array(rows, dtype=np.int64)
