"""Stages scaled apart: how many trainings tried that, and what is believed of such networks where too few did.

A surrogate of uniformly scaled networks extrapolates a line through roundings in as many directions as there are
stages. Until a share of the trainings scaled stages apart, a network that does is expected to be worth what the
uniform one of the same pixels, blocks and mean width is worth, give or take what was thought possible beforehand
(`planner.proposers.bayes.doubted`), and few are proposed at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from planner.formulas.stages import VARIED, architectures_of, uniform_in
from sampler import rule_named
from sampler.architecture import FloatArray
from sampler.moves import column_names, stage_columns
from sampler.uniform import uniform_rows

if TYPE_CHECKING:
    import pandas as pd

    from sampler import SearchSpace

# Proposals at once while so few trainings scaled stages apart: then what they reached is learned first.
FIRST_BATCH = 3


@dataclass(frozen=True)
class Varied:
    """How many trainings scaled their stages apart, of all."""

    number: int
    rows: int

    @classmethod
    def of(cls, trained: pd.DataFrame, space: SearchSpace) -> Varied:
        """Counts them among finished trainings."""
        apart = ~uniform_in(trained, space.network, space.rule) if len(trained) else np.zeros(0, dtype=bool)
        return cls(int(apart.sum()), len(trained))

    @property
    def enough(self) -> bool:
        """Whether what a surrogate says of stages apart rests on enough of them."""
        return self.number >= VARIED * self.rows

    def batch(self, n: int) -> int:
        """How many may be proposed at once."""
        return n if self.enough else min(n, FIRST_BATCH)

    def words(self, n: int) -> str:
        """Why fewer than `n` are."""
        return (
            f"{self.number} of {self.rows} trainings scaled stages apart, less than a fifth: {self.batch(n)} instead "
            f"of {n} are queued; train them, then propose again"
        )


@dataclass(frozen=True)
class Uniform:
    """Of rows of a table those that are like them with stages scaled alike; real-valued, at the same cost.

    Attributes:
        space: Space of the base network and the rule.
        names: Names of the columns of the rows.
        held: Values of the integers that are none of the columns, because they are the same everywhere.
    """

    space: SearchSpace
    names: Sequence[str]
    held: Mapping[str, float]

    def __call__(self, matrix: FloatArray) -> FloatArray:
        """`(n, k)` rows, those that are uniform already as they are."""
        import pandas as pd

        network, stages = self.space.network, len(self.space.network.stages)
        frame = pd.DataFrame({name: np.full(len(matrix), value) for name, value in self.held.items()})
        frame[list(self.names)] = matrix
        architectures = architectures_of(frame, network, rule_named(self.space.rule))
        assert architectures is not None  # pools hold integers
        apart = ~uniform_rows(network, rule_named(self.space.rule), architectures)
        d, w = architectures.multipliers[:, 1], architectures.multipliers[:, 2]
        alike = {name: own * w for name, own in zip(stage_columns("width", stages), network.widths, strict=True)}
        alike |= {name: own * d for name, own in zip(stage_columns("depth", stages), network.depths, strict=True)}
        alike |= {"stem": network.stem * w, "head": network.head * w}
        like = matrix.copy()
        for column, name in enumerate(self.names):
            if name in alike:
                like[apart, column] = alike[name][apart]
        return like


def uniform_where_untried(
    trained: pd.DataFrame, pool: pd.DataFrame, space: SearchSpace, names: Sequence[str]
) -> Uniform | None:
    """What is believed of a pool's networks instead, where too few trainings scaled stages apart; None elsewhere.

    Args:
        trained: Finished trainings.
        pool: Networks that could be trained, in the same columns.
        space: Their base network, its resolution and the rule.
        names: Columns that a surrogate reads, the cost last.
    """
    if Varied.of(trained, space).enough or uniform_in(pool, space.network, space.rule).all():
        return None
    integers = column_names(len(space.network.stages))
    return Uniform(space, list(names), {name: float(pool[name].iloc[0]) for name in integers if name not in names})
