"""An answer model as plain JSON types, both ways; its surrogate is stored apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from planner.errors import PlannerError
from planner.surrogates.optimism import Optimism
from planner.surrogates.record import MOST_COLUMNS, MOST_RECORD_ROWS, list_of, numbers_listed
from planner.surrogates.smooth import RIDGE, SmoothCurves
from planner.surrogates.surrogate import Surrogate
from planner.text.documents import number

_LONGEST_DOUBT = 300


def answer_document(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The document of a model of answers.

    Args:
        fields: Attributes of it by their names (`planner.surrogates.answer_model.AnswerModel`).
    """
    curves, optimism = fields["curves"], fields["optimism"]
    return {
        "tried": fields["tried"].tolist(),
        "reached": fields["reached"].tolist(),
        "deviations": fields["deviations"].tolist(),
        "curves": {
            "centre": curves.centre,
            "spread": curves.spread,
            "coefficients": curves.coefficients.T.tolist(),
        },
        "pull": fields["pull"],
        "optimism": {
            "bias": optimism.bias,
            "deviation": optimism.deviation,
            "winners": optimism.winners,
        },
        "doubt": fields["doubt"],
    }


def answer_fields(document: Mapping[str, Any], surrogate: Surrogate) -> dict[str, Any]:
    """The attributes of a document's model of answers by their names, all but the surrogate.

    Raises:
        PlannerError: If it holds impossible values, or does not fit the surrogate.
    """
    columns = len(surrogate.mixture.features.names)
    listed = list_of(document["tried"], "tried", MOST_RECORD_ROWS)
    rows = [numbers_listed(row, "tried", MOST_COLUMNS, columns) for row in listed]
    names = ("reached", "deviations")
    reached, deviations = (numbers_listed(document[name], name, MOST_RECORD_ROWS, len(rows)) for name in names)
    pull = number(document["pull"], "pull")
    if not rows or pull < 0 or deviations.min() < 0:
        raise PlannerError(f"{len(rows)} rows tried and pull {pull:g}; one row, and no negative number, are wanted")
    tried = np.array(rows)
    surrogate.mixture.features.of(tried)  # refuses what it takes no logarithm of
    curves, doubt = _curves_in(document["curves"], surrogate), document["doubt"]
    if not isinstance(doubt, str) or len(doubt) > _LONGEST_DOUBT:
        raise PlannerError(f"doubt must be a text of at most {_LONGEST_DOUBT} characters")
    return {
        "tried": tried,
        "reached": reached,
        "deviations": deviations,
        "curves": curves,
        "pull": pull,
        "optimism": _optimism_in(document["optimism"]),
        "doubt": doubt,
    }


def _curves_in(document: Mapping[str, Any], surrogate: Surrogate) -> SmoothCurves:
    centre, spread = (number(document[name], name) for name in ("centre", "spread"))
    listed = list_of(document["coefficients"], "coefficients", MOST_COLUMNS)
    features = surrogate.mixture.features
    inputs = sum(column < len(features.names) - 1 for column in features.kept)
    if spread <= 0 or len(listed) not in (0, inputs):
        raise PlannerError(f"curves are {len(listed)} of spread {spread:g}; {inputs} of a positive one are wanted")
    columns = [numbers_listed(each, "coefficients", len(RIDGE), len(RIDGE)) for each in listed]
    return SmoothCurves(centre, spread, np.array(columns).reshape(len(columns), len(RIDGE)).T)


def _optimism_in(document: Mapping[str, Any]) -> Optimism:
    bias, deviation = (number(document[name], name) for name in ("bias", "deviation"))
    winners = document["winners"]
    if min(bias, deviation) < 0 or type(winners) is not int or winners < 0:
        raise PlannerError("optimism holds a negative number, or winners that are no whole number")
    return Optimism(bias, deviation, winners)
