"""The formula file: there and back, and every damage refused in one line that names the file."""

import copy
import json
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planner import Formula, PlannerError
from planner.formulas.codec import dumps, loads
from planner.rules import compound
from sampler import InputError


@pytest.fixture(scope="module")
def tinynet(published):
    """A formula of the other kind, with another base resolution and number of classes."""
    from planner.formulas.fit import fit

    return fit(published, "tinynet").at(96, 10)


@pytest.fixture(params=["shipped", "tinynet", "compound"])
def formula(request):
    """Formulas of every kind."""
    return compound("efficientnet_b0") if request.param == "compound" else request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def document(shipped):
    """The parsed document of the shipped formula."""
    return json.loads(dumps(shipped))


@pytest.fixture
def refusal(tmp_path):
    """A function: the one line with which bytes are refused as a formula file."""

    def refused(content):
        path = tmp_path / "mine.json"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(PlannerError) as error:
            Formula.load(path)
        message = str(error.value)
        assert "\n" not in message
        assert message.startswith(f"{path}: ")
        return message.removeprefix(f"{path}: ")

    return refused


@pytest.fixture
def damaged(document, refusal):
    """A function: the one line with which the document is refused after one place of it was changed."""

    def with_change(place, value):
        changed = copy.deepcopy(document)
        inner = changed
        for key in place[:-1]:
            inner = inner[key]
        if value is DELETED:
            del inner[place[-1]]
        else:
            inner[place[-1]] = value
        return refusal(json.dumps(changed))

    return with_change


DELETED = object()
R = ("branches", "shrink", "r")


def test_a_formula_survives_the_text(formula):
    assert dumps(loads(dumps(formula))) == dumps(formula)


def test_a_formula_survives_the_file_and_still_predicts_the_same(formula, tmp_path):
    formula.save(tmp_path / "f.json")
    again = Formula.load(tmp_path / "f.json")
    assert (tmp_path / "f.json").read_text() == dumps(formula)
    budget = math.sqrt(math.prod(formula.macs_range))
    assert again.predict(budget).as_dict() == formula.predict(budget).as_dict()


def test_the_text_is_json_with_sorted_keys_and_says_what_it_counts(shipped):
    text = dumps(shipped)
    document = json.loads(text)
    assert list(document) == sorted(document)
    assert document["schema"] == "planner-formula/1"
    assert "multiply-accumulates" in document["counting"]
    assert not {"NaN", "Infinity"} & set(text.split())


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_not_written(shipped, bad):
    from dataclasses import replace

    with pytest.raises(ValueError, match="not JSON compliant"):
        dumps(replace(shipped, errors={"shrink_r": bad}))


@pytest.mark.parametrize("bad", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
@pytest.mark.parametrize("place", ["alpha", "front", "errors", "provenance"])
def test_a_value_that_is_not_finite_is_not_read_wherever_it_sits(document, refusal, bad, place):
    changed = copy.deepcopy(document)
    if place == "alpha":
        changed["branches"]["shrink"]["r"]["alpha"][0] = "HERE"
    elif place == "front":
        changed["front"][0]["w"] = "HERE"
    else:
        changed[place]["new"] = "HERE"
    assert "not a formula file" in refusal(json.dumps(changed).replace('"HERE"', bad))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(shipped, refusal, share):
    text = dumps(shipped)
    assert refusal(text[: int(share * len(text))]).startswith("not a formula file")


@pytest.mark.parametrize(
    ("text", "found"),
    [("{}", "None"), ("[]", "list"), ("3", "int"), ("null", "NoneType"), ('{"schema": "planner-formula/2"}', "2'")],
)
def test_another_schema_is_refused_by_name(refusal, text, found):
    message = refusal(text)
    assert found in message and "is unknown, 'planner-formula/1' is read; fit the formula again" in message


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("kind",), "cubic", "kind 'cubic' is unknown; known: loglinear, tinynet, compound"),
        (("kind",), None, "kind None is unknown"),
        (("base", "name"), "resnet51", "base network 'resnet51' is unknown to this version"),
        (("base", "network", "stem"), 31, "its table of efficientnet_b0 is not this version's"),
        (("base", "network", "resolution"), 224.5, "resolution is 224.5; a positive whole number is wanted"),
        (("base", "network", "resolution"), True, "resolution is True; a positive whole number is wanted"),
        (("base", "network", "resolution"), 16, "is below efficientnet_b0's stride of 32"),
        (("base", "macs"), 385_814_753, "macs of efficientnet_b0 is 385814753; this version counts 385814752"),
        (("base", "macs"), -1, "macs is -1; a positive whole number is wanted"),
        (("classes",), "many", "classes is 'many'; a positive whole number is wanted"),
        (("classes",), 10**400, "classes must be between 1 and 131072"),
        (("branches",), {}, "shrink, enlarge or both are wanted"),
        (("branches", "sideways"), 1, "branches are ['enlarge', 'shrink', 'sideways']"),
        (("branches",), ["shrink"], "damaged formula (TypeError"),
        (("branches", "shrink", "rule", "name"), "mine", "scaling rule 'mine' of shrink is not this version's"),
        (("branches", "shrink", "rule", "divisor"), 4, "of shrink is not this version's"),
        (("branches", "shrink", "c_range"), [2, 1], "c_range of shrink is 2 to 1; rising positive numbers are wanted"),
        (
            ("branches", "shrink", "c_range"),
            [-1, 1],
            "c_range of shrink is -1 to 1; rising positive numbers are wanted",
        ),
        (("branches", "shrink", "c_range"), [1], "damaged formula (ValueError"),
        ((*R, "kernel"), "matern", "kernel 'matern' of r of shrink is unknown; known: rbf"),
        ((*R, "input_scale"), "sqrt", "input_scale 'sqrt' of r of shrink is unknown; known: identity, log"),
        ((*R, "length_scale"), -1, "r of shrink holds a negative variance or length scale"),
        ((*R, "length_scale"), 0, "r of shrink holds a negative variance or length scale"),
        ((*R, "noise_variance"), -1e-9, "r of shrink holds a negative variance or length scale"),
        ((*R, "slope"), "0.2", "slope of r of shrink is '0.2'; a finite number is wanted"),
        ((*R, "slope"), True, "slope of r of shrink is True; a finite number is wanted"),
        ((*R, "slope"), 10**400, "damaged formula (OverflowError"),
        ((*R, "alpha"), [1.0], "r of shrink holds arrays of shapes"),
        ((*R, "alpha"), [None] * 6, "r of shrink holds"),
        ((*R, "inputs"), "5", "r of shrink holds arrays of shapes"),
        ((*R, "inputs"), [], "r of shrink holds arrays of shapes"),
        ((*R, "inputs"), [0.0] * 1001, "r of shrink holds 1001 points, more than 1000"),
        ((*R, "precision"), [[1.0]], "r of shrink holds arrays of shapes"),
        ((*R, "precision", 0), [1.0], "damaged formula (ValueError"),
        (("accuracy", "kernel"), "matern", "kernel 'matern' of accuracy is unknown"),
        (("front",), 3, "damaged formula (TypeError"),
        (("errors",), [], "damaged formula (AttributeError"),
        (("errors", "shrink_r"), None, "shrink_r is None; a finite number is wanted"),
        (("provenance",), None, "damaged formula (TypeError"),
        (("base",), DELETED, "damaged formula (KeyError: 'base')"),
        ((*R, "alpha"), DELETED, "damaged formula (KeyError: 'alpha')"),
        (("accuracy",), DELETED, "damaged formula (KeyError: 'accuracy')"),
    ],
)
def test_one_damaged_place_is_refused_by_name_with_what_to_do(damaged, place, value, words):
    message = damaged(place, value)
    assert words in message
    assert message.endswith("; write it again with `planner fit --out`")


