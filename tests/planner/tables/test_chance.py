"""Trainings at the level of chance, and those from which nothing can be learned, are told before any number."""

import json

import numpy as np
import pandas as pd
import pytest

from planner.answers.formula import Formula
from planner.compare.rows import COLUMNS
from planner.errors import PlannerError
from planner.fitting.fit import fit
from planner.formulas.codec import dumps, read_formula, signed
from planner.tables.chance import guessing

WORDS = "12 of 12 trainings are hardly better than guessing among 6 classes (16.7%)"


@pytest.fixture
def at_chance(compound_frame, run, tmp_path):
    """A table of 12 trainings at one in six, as two epochs leave them; in the folder where `run` runs."""
    frame = compound_frame(0.2, 0.3, 0.05, 0.9, rows=12).assign(classes=6, base_resolution=224, base="efficientnet_b0")
    # Made at six classes, which changes the classifier alone: c is relative to the base network at six as well.
    frame["accuracy"] = 1 / 6 + np.random.default_rng(0).normal(0, 0.005, 12) + np.linspace(0, 0.01, 12)
    frame.to_csv(tmp_path / "chance.csv", index=False)
    return tmp_path / "chance.csv"


def test_every_command_says_so_first_and_json_has_it_as_a_field(run, at_chance):
    run("fit", "chance.csv")
    for command in ("front chance.csv", "predict --formula formula.json --flops 100M", "report chance.csv"):
        code, out, err = run(*command.split())
        first = (err if command.startswith("predict") else out).splitlines()[0]
        assert code == 0 and first.startswith(f"WARNING: {WORDS}"), command
    for command in ("front chance.csv", "predict --formula formula.json --flops 100M"):
        code, out, err = run(*command.split(), "--json")
        assert code == 0 and not err and json.loads(out)["warnings"][0].startswith(WORDS), command


@pytest.mark.parametrize("how", [(), pytest.param(("--json",), marks=pytest.mark.slow)])
def test_a_fit_says_so_first(run, at_chance, how):
    code, out, _ = run("fit", "chance.csv", *how)
    assert code == 0
    assert json.loads(out)["warnings"][0].startswith(WORDS) if how else out.startswith(f"WARNING: {WORDS}")


def test_the_page_and_the_notebook_have_it_on_top(run, at_chance):
    run("report", "chance.csv", "--out", "page.html")
    page = (at_chance.parent / "page.html").read_text()
    body = page[page.index("</h1>") :]
    assert 0 < body.index(f"WARNING: {WORDS}") < body.index("<p>") + len("<p>") + len(WORDS)
    assert WORDS in fit(at_chance)._repr_html_()


def test_a_file_that_is_older_than_the_key_says_it_too(at_chance):
    document = json.loads(dumps(fit(at_chance)))
    assert document.pop("warnings")
    del document["non_dominated"]
    old = read_formula(json.dumps(signed(document)), Formula)
    assert "hardly better than guessing among 6 classes" in old.warnings[0] and old.non_dominated == ()


def test_a_comparison_says_it(run, tmp_path):
    facts = {"method": "compound", "budget": 1e6, "base": "resnet20_cifar", "classes": 4, "scored_on": "validation"}
    known = {"macs": 1_000_000, "error": 0.0, "params": 1, "resolution": 32, "depths": "1 1", "widths": "8 8"}
    rest = {"stem": 8, "head": 0, "trainings_needed": 0, "hours_needed": 0.0, "epochs": 2, "status": "ok"}
    row = {**dict.fromkeys(COLUMNS), **facts, **known, **rest, "seconds": 1.0}
    rows = [{**row, "seed": seed, "accuracy": 0.25 + seed / 1000} for seed in range(3)]
    pd.DataFrame(rows).to_csv(tmp_path / "c.csv", index=False)
    code, out, _ = run("compare", "--table", "c.csv")
    assert code == 0 and out.startswith("WARNING: 3 of 3 trainings are hardly better than guessing among 4 classes")
    assert json.loads(run("compare", "--table", "c.csv", "--json")[1])["warnings"]


