"""The curves of one direction of a formula, and the range of budgets for which they answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from planner.formulas.protocol import FormulaCurve
from planner.formulas.stages import StageCurves

Direction = Literal["shrink", "enlarge"]
# Points this near c = 1 belong to both directions: TinyNet's window ends at 1.05.
OVERLAP = 1.05
# A budget this little outside the range is a rounding of the range's own end.
_RANGE_SLACK = 0.01


@dataclass(frozen=True, eq=False)
class Branch:
    """The curves of one direction.

    Attributes:
        rule: Scaling rule that makes integers.
        c_range: Smallest and largest c of the trainings that the front was taken of.
        r: Resolution multiplier over c.
        d: Depth multiplier over c.
        stages: Each stage's share of the MACs and its depth over c; None where the table was scaled uniformly.
    """

    rule: str
    c_range: tuple[float, float]
    r: FormulaCurve
    d: FormulaCurve
    stages: StageCurves | None = None


def answered(c_range: tuple[float, float], direction: Direction, branches: int) -> tuple[float, float]:
    """The part of a direction's range of c for which its curves answer; see `FormulaRecord.answered`."""
    low, high = c_range
    if branches == 1:
        return low, high
    return (low, min(high, 1.0)) if direction == "shrink" else (max(low, 1.0), high)


def in_range(c: float, c_range: tuple[float, float]) -> bool:
    """Whether c lies between two values, up to rounding."""
    return c_range[0] * (1 - _RANGE_SLACK) <= c <= c_range[1] * (1 + _RANGE_SLACK)
