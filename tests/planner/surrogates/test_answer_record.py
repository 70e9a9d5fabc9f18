"""The record of a model of answers: read back the same, and every damage refused."""

import json

import pytest

from planner import PlannerError
from planner.surrogates.answer_model import AnswerModel


def test_a_model_survives_json_and_what_is_damaged_is_refused(model, pool, matrix_of):
    matrix = matrix_of(pool)
    document = json.loads(json.dumps(model.as_dict(), allow_nan=False))
    again = AnswerModel.from_dict(document, model.surrogate)
    assert again.scores(matrix).tolist() == model.scores(matrix).tolist()
    assert [part.tolist() for part in again.expected(matrix)] == [part.tolist() for part in model.expected(matrix)]
    assert again.doubt == model.doubt and again.as_dict() == document
    for damage in (
        {"pull": -1.0},
        {"pull": "1"},
        {"reached": document["reached"][1:]},
        {"deviations": [-1.0] * len(document["deviations"])},
        {"tried": []},
        {"tried": [row[1:] for row in document["tried"]]},
        {"curves": {**document["curves"], "spread": 0.0}},
        {"curves": {**document["curves"], "coefficients": [[0.0, 0.0, 0.0]]}},
        {"optimism": {**document["optimism"], "bias": -0.1}},
        {"optimism": {**document["optimism"], "winners": 1.5}},
        {"doubt": 3},
    ):
        with pytest.raises(PlannerError):
            AnswerModel.from_dict(document | damage, model.surrogate)
