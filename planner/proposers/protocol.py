"""What a proposer is: observed rows and a pool in, row labels out.

A proposer of your own is a function, or an object that can be called, and is known by a name once it is registered:

    @register_proposer("cheapest")
    def cheapest(observed, pool, n, task):
        return list(pool[task.cost].nsmallest(n).index)

`planner propose --method cheapest` then queues what it chooses. An installed package offers one as an entry point of
the group `scaling_planner.proposers`. `planner.proposers.conformance.check_proposer` tells whether it keeps the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from sampler.architecture import FloatArray

if TYPE_CHECKING:
    import pandas as pd

GainPer = Literal["trial", "second"]
Alike = Callable[[FloatArray], FloatArray]
# Of a column `status`: not finished, so that the result is still to come; everything but `ok` beside it has failed.
PENDING = ("queued", "running", "waiting")


@dataclass(frozen=True, eq=False)
class ProposalTask:
    """The columns that count, and what else is known beside the tables.

    Attributes:
        inputs: Numeric columns that say what a row is.
        target: Column of what is measured, to be made large.
        cost: Column of what a row costs: positive, known exactly, to be made small.
        seed: Random seed of the choice: same seed, same rows.
        noise_variance: Variance of the target between repeated measurements of one row; None where nobody knows. Or the
            name of a column of the observed rows: some are known less well than others, such as trainings that were
            stopped.
        noise_share: Share of the variation that the inputs do not explain that is noise of measuring; None for the
            proposer's own.
        limits: Largest values of columns of the pool; rows beyond any of them are not chosen. A study's pool has none
            of these.
        per: Whether gain per `trial` or per `second` of training is wanted.
        fidelity: Values that count of some of the inputs, where rows were or could be measured more cheaply too.
        budgets: Costs for which answers are wanted, instead of the whole front; None for the front.
        alike: Function of `(n, k + 1)` numbers, the inputs and the cost, that gives rows to be believed instead where
            too little of the kind was tried; None where everything was.
        ranges: Lowest and highest value and the step of whole-number columns, in the order of a trial's parameters;
            empty where nobody says.
        others: Rows tried otherwise than the observed ones (fine-tunes, other epochs), in their columns; their targets
            do not compare. None for none.
    """

    inputs: Sequence[str]
    target: str = "accuracy"
    cost: str = "macs"
    seed: int = 0
    noise_variance: float | str | None = None
    noise_share: float | None = None
    limits: Mapping[str, float] | None = None
    per: GainPer = "trial"
    fidelity: Mapping[str, float] | None = None
    budgets: Sequence[float | str] | None = None
    alike: Alike | None = None
    ranges: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    others: pd.DataFrame | None = None


class Proposer(Protocol):
    """Chooses rows of a pool to measure next.

    It may have attributes, which a plain function lacks:

        from_nothing: True where it also chooses before a study's initial design is trained.
        extrapolates: True where it believes a surrogate of single stages, so that the first such proposals are few.
        about(name, task): A sentence that says what it chose by.
    """

    def __call__(self, observed: pd.DataFrame, pool: pd.DataFrame, n: int, task: ProposalTask) -> Sequence[Any]:
        """The rows to measure next.

        Args:
            observed: Rows that were tried: the columns of `task.inputs`, the cost and the target; and `status`: `ok`
                for a result, `running`, `waiting` or `queued` for one to come, anything else for a failure, whose
                target is missing. None at all, or failures alone, in the worst case.
            pool: Rows that could be measured, all different, none of them tried; the columns of `task.inputs` and the
                cost. Neither table may be changed.
            n: Number of rows wanted, at least 1.
            task: The columns that count, and what else is known.

        Returns:
            Labels of `min(n, m)` different rows of the `m` in the pool's index, the best first.
        """