def test_a_precision_matrix_written_as_one_row_is_refused(document, damaged):
    flat = [sum(document["branches"]["shrink"]["r"]["precision"], [])]
    assert "holds arrays of shapes" in damaged((*R, "precision"), flat)


def test_a_huge_file_is_refused_unread(tmp_path):
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.truncate(20_000_000_000)  # sparse: nothing is written
    with pytest.raises(PlannerError, match="huge.json: larger than 16,000,000 bytes, so no formula"):
        Formula.load(path)


def test_a_missing_file_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(PlannerError, match="none.json: No such file or directory; give a formula written by"):
        Formula.load(tmp_path / "none.json")


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(PlannerError, match="Is a directory; give a formula written by `planner fit --out`"):
        Formula.load(tmp_path)


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n\x00\xff", b"\x80\x04\x95", bytes(range(256))])
def test_a_binary_file_is_refused(refusal, content):
    assert refusal(content) == "not text; give a formula written by `planner fit --out`"


@pytest.mark.parametrize("depth", [50, 70, 500, 900, 940, 960, 980, 1000, 100_000])
@pytest.mark.parametrize("place", ["HERE", '{"schema": HERE}', '{"schema": "planner-formula/1", "base": HERE}', "kind"])
def test_deep_nesting_is_refused(document, refusal, place, depth):
    nested = "[" * depth + "]" * depth
    text = json.dumps({**document, "kind": "HERE"}).replace('"HERE"', "HERE") if place == "kind" else place
    refusal(text.replace("HERE", nested))


def test_a_number_of_too_many_digits_is_refused(refusal, document):
    assert "not a formula file" in refusal(json.dumps(document).replace("385814752", "9" * 5000))


def places(value, path=()):
    """Every place in a parsed document, from the outside in; two of a list, or numbers would outweigh the rest."""
    inner = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, one in inner:
        yield (*path, key)
        yield from places(one, (*path, key))


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 10**400, 1e308, -1e308, 5e-324, "", "rbf", "log", "shrink", [], {}, [[]], "a\nb"]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.lists(st.one_of(st.none(), st.integers(), st.floats(allow_nan=False, allow_infinity=False)), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@settings(
    max_examples=250, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)  # the fixture is never changed, and a run in a checkout leaves no files behind
@given(data=st.data())
def test_any_damage_is_refused_or_harmless(document, data):
    changed = copy.deepcopy(document)
    for _ in range(data.draw(st.integers(1, 2))):
        place = data.draw(st.sampled_from(list(places(changed)) or [("schema",)]))
        inner = changed
        for key in place[:-1]:
            inner = inner[key]
        if data.draw(st.booleans()):
            inner[place[-1]] = data.draw(LEAVES)
        elif isinstance(inner, dict):
            inner.pop(place[-1], None)
        else:
            del inner[place[-1]]
    try:
        formula = loads(json.dumps(changed), "mine.json")
    except PlannerError as error:
        assert str(error).startswith("mine.json: ") and "\n" not in str(error)
        return
    dumps(formula)  # what was read can be written
    try:
        with np.errstate(all="ignore"):  # a damaged curve may overflow; infinity is then refused as a multiplier
            json.dumps(formula.predict(200e6, extrapolate=True).as_dict(), allow_nan=False)
    except InputError as error:
        assert "\n" not in str(error)
