"""The networks that a formula's trainings were of, and the best of them within a budget."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from planner.errors import PlannerError
from planner.formulas.formula import FormulaCurves
from sampler import Architecture, Limit, stack
from sampler.architecture import MAX_CHANNELS, Architectures
from sampler.complexity import count
from sampler.knobs import knobs_among
from sampler.limits import within
from sampler.moves import column_names, from_rows
from trainer.score import ACCURACY, Score

NEEDED = {"macs", "c", "r", "accuracy"}  # of a point
INTEGERS = {"resolution", "stem", "widths", "depths", "head"}  # of a point whose network the file describes


@dataclass(frozen=True)
class TrainedNetwork:
    """A network that was trained, and what it reached.

    Attributes:
        macs: Exact MACs.
        reached: Accuracy that its own result is worth, shrunk by its measured noise; None where no model says.
        accuracy: Measured accuracy, or merit of another score; None where the formula's file does not list it.
        trial: Number or name of the trial; None where the file does not say.
        architecture: Integers of the network; None where the file lists none.
        score: Number that it is judged by.
    """

    macs: int
    reached: float | None = None
    accuracy: float | None = None
    trial: int | str | None = None
    architecture: Architecture | None = None
    score: Score = ACCURACY

    @property
    def name(self) -> str:
        """What to call it: its trial where known."""
        if self.trial is None:
            return "a training"
        return f"trial {self.trial}" if isinstance(self.trial, int) else self.trial

    @property
    def words(self) -> str:
        """What it reached, as measured or as its own result is worth."""
        if self.accuracy is None:
            assert self.reached is not None
            return f"{self.score.text(self.reached)} by its own result"
        return f"{self.score.text(self.accuracy)} measured"

    def as_dict(self) -> dict[str, Any]:
        """In JSON's types."""
        parts = {} if self.architecture is None else self.architecture.as_dict()
        reached = {"reached": self.reached, "accuracy": self.accuracy}
        return {"macs": self.macs, **self.score.outward(reached), "trial": self.trial, **parts}


class TrainedNetworks:
    """What a formula knows of the networks that were trained.

    Args:
        formula: Formula whose `answers`, where it has them, hold the integers of every training that varied, whose
            `provenance` the others, and whose points what the best of them measured.

    Attributes:
        networks: `t` networks, in the order of `formula.answers.tried`; None where their integers are not known.
    """

    def __init__(self, formula: FormulaCurves) -> None:
        self.formula = formula
        self.networks = trained_networks(formula)
        # Applied to another resolution or number of classes, a formula is not that of its points any more.
        points = [one for one in formula.non_dominated or formula.front if one.keys() >= NEEDED]
        self.points = [one for one in points if math.isclose(one["macs"], one["c"] * formula.base_macs, rel_tol=1e-6)]
        self._macs = None if self.networks is None else count(self.networks, formula.classes).macs

    def best(self, macs: float, limits: Sequence[Limit] = ()) -> TrainedNetwork | None:
        """The best training that costs no more, or None.

        By what was measured; with limits, for which that is not listed of all, by what each is worth by its own result.
        """
        if not limits:
            kept = [one for one in self.points if one["macs"] <= macs]
            return self._of_point(max(kept, key=lambda one: float(one["accuracy"]))) if kept else None
        if self.networks is None or self._macs is None:
            return None
        kept_rows = np.flatnonzero((self._macs <= macs) & within(self.networks, self.formula.classes, limits))
        if not len(kept_rows):
            return None
        return self._of_row(int(kept_rows[np.argmax(self.formula.answers.reached[kept_rows])]))

    def of(self, one: Architecture) -> TrainedNetwork | None:
        """The training of a network, or None where it was not trained."""
        if self.networks is None:
            return None
        if set(one.knobs) != set(self.networks.knobs):
            return None
        same = np.flatnonzero((self.networks.integers() == stack([one]).integers()).all(axis=1))
        return self._of_row(int(same[0])) if len(same) else None

    def _of_row(self, row: int) -> TrainedNetwork:
        assert self.networks is not None and self._macs is not None
        one, macs = self.networks[row], int(self._macs[row])
        point = next((point for point in self.points if self._same(point, macs, one.resolution)), {})
        reached = float(self.formula.answers.reached[row])
        return TrainedNetwork(macs, reached, point.get("accuracy"), point.get("trial"), one, self.formula.score)

    def _of_point(self, point: Mapping[str, Any]) -> TrainedNetwork:
        if self.networks is not None and self._macs is not None:
            for row in np.flatnonzero(self._macs == point["macs"]):
                if self._same(point, int(self._macs[row]), int(self.networks.resolution[row])):
                    return self._of_row(int(row))
        one = self._described(point)
        accuracy, score = float(point["accuracy"]), self.formula.score
        return TrainedNetwork(int(point["macs"]), None, accuracy, point.get("trial"), one, score)

    def _described(self, point: Mapping[str, Any]) -> Architecture | None:
        """The network of a point that holds its integers."""
        if not point.keys() >= INTEGERS:
            return None
        widths, depths = tuple(point["widths"]), tuple(point["depths"])
        shape = point["resolution"], point["stem"], widths, depths, point["head"]
        return Architecture(self.formula.base, *shape).with_knobs(point.get("knobs", {}))

    def _same(self, point: Mapping[str, Any], macs: int, pixels: int) -> bool:
        """Whether a point is of a network with these MACs and pixels; r is as drawn, pixels are as rounded."""
        return bool(point["macs"] == macs and abs(point["r"] * self.formula.resolution - pixels) < 1)


def trained_networks(formula: FormulaCurves) -> Architectures | None:
    """The networks of the rows that the model of answers was taught; None where a column is not known."""
    model = formula.answers
    if model is None or not len(model.tried):
        return None
    columns = dict(zip(model.surrogate.inputs, model.tried.T, strict=False))
    ranges = formula.provenance.get("ranges", {})
    knobs = knobs_among(formula.network, {*ranges, *columns})
    rows = []
    for name in column_names(len(formula.network.stages), knobs):
        low, high = ranges.get(name, (0.0, -1.0))
        if name in columns:
            rows.append(columns[name])
        elif low == high:  # one that no training varied
            rows.append(np.full(len(model.tried), low))
        else:
            return None
    integers = np.column_stack(rows)
    least = np.ones(integers.shape[1])
    least[[1, 2 + 2 * len(formula.network.stages)]] = min(formula.network.stem, 1), 0  # there may be none of these ends
    if not ((integers >= least).all() and integers.max() <= MAX_CHANNELS):
        raise PlannerError(
            "the trainings that this formula's answers hold are of no networks; write it again: planner fit"
        )
    return from_rows(formula.network, np.rint(integers).astype(np.int64), knobs)
