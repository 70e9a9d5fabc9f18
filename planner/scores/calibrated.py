"""What a table of cheap scores beside a long training's says: how each ranks, what it costs, which one to take."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from planner.errors import PlannerError
from planner.scores.audit import Audit, audit
from planner.scores.bootstrap import Trust
from planner.scores.calibrate import OF_SECONDS
from planner.scores.choice import ScoreChoice, choose_score
from planner.scores.ranks import FEWEST_RANKED

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Calibrated:
    """How cheap scores rank what a long training ranks.

    Attributes:
        target: Column of the long training.
        audit: Findings of each score, and of MACs and parameters.
        choice: The score to take.
        seconds: Seconds of each score, and of the long training, on the rows that were compared.
        left_out: Scores that too few rows have, each with how many do.
    """

    target: str
    audit: Audit
    choice: ScoreChoice
    seconds: dict[str, float]
    left_out: dict[str, int]

    @property
    def ranked(self) -> list[Trust]:
        """Findings of the scores and baselines, the highest Spearman first."""
        return sorted(self.audit.scores, key=lambda one: -_or_last(one.measures["spearman"].value))

    def as_dict(self) -> dict[str, Any]:
        """Everything in JSON's types."""
        whole = self.seconds[self.target]
        scores = []
        for one in self.ranked:
            facts: dict[str, Any] = {"name": one.name, "baseline": one.baseline, "worth_using": one.worth_using}
            facts |= {name: asdict(one.measures[name]) for name in ("spearman", "kendall", "equal_macs", "beyond")}
            if one.name in self.seconds:
                spent = self.seconds[one.name]
                facts |= {"seconds": spent, "share_of_target": spent / whole if whole else None}
                facts["best_in"] = self.choice.best_in.get(one.name)
                if (behind := self.choice.behind.get(one.name)) is not None:
                    facts["behind"] = asdict(behind)
            scores.append(facts)
        return {
            **{name: getattr(self.choice, name) for name in ("best", "chosen", "winner")},
            "target": self.target,
            "target_seconds": whole,
            "rows": self.audit.rows,
            "rows_left_out": self.audit.left_out,
            "scores_left_out": self.left_out,
            "scores": scores,
        }


def _or_last(value: float | None) -> float:
    return -np.inf if value is None else value


def judge(frame: pd.DataFrame, name: str, resamples: int = 1000, seed: int = 0) -> Calibrated:
    """Judges the scores of a table as `planner.scores.calibrate.calibrate` gives it.

    Args:
        frame: A row per architecture. Each score is followed by a column of its name and `OF_SECONDS`; the first one
            is the target.
        name: Name of the table in messages.
        resamples: Number of resamples of the bootstrap.
        seed: Random seed of the bootstrap.

    Raises:
        PlannerError: If it has no two scores, a cell is no number, or too few rows have a target.
    """
    columns = [str(one) for one in frame]
    pairs = [one for one in columns if one + OF_SECONDS in columns]
    if len(pairs) < 2:
        raise PlannerError(f"{name}: no table of `planner calibrate`: it lacks a target and a score, each with seconds")
    target, *names = pairs
    frame = frame.reset_index(drop=True)
    there = {one: int((frame[one].notna() & frame[target].notna()).sum()) for one in names}
    left_out = {one: n for one, n in there.items() if n < FEWEST_RANKED}
    names = [one for one in names if one not in left_out]
    if not names:
        few = ", ".join(f"{one} {n}" for one, n in left_out.items())
        raise PlannerError(f"{name}: too few rows with a target and a score ({few}); {FEWEST_RANKED} are wanted")
    found = audit(frame, names, target, resamples=resamples, seed=seed)
    kept = frame.loc[found.frame.index]
    seconds = {one: float(kept[one + OF_SECONDS].astype(float).sum()) for one in (target, *names)}
    return Calibrated(
        target, found, choose_score(found.frame, names, target, seconds, resamples, seed), seconds, left_out
    )