def test_good_trainings_and_a_few_bad_ones_are_not_warned_of(shipped, compound_frame):
    assert shipped.warnings == () and fit(compound_frame(0.2, 0.3, 0.05, 0.9, rows=8)).warnings == ()
    assert guessing([0.5, 0.5, 0.01], 10) is None and guessing([0.1, 0.1], 10) is None
    assert guessing([0.12, 0.11, 0.9, 0.9], 10) is not None


def refusal(frame, kind="loglinear"):
    with pytest.raises(PlannerError) as caught:
        fit(frame, kind)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["loglinear", "tinynet", "compound"])
def test_rows_are_no_budgets(compound_frame, kind):
    """One network 20 times; and two more of the kind: three networks, and 20 within 1 % of one budget."""
    frame = compound_frame(0.2, 0.3, 0.05, 0.9, rows=20)
    one = pd.concat([frame.head(1)] * 20, ignore_index=True)
    assert "20 trainings of 1 distinct budget are too few to fit" in refusal(one, kind)
    three = frame.iloc[np.arange(20) % 3].reset_index(drop=True)
    assert "20 trainings of 3 distinct budgets" in refusal(three, kind)
    assert "20 trainings of 1 distinct budget " in refusal(compound_frame(0.2, 0.3, 0.5, 0.504, rows=20), kind)


def test_what_teaches_nothing_is_refused(compound_frame):
    frame = compound_frame(0.2, 0.3, 0.05, 0.9, rows=20)
    assert "all 20 accuracies are equal (50.0%)" in refusal(frame.assign(accuracy=0.5))
    falling = frame.assign(accuracy=np.linspace(0.8, 0.5, 20))
    assert "the cheapest of 20 trainings is the best of all, so 1 of them is on the front" in refusal(falling)


def test_equal_accuracies_at_the_level_of_chance_are_warned_of_and_not_refused(compound_frame):
    """As two epochs leave them: the loop goes on, and whatever it prints is headed by the warning."""
    frame = compound_frame(0.2, 0.3, 0.05, 0.9, rows=12).assign(accuracy=1 / 6, classes=6)
    formula = fit(frame)
    assert formula.warnings[0].startswith(WORDS) and len(formula.non_dominated) == 1
    assert read_formula(dumps(formula), Formula).warnings == formula.predict(100e6).formula.warnings == formula.warnings


def test_a_direction_with_too_few_points_says_which_rows_it_left_out(run, compound_frame, tmp_path):
    frame = compound_frame(0.2, 0.3, 0.05, 2.5, rows=9)
    frame["trial"] = [f"net{i}" for i in range(9)]
    frame.to_csv(tmp_path / "t.csv", index=False)
    code, out, _ = run("fit", "t.csv")
    above = [f"net{i}" for i in range(9) if frame["macs"][i] > 1.05 * 385_814_752]
    assert code == 0 and 0 < len(above) < 4
    assert f"fitted loglinear to {9 - len(above)} of 9 trainings ({9 - len(above)} distinct budgets)" in out
    line = next(one for one in out.splitlines() if "too few distinct budgets for a curve of its own" in one)
    assert line.strip().startswith("enlarge: ") and all(f"trial {name} (" in line for name in above)
    left_out = json.loads(run("fit", "t.csv", "--json")[1])["not_fitted"]
    assert len(left_out) == len(above)
    assert set(Formula.load(tmp_path / "formula.json").branches) == {"shrink"}


def test_where_no_direction_has_enough_both_are_counted(compound_frame):
    frame = compound_frame(0.2, 0.3, 0.4, 2.5, rows=6)
    assert "3 to shrink, 3 to enlarge, of at least 4 in one direction" in refusal(frame)
