"""Which dimension matters at one budget: accuracy over r, d and w of trainings at equal MACs (TinyNet's Figure 2)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from planner.errors import PlannerError
from planner.formulas.selection import select
from planner.front import pareto
from planner.tables.table import Table, TrainingRows
from planner.text.documents import write_figure
from planner.text.quantities import format_count
from sampler.architecture import FloatArray
from sampler.designs import TARGET_TOLERANCE
from trainer.score import ACCURACY, Score

DIMENSIONS = {"r": "resolution r", "d": "depth d", "w": "width w"}
_ORIGIN = "target"  # of the networks that `planner sample --method target` draws
_FEWEST = 8  # trainings: of fewer, a rank correlation is mostly chance


@dataclass(frozen=True, eq=False)
class EqualMacs:
    """Trainings that cost about the same.

    Attributes:
        macs: MACs that they cost, to 3 %.
        multipliers: `(n,)` r, d and w of each, by name.
        observed: `(n,)` accuracies.
        expected: `(n,)` what a surrogate makes of them; None where there are too few trainings for one.
        score: Number that they are judged by; accuracies are its merits.
    """

    macs: float
    multipliers: dict[str, FloatArray]
    observed: FloatArray
    expected: FloatArray | None
    score: Score = ACCURACY

    @property
    def spearman(self) -> dict[str, float | None]:
        """Rank correlation of the score that was observed with each multiplier; None where one does not vary."""
        observed = self.score.merit(self.observed)
        found = {name: pareto.spearman(values, observed) for name, values in self.multipliers.items()}
        return {name: None if math.isnan(value) else value for name, value in found.items()}

    def as_dict(self) -> dict[str, Any]:
        """In JSON's types."""
        return {"macs": self.macs, "trainings": len(self.observed), "spearman": self.spearman}


def at_equal_macs(table: TrainingRows, macs: float | None = None) -> EqualMacs:
    """The trainings of a table at one budget.

    Args:
        table: The trainings.
        macs: The budget; by default that of the networks drawn at equal MACs, where there is one.

    Raises:
        PlannerError: If widths are not known, no budget is, or too few trainings are near it.
    """
    if not isinstance(table, Table) or table.frame["w"].isna().any():
        raise PlannerError(
            "--dimensions draws over r, d and w: give trainings whose integers, or r, d and w, are known"
        )
    budget = _drawn_at(table) if macs is None else macs
    near = np.abs(table.frame["macs"].to_numpy(dtype=np.float64) / budget - 1) <= TARGET_TOLERANCE
    if near.sum() < _FEWEST:
        raise PlannerError(
            f"{near.sum()} trainings cost {format_count(budget)} MACs within {TARGET_TOLERANCE:.0%}, and {_FEWEST} are "
            "wanted to compare dimensions; queue some by `planner sample --method target --flops "
            f"{format_count(budget)} --trials {_FEWEST}` and train them, or give another --flops"
        )
    rows, selection = table.frame[near], select(table, pareto.FRONT_SHARE, 0)
    return EqualMacs(
        budget,
        {name: rows[name].to_numpy(dtype=np.float64) for name in DIMENSIONS},
        rows["accuracy"].to_numpy(dtype=np.float64),
        None if selection.why else selection.accuracy[near],
        table.score,
    )


def _drawn_at(table: Table) -> float:
    """The one budget of the networks that were drawn at equal MACs."""
    frame = table.frame
    drawn = frame[frame["origin"] == _ORIGIN]["macs"] if "origin" in frame else frame["macs"][:0]
    if drawn.empty:
        raise PlannerError(
            "no training was drawn at equal MACs; say at which to compare dimensions, such as --flops 3M, or draw some "
            "by `planner sample --method target --flops 3M --trials 20`"
        )
    if drawn.max() > drawn.min() * (1 + TARGET_TOLERANCE) / (1 - TARGET_TOLERANCE):
        ends = f"{format_count(drawn.min())} to {format_count(drawn.max())}"
        raise PlannerError(f"trainings were drawn at several budgets, {ends} MACs; say which, such as --flops 3M")
    return math.sqrt(float(drawn.min()) * float(drawn.max()))


def plot_dimensions(path: Path, found: EqualMacs) -> None:
    """Draws a panel for each dimension into a file; its suffix says the format."""
    from matplotlib.figure import Figure  # without pyplot: no window system, no state

    figure = Figure(figsize=(10.5, 3.9), dpi=120, layout="constrained")
    panels = figure.subplots(1, len(DIMENSIONS), sharey=True)
    for axes, (name, label) in zip(panels, DIMENSIONS.items(), strict=True):
        x, rank = found.multipliers[name], found.spearman[name]
        if found.expected is not None:
            both = found.score.drawn(np.array([found.observed, found.expected]))
            axes.plot([x, x], both, color="tab:gray", linewidth=0.7, alpha=0.5)
            axes.plot(x, both[1], "o", mfc="none", color="tab:blue", label="expected by the surrogate")
        axes.plot(x, found.score.drawn(found.observed), ".", color="black", label="observed")
        axes.set_title(f"Spearman {'-' if rank is None else f'{rank:+.2f}'}", fontsize=10)
        axes.set_xlabel(label)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel(f"{found.score.title}{found.score.axis}")
    panels[0].legend(fontsize=8)
    figure.suptitle(f"{len(found.observed)} trainings at {format_count(found.macs)} MACs", fontsize=11)
    write_figure(figure, path)
