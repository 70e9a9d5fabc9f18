"""A table alone: its best rows, its curves, and what it refuses."""

import numpy as np
import pandas as pd
import pytest

import planner
from planner.table_formulas import fit
from planner.table_formulas.candidates import grid_of

DIMS = ["depth", "width", "resolution"]
BUDGETS = np.geomspace(120, 12_000, 7)


def true_best(frame, budget):
    return max(score for score, ms in zip(frame["score"], frame["ms"], strict=True) if ms <= budget)


def truth_of(frame, dims):
    same = np.all([np.isclose(frame[name], value) for name, value in dims.items()], axis=0)
    (row,) = frame[same].to_dict("records")
    return row


@pytest.fixture(scope="module")
def whole(grid):
    return planner.fit_table(grid, DIMS, "score", "ms")


@pytest.fixture(scope="module")
def of_some(some):
    return planner.fit_table(some, DIMS, "score", "ms")


def test_with_all_rows_trained_the_answer_is_nearly_the_best_row(grid, whole):
    for answer in whole.predict(BUDGETS):
        row = truth_of(grid, answer.dims)
        assert answer.by == "training" and row["ms"] <= answer.budget
        assert true_best(grid, answer.budget) - row["score"] < 0.003
        assert answer.row.score == row["score"] and answer.row.cost == pytest.approx(row["ms"])


def test_of_half_a_grid_the_other_half_answers_too_and_keeps_to_the_cost(grid, some, of_some):
    lost, trained = [], []
    answers = [one for one in of_some.predict(BUDGETS)]
    for answer in answers:
        row = truth_of(grid, answer.dims)
        assert row["ms"] <= answer.budget
        lost.append(true_best(grid, answer.budget) - row["score"])
        trained.append(true_best(grid, answer.budget) - true_best(some, answer.budget))
    assert np.mean(lost) < np.mean(trained) / 2
    guessed = [one for one in answers if one.by == "search"]
    assert guessed and all(one.row.score is None and one.row.cost_upper >= one.row.cost for one in guessed)
    assert "measure it first" in guessed[0].reason


def test_what_is_beside_the_answer_is_found_by_looking(some, of_some):
    answer = of_some.predict(900)
    inside = some[some["ms"] <= 900]
    assert answer.best.score == inside["score"].max()
    rows = [one for one in of_some.rows if one.within <= 900]
    dearest = max(one.within for one in rows)
    logs = np.log([one.values for one in of_some.rows])
    wanted = np.log([answer.curve[name] for name in DIMS])

    def away(one):
        return sum(((np.log(one.values) - wanted) / logs.std(axis=0)) ** 2)

    assert answer.nearest == min((one for one in rows if one.within >= 0.8 * dearest), key=away)


def test_rows_of_a_pool_answer_at_their_known_costs(grid, some):
    formula = planner.fit_table(some, DIMS, "score", "ms", pool=grid.drop(columns="score"))
    assert formula.provenance["pool"] == 90 and formula.provenance["estimated"] == 0
    for answer in formula.predict(BUDGETS):
        assert answer.row.cost == pytest.approx(truth_of(grid, answer.dims)["ms"])


def test_a_curve_is_the_power_law_that_made_the_table():
    width = np.array([8, 10, 13, 16, 20, 26, 32, 40, 52, 64, 80, 104])
    table = pd.DataFrame({"width": width, "ms": 0.02 * width**2.0, "error": 3.0 / width})
    formula = planner.fit_table(table, ["width"], "error", "ms", lower=True)
    for ms in (2.0, 9.0, 70.0):
        assert formula.predict(ms).curve["width"] == pytest.approx(np.sqrt(ms / 0.02), rel=0.08)


def test_small_scores_are_large_ones_turned_round(some, of_some):
    turned = planner.fit_table(some.assign(score=-some["score"]), DIMS, "score", "ms", lower=True)
    for one, other in zip(of_some.predict(BUDGETS), turned.predict(BUDGETS), strict=True):
        assert other.dims == one.dims and other.curve == one.curve
        assert other.expected["mean"] == pytest.approx(-one.expected["mean"])
        assert other.expected["lower"] <= other.expected["mean"] <= other.expected["upper"]


def test_a_dimension_that_never_varies_is_kept_as_a_constant(grid):
    formula = planner.fit_table(grid[grid["depth"] == 2], DIMS, "score", "ms")
    assert formula.constants == {"depth": 2.0} and set(formula.curves) == {"width", "resolution"}
    assert formula.predict(900).dims["depth"] == 2.0 and formula.predict(900).curve["depth"] == 2.0


def test_few_rows_leave_the_answer_to_the_curves_and_say_why(grid):
    few = grid[(grid["depth"] == 1) & (grid["width"] == 16)]
    formula = planner.fit_table(few, ["resolution"], "score", "ms")
    answer = formula.predict(600)
    assert not formula.ladder and answer.by == "curves"
    assert "6 different networks were trained; at least 8 are wanted" in answer.reason
    assert answer.expected is None and answer.best.cost <= 600


def test_repeats_are_averaged_and_the_order_of_rows_does_not_count(some, of_some):
    twice = pd.concat([some.assign(score=some["score"] + 0.01), some.assign(score=some["score"] - 0.01)])
    formula = planner.fit_table(twice.sample(frac=1, random_state=0), DIMS, "score", "ms")
    assert formula.provenance["rows"] == 45
    assert any("90 rows of 45 different ones" in one for one in formula.provenance["remarks"])
    known = {row.values: row.score for row in formula.rows if row.score is not None}
    assert known == pytest.approx({row.values: row.score for row in of_some.rows if row.score is not None})


