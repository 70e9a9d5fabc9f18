"""The architectures that a study trains before anything is known, by method."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from planner.errors import PlannerError
from sampler import Architectures, InputError, SearchSpace, random_design, rule_named, sobol_design, stratified_design
from sampler.architecture import concatenate
from sampler.uniform import uniform_rows

Design = Callable[..., Architectures]  # of a space, by the names n, seed and seen
DESIGNS: dict[str, Design] = {
    "stratified": stratified_design,
    "random": random_design,
    "sobol": sobol_design,
}
# Of the stratified design of a new uniform study: so many scale stages apart, so that what single stages do can be
# learned (from a fifth on it is believed, and uniform proposals come on top).
APART = 0.25
SURPLUS = 4  # times as many are drawn as are wanted of those


def draw_design(
    space: SearchSpace,
    n: int,
    method: str,
    seed: int,
    *,
    apart: float = 0.0,
    before: int = 0,
    seen: Architectures | None = None,
) -> Architectures:
    """The next architectures of a design.

    Args:
        space: The search space.
        n: Architectures wanted; all distinct.
        method: A name of `DESIGNS`.
        seed: Same seed, same architectures.
        apart: Share of a uniform space's stratified design that scales every stage on its own, within the same bounds
            of d and w; other methods are what their names say.
        before: Architectures drawn before: the share is that of all.
        seen: Architectures not to be drawn again.

    Raises:
        PlannerError: If the method is unknown.
        InputError: If the space holds too few.
    """
    if method not in DESIGNS:
        raise PlannerError(f"method {method!r} is unknown; known methods: {', '.join(DESIGNS)}")
    number = _of(apart, before + n) - _of(apart, before) if method == "stratified" and _can_vary(space) else 0
    parts = [DESIGNS[method](space, n - number, seed, seen=seen)] if n > number else []
    if not number:
        return parts[0]
    parts.append(_apart(space, number, seed, [*([] if seen is None else [seen]), *parts]))
    # Shuffled, so that a study stopped early has some of both.
    return concatenate(parts).take(np.random.default_rng(seed).permutation(n))


def _apart(space: SearchSpace, n: int, seed: int, known: list[Architectures]) -> Architectures:
    """`n` of a design of stages: those that did not come out as uniform scaling would, as alike stages often do.

    Where budgets leave too few of them, uniform ones take their places.
    """
    seen = concatenate(known) if known else None
    try:
        design = stratified_design(replace(space, kind="stage"), SURPLUS * n, seed, seen=seen)
    except InputError:
        return stratified_design(space, n, seed, seen=seen)
    uniform = uniform_rows(space.network, rule_named(space.rule), design)
    return design.take(np.argsort(uniform, kind="stable")[:n])


def _of(share: float, n: int) -> int:
    """The fewest of n that are at least a share of them."""
    return math.ceil(share * n - 1e-9)


def _can_vary(space: SearchSpace) -> bool:
    """Whether stages that are scaled apart are anything else than uniform ones."""
    held = space.d[0] == space.d[1] and space.w[0] == space.w[1]
    return space.kind == "uniform" and len(space.network.stages) > 1 and not held
