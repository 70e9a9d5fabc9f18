"""An answer model as plain JSON types, both ways; its surrogate is stored apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from planner.errors import PlannerError
from planner.surrogates.answer_model import AnswerModel
from planner.surrogates.optimism import Optimism
from planner.surrogates.record import MOST_COLUMNS, MOST_ROWS, list_of, numbers_of
from planner.surrogates.smooth import RIDGE, SmoothCurves
from planner.surrogates.surrogate import Surrogate
from planner.text.documents import number

LONGEST_DOUBT = 300


def written(model: AnswerModel) -> dict[str, Any]:
    """The document of a model."""
    return {
        "tried": model.tried.tolist(),
        "reached": model.reached.tolist(),
        "deviations": model.deviations.tolist(),
        "curves": {
            "centre": model.curves.centre,
            "spread": model.curves.spread,
            "coefficients": model.curves.coefficients.T.tolist(),
        },
        "pull": model.pull,
        "optimism": {
            "bias": model.optimism.bias,
            "deviation": model.optimism.deviation,
            "winners": model.optimism.winners,
        },
        "doubt": model.doubt,
    }


def read(document: Mapping[str, Any], surrogate: Surrogate) -> AnswerModel:
    """The model of a document.

    Raises:
        PlannerError: If it holds impossible values, or does not fit the surrogate.
    """
    columns = len(surrogate.mixture.features.names)
    rows = [numbers_of(row, "tried", MOST_COLUMNS, columns) for row in list_of(document["tried"], "tried", MOST_ROWS)]
    reached, deviations = (numbers_of(document[name], name, MOST_ROWS, len(rows)) for name in ("reached", "deviations"))
    pull = number(document["pull"], "pull")
    if not rows or pull < 0 or deviations.min() < 0:
        raise PlannerError(f"{len(rows)} rows tried and pull {pull:g}; one row, and no negative number, are wanted")
    tried = np.array(rows)
    surrogate.mixture.features.of(tried)  # refuses what it takes no logarithm of
    curves, doubt = _curves_in(document["curves"], surrogate), document["doubt"]
    if not isinstance(doubt, str) or len(doubt) > LONGEST_DOUBT:
        raise PlannerError(f"doubt must be a text of at most {LONGEST_DOUBT} characters")
    return AnswerModel(surrogate, tried, reached, deviations, curves, pull, _optimism_in(document["optimism"]), doubt)


def _curves_in(document: Mapping[str, Any], surrogate: Surrogate) -> SmoothCurves:
    centre, spread = (number(document[name], name) for name in ("centre", "spread"))
    listed = list_of(document["coefficients"], "coefficients", MOST_COLUMNS)
    features = surrogate.mixture.features
    inputs = sum(column < len(features.names) - 1 for column in features.kept)
    if spread <= 0 or len(listed) not in (0, inputs):
        raise PlannerError(f"curves are {len(listed)} of spread {spread:g}; {inputs} of a positive one are wanted")
    columns = [numbers_of(one, "coefficients", len(RIDGE), len(RIDGE)) for one in listed]
    return SmoothCurves(centre, spread, np.array(columns).reshape(len(columns), len(RIDGE)).T)


def _optimism_in(document: Mapping[str, Any]) -> Optimism:
    bias, deviation = (number(document[name], name) for name in ("bias", "deviation"))
    winners = document["winners"]
    if min(bias, deviation) < 0 or type(winners) is not int or winners < 0:
        raise PlannerError("optimism holds a negative number, or winners that are no whole number")
    return Optimism(bias, deviation, winners)
