"""Damaged formula files that pass every check of their form: each is refused in one line, or answers as it should."""

import copy
import json
import random

import pytest

from planner import PlannerError
from planner.answers.formula import Formula
from planner.answers.predict import answer_for
from planner.commands.predict_show import show_answer
from planner.formulas.budgets import prediction_within
from planner.formulas.codec import read_formula, signed
from planner.text.shipped import reference_formula, shipped_formula
from sampler import exact_limit

VALUES = (None, True, 0, -1, 10**30, 1e-300, 1e300, -0.5, "x", "", [], {}, [0], {"a": 1}, "resnet18")
NEW_KEYS = ("x", "prior", "stages", "enlarge", "ranges", "trial")
TRIES = 30


def places(value, at=()):
    """Every place inside a document."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in members:
        yield (*at, key)
        yield from places(inner, (*at, key))


def damaged(document, rng):
    """A copy with one place dropped, replaced, made longer or shorter; its digest is that of the damaged text."""
    changed = copy.deepcopy(document)
    part = rng.choice(sorted(changed))
    *outer, key = rng.choice([one for one in places(changed) if one[0] == part])
    inner = changed
    for step in outer:
        inner = inner[step]
    value, how = inner[key], rng.randrange(6)
    if how == 0:
        del inner[key]
    elif how == 1 and isinstance(value, int | float):
        inner[key] = value * rng.choice([-1, 0, 2, 1e6, 1e-6, 1.0001])
    elif how == 2 and isinstance(value, list) and value:
        inner[key] = value[: rng.randrange(len(value))]
    elif how == 3 and isinstance(inner, list):
        inner.append(copy.deepcopy(value))
    elif how == 4 and isinstance(inner, dict):
        inner[rng.choice(NEW_KEYS)] = copy.deepcopy(value)
    else:
        inner[key] = rng.choice(VALUES)
    return changed


def used(formula):
    """Everything that `planner predict`, a notebook and a report do with a formula of the middle of its range."""
    low, high = formula.macs_range
    found = formula.predict((low * high) ** 0.5)
    answer = answer_for(formula, (low * high) ** 0.5)[0]
    json.dumps(answer.as_dict(), allow_nan=False)
    show_answer(answer, "a file")
    assert answer._repr_html_() and repr(answer)
    assert formula._repr_html_() and found._repr_html_() and repr(formula) and repr(found)
    prediction_within(formula, None, [exact_limit("params", 3e6)])


def read_and_used(document):
    """The line with which a document is refused, wherever; None where it answers."""
    try:
        used(read_formula(json.dumps(signed(document)), Formula, "f.json"))
    except PlannerError as error:
        assert "\n" not in str(error)
        return str(error)
    return None


@pytest.fixture(scope="module", params=["published", "reference"])
def document(request):
    text = shipped_formula("efficientnet_b0") if request.param == "published" else reference_formula("efficientnet_b0")
    return json.loads(text)


def test_random_damage_is_refused_in_one_line_or_answers(document):
    told = [read_and_used(damaged(document, random.Random(seed))) for seed in range(TRIES)]
    assert None in told and sum(one is not None for one in told) > TRIES // 4


@pytest.mark.slow
def test_more_random_damage_is_refused_in_one_line_or_answers(document):
    for seed in range(TRIES, 25 * TRIES):
        read_and_used(damaged(document, random.Random(seed)))


def test_an_accuracy_that_is_no_share_is_refused(document):
    told = read_and_used({**document, "accuracy": {**document["accuracy"], "offset": 1e3}})
    assert told is not None and "accuracy gives an error of " in told


@pytest.mark.parametrize("name", ["c", "r", "d", "macs", "accuracy"])
def test_a_point_of_the_front_without_what_its_readers_need_is_refused_by_its_place(document, name):
    del document["front"][3][name]
    try:
        assert read_and_used(document).startswith(f"f.json: front[3].{name} is missing")
    finally:
        document["front"][3][name] = document["front"][2][name]


@pytest.mark.parametrize(
    ("ranges", "words"),
    [
        ([1, 2], r"provenance.ranges is [1, 2]; the two ends of columns"),
        ({"width_1": 3}, "provenance.ranges.width_1 is 3; two rising positive numbers"),
        ({"width_1": [16, 8]}, "provenance.ranges.width_1 is [16, 8]; two rising positive numbers"),
        ({"width_1": [8, "x"]}, "provenance.ranges.width_1 is 'x'; a finite number is wanted"),
        ({"width_1": [8, 1e300]}, "provenance.ranges.width_1 ends at 1e+300; at most 1e+06"),
    ],
)
def test_ranges_of_columns_that_are_none_are_refused(document, ranges, words):
    told = read_and_used({**document, "provenance": {**document["provenance"], "ranges": ranges}})
    assert told is not None and words in told


def test_a_surrogate_that_reads_what_no_architecture_has_is_refused_by_name():
    document = json.loads(reference_formula("efficientnet_b0"))
    document["surrogate"]["inputs"][0] = "weather"
    told = read_and_used(document)
    assert told is not None and "the surrogate reads weather, which an architecture alone does not have" in told
