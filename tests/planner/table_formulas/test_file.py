"""The file of a table's formula: there and back, and what is refused."""

import json
import math

import numpy as np
import pytest

import planner
from planner.formulas.codec import canonical, signed

DIMS = ["depth", "width", "resolution"]


@pytest.fixture(scope="module")
def formula(some):
    return planner.fit_table(some, DIMS, "score", "ms")


@pytest.fixture(scope="module")
def path(formula, tmp_path_factory):
    path = tmp_path_factory.mktemp("file") / "f.json"
    formula.save(path)
    return path


def test_a_file_gives_the_same_answers(formula, path, tmp_path):
    read = planner.TableFormula.load(path)
    costs = np.geomspace(*formula.cost_range, 23)
    assert read.predict(costs) == formula.predict(costs)
    assert read.predict(900.0) == formula.predict([900.0])[0]
    read.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == path.read_text()


def test_anybody_can_evaluate_the_curves(path):
    document = json.loads(path.read_text())
    for vector in document["vectors"]:
        x = math.log(vector["cost"] / document["middle"])
        for name, value in zip(document["dims"], vector["curve"], strict=True):
            curve = document["curves"][name]
            near = sum(
                alpha * math.exp(-((x - at) ** 2) / (2 * curve["length_scale"] ** 2))
                for at, alpha in zip(curve["inputs"], curve["alpha"], strict=True)
            )
            assert value == pytest.approx(math.exp(curve["offset"] + curve["slope"] * x + curve["variance"] * near))
        paid = [one["row"] for one in document["ladder"]]
        paid = [row for row in paid if (row["cost_upper"] or row["cost"]) <= vector["cost"]]
        assert vector["answer"] == (paid[-1]["values"] if paid else None)


def test_the_file_is_plain_sorted_and_says_what_it_is_of(path, some, tmp_path):
    document = json.loads(path.read_text())
    assert list(document) == sorted(document)
    assert document["schema"] == "planner-curves/1"
    assert document["grid"] == {name: sorted(set(map(float, some[name]))) for name in DIMS}
    some.to_csv(tmp_path / "t.csv", index=False)
    planner.fit_table(tmp_path / "t.csv", DIMS, "score", "ms").save(tmp_path / "f.json")
    import hashlib

    sha256 = hashlib.sha256((tmp_path / "t.csv").read_bytes()).hexdigest()
    assert json.loads((tmp_path / "f.json").read_text())["provenance"]["table_sha256"] == sha256


def test_a_cost_outside_the_range_is_refused_or_extrapolated(formula):
    low, high = formula.cost_range
    for cost in (low / 2, high * 2):
        with pytest.raises(planner.PlannerError, match="outside the .* that this formula was fitted on"):
            formula.predict(cost)
        answer = formula.predict(cost, extrapolate=True)
        assert not answer.in_range and answer.by == "curves" and answer.dims == answer.curve
    assert formula.predict(low / 2, extrapolate=True).nearest is None
    for bad in (0, -3, float("nan"), float("inf"), "40", True, None):
        with pytest.raises(planner.PlannerError, match="the cost is .*; a positive number"):
            formula.predict(bad)
    with pytest.raises(planner.PlannerError, match="0 costs"):
        formula.predict([])


def edited(path, signed_again=True, **changes):
    document = {**json.loads(path.read_text()), **changes}
    return canonical(signed(document)) if signed_again else json.dumps(document)


DAMAGE = {
    "another digest": (lambda path: edited(path, False, middle=3.0), "changed after it was written"),
    "another curve": (lambda path: edited(path, middle=3.0), "gives other dimensions than its test vector"),
    "no rows": (lambda path: edited(path, rows=[]), "rows is .*at least 1"),
    "a text for a number": (lambda path: edited(path, middle="3"), "middle is '3'; number is wanted"),
    "an unknown key": (lambda path: edited(path, more=1), "more is unknown"),
    "other dims": (lambda path: edited(path, dims=["a"]), "curves and constants are not those of dims, a"),
    "a range turned round": (lambda path: edited(path, cost_range=[9.0, 3.0]), "cost_range is 9 to 3"),
    "NaN": (lambda path: path.read_text().replace('"doubt": ""', '"doubt": NaN'), "NaN is not allowed"),
    "no JSON": (lambda path: "{", "not a table's formula file"),
    "another schema": (lambda path: edited(path, schema="x/1"), "schema 'x/1' is unknown"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_file_is_refused_in_one_line(path, tmp_path, name):
    change, words = DAMAGE[name]
    (tmp_path / "f.json").write_text(change(path))
    with pytest.raises(planner.PlannerError, match=words) as refused:
        planner.TableFormula.load(tmp_path / "f.json")
    assert "\n" not in str(refused.value) and "f.json" in str(refused.value)


def test_rungs_that_fall_or_lie_outside_their_interval_are_refused(path, tmp_path):
    ladder = json.loads(path.read_text())["ladder"]
    for changed, words in (
        (ladder[::-1], r"ladder\[1\] costs .* rising costs"),
        ([{**ladder[0], "mean": 9.0}, *ladder[1:]], r"ladder\[0\].mean is 9, outside its own interval"),
        ([{**ladder[0], "row": {**ladder[0]["row"], "values": [1.0]}}], r"ladder\[0\].row has 1 values"),
    ):
        (tmp_path / "f.json").write_text(edited(path, ladder=changed))
        with pytest.raises(planner.PlannerError, match=words):
            planner.TableFormula.load(tmp_path / "f.json")


def test_each_kind_of_formula_says_how_the_other_is_asked(path, tmp_path):
    with pytest.raises(planner.PlannerError, match="formula of a table alone, .* ask it by --cost"):
        planner.load_formula(path)
    from planner.text.shipped import shipped_formula

    (tmp_path / "b0.json").write_text(shipped_formula("efficientnet_b0"))
    with pytest.raises(planner.PlannerError, match="base network's formula: ask it by --flops"):
        planner.TableFormula.load(tmp_path / "b0.json")