def test_where_chooses_by_words_and_by_numbers(grid):
    table = pd.concat([grid.assign(family="a", pass_=1), grid.assign(family="b", pass_=2, ms=grid["ms"] * 3)])
    for where in ({"family": "b"}, {"pass_": "2.0"}, {"pass_": 2}):
        formula = planner.fit_table(table, DIMS, "score", "ms", where=where)
        assert formula.cost_range[1] == pytest.approx(3 * grid["ms"].max())
        assert formula.where == {name: str(value) for name, value in where.items()}


def test_rows_that_did_not_finish_are_left_out(grid):
    table = grid.assign(status=["ok"] * 80 + ["failed"] * 10)
    formula = planner.fit_table(table, DIMS, "score", "ms")
    assert formula.provenance["rows"] == 80
    assert formula.provenance["remarks"] == ["not used: 10 rows whose status is not ok"]


def test_a_grid_is_known_by_values_that_come_back():
    rng = np.random.default_rng(0)
    coarse = np.column_stack([rng.choice([1, 2, 3], 40), rng.choice([8, 16], 40)]).astype(float)
    assert [one.tolist() for one in grid_of(coarse)] == [[1, 2, 3], [8, 16]]
    assert grid_of(np.column_stack([coarse, rng.random(40)])) == []


def test_dimensions_without_a_grid_answer_with_rows_of_the_table():
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"width": rng.uniform(8, 64, 40), "depth": rng.uniform(1, 5, 40)})
    table = table.assign(ms=table["width"] * table["depth"])
    table = table.assign(score=1 - 1 / table["width"] - 0.1 / table["depth"])
    formula = planner.fit_table(table, ["width", "depth"], "score", "ms")
    assert not formula.grid and len(formula.rows) == 40
    answer = formula.predict(80)
    assert answer.by == "training" and truth_of(table, answer.dims)["ms"] <= 80


@pytest.mark.slow
def test_a_large_table_keeps_its_best_rows(monkeypatch):
    monkeypatch.setattr(fit, "MOST_KEPT_ROWS", 100)
    monkeypatch.setattr(fit, "_BINS", 50)
    rng = np.random.default_rng(2)
    table = pd.DataFrame({"width": rng.uniform(8, 640, 300)})
    table = table.assign(ms=table["width"] ** 2, score=1 - 3 / table["width"] + 0.02 * rng.random(300))
    formula = planner.fit_table(table, ["width"], "score", "ms")
    assert len(formula.rows) <= 100 and formula.candidates == 300
    assert {one.row for one in formula.ladder} <= set(formula.rows)
    inside = table[table["ms"] <= 100_000]
    assert inside["score"].max() - formula.predict(100_000).best.score < 0.004


BAD = {
    "a column that is not there": ({"dims": ["depth", "wdth"]}, {}, "no column wdth; its columns are .*mean width"),
    "a score that is not there": ({"score": "acc"}, {}, "no column acc"),
    "words": ({"dims": ["depth", "kind"]}, {"kind": "x"}, "kind is no finite number in 90 of 90 rows"),
    "a missing score": ({}, {"score": [np.nan] + [0.5] * 89}, "score is no finite number in 1 of 90 rows"),
    "an infinite cost": ({}, {"ms": [np.inf] + [1.0] * 89}, "ms is no finite number"),
    "a cost of nothing": ({}, {"ms": [0.0] * 90}, "ms of row 1 is 0.0; a positive number"),
    "a negative dimension": ({}, {"depth": [-1] * 90}, "depth of row 1 is -1; a positive number"),
    "one score": ({}, {"score": 0.5}, "score is 0.5 in every row"),
    "one network": ({}, dict.fromkeys(DIMS, 3), "have the same depth, width, resolution but a ms of"),
    "mixed families": ({"dims": ["depth", "width"]}, {}, "rows? .* have the same depth, width but a ms"),
    "nothing that costs buys": ({"lower": True}, {}, "the cheapest row has the smallest score .* leave --lower out"),
    "a name twice": ({"cost": "depth"}, {}, "depth is named twice among dims, score and cost"),
    "no list": ({"dims": "depth"}, {}, "dims is 'depth'; names of 1 to 50 columns"),
    "no name": ({"score": 3}, {}, "score is 3; the name of a column"),
    "no bool": ({"lower": 1}, {}, "lower is 1; True or False"),
    "no mapping": ({"where": "a=b"}, {}, "where is 'a=b'"),
    "no such word": ({"where": {"kind": "y"}}, {"kind": "x"}, "no row has kind=y; kind is x"),
    "no such place": ({"where": {"kin": "y"}}, {"kind": "x"}, "no column kin; .* did you mean kind"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_fitted_is_refused_in_one_line(grid, name):
    given, cells, words = BAD[name]
    with pytest.raises(planner.PlannerError, match=words) as refused:
        planner.fit_table(grid.assign(**cells), **{"dims": DIMS, "score": "score", "cost": "ms", **given})
    assert "\n" not in str(refused.value)


def test_too_few_rows_are_refused(grid):
    with pytest.raises(planner.PlannerError, match="3 different rows of 3 distinct ms are too few"):
        planner.fit_table(grid.iloc[:3], DIMS, "score", "ms")


def test_a_refusal_names_the_file_and_the_line(tmp_path, grid):
    path = tmp_path / "t.csv"
    grid.assign(depth=["much" if row == 4 else "2" for row in range(len(grid))]).to_csv(path, index=False)
    with pytest.raises(planner.PlannerError, match=r"t.csv: depth is no finite number .*row 5 \(line 6\), 'much'"):
        planner.fit_table(path, DIMS, "score", "ms")
