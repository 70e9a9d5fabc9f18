"""What is known of the networks of a task after some trainings, and how an answer is chosen by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.deferred import pd
from planner.surrogates.rows import numbers_in
from planner.surrogates.surrogate import Surrogate
from sampler.architecture import FloatArray


@dataclass(frozen=True, eq=False)
class AnswerModel:
    """What is known of a task's networks, and how an answer is chosen by it.

    Attributes:
        surrogate: Surrogate over the inputs and the cost; its columns are `surrogate.inputs`, then the cost.
        tried: `(t, k + 1)` rows that were trained.
        reached: `(t,)` what each is worth by its own result.
        doubt: Why the surrogate knows too little to choose by it; "" where it may.
    """

    surrogate: Surrogate
    tried: FloatArray
    reached: FloatArray
    doubt: str = ""

    def scores(self, matrix: FloatArray, cautious: bool = False) -> FloatArray:
        """`(n,)` what an answer maximises, of `(n, k + 1)` rows; trained ones count as reached."""
        mean, std = self.surrogate.posterior_of(matrix[:, :-1], matrix[:, -1])
        scores = mean - std * cautious
        known = {row.tobytes(): value for row, value in zip(self.tried, self.reached, strict=True)}
        own = [(place, known[key]) for place, row in enumerate(matrix) if (key := row.tobytes()) in known]
        for place, value in own:
            scores[place] = value
        return np.asarray(scores, dtype=np.float64)

    def expected(self, matrix: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """`(n,)` means, lower and upper ends of the 90 % intervals of a training, at answers."""
        return self.surrogate.intervals_of(matrix[:, :-1], matrix[:, -1])

    def in_range(self, matrix: FloatArray) -> NDArray[np.bool_]:
        """`(n,)` whether rows lie within the range of those that were trained."""
        return self.surrogate.in_range_of(matrix[:, :-1], matrix[:, -1])

    def as_dict(self) -> dict[str, Any]:
        """All but the surrogate, in JSON's types."""
        return {"tried": self.tried.tolist(), "reached": self.reached.tolist(), "doubt": self.doubt}

    @classmethod
    def from_dict(cls, document: dict[str, Any], surrogate: Surrogate) -> AnswerModel:
        """The model of a document and its surrogate."""
        arrays = (np.array(document[name], dtype=np.float64) for name in ("tried", "reached"))
        return cls(surrogate, *arrays, document["doubt"])


def answer_model(
    table: pd.DataFrame,
    inputs: Sequence[str],
    target: str = "accuracy",
    cost: str = "macs",
    noise_variance: float | FloatArray | None = None,
    seed: int = 0,
    surrogate: Surrogate | None = None,
) -> AnswerModel:
    """The model of a table of trainings; `surrogate` is one that was fitted to it before."""
    from planner.surrogates.fit import fit_surrogate

    surrogate = surrogate or fit_surrogate(table, inputs, target, cost, noise_variance, seed)
    names = [*surrogate.inputs, surrogate.cost or cost]
    tried = np.column_stack([numbers_in(table, name) for name in names])
    return AnswerModel(surrogate, tried, surrogate.reached(1.0))
