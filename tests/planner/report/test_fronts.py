"""What a front is: report, notebook and command show the same one, and it holds the best training."""

import json
import re
import shutil
import subprocess
from importlib.resources import files

import numpy as np
import pytest

from planner.answers.formula import Formula
from planner.fitting.fit import fit
from planner.fitting.front import select_front
from planner.front.pareto import distinct_budgets, front_mask
from planner.report.numbers import numbers_of
from planner.report.page import page_of
from planner.report.source import of_study
from planner.tables.table import as_table

NODE = shutil.which("node")


@pytest.fixture(scope="module")
def scattered(compound_frame):
    """24 trainings off one line, of which a surrogate's means select others than those on the front as observed."""
    rng = np.random.default_rng(5)
    frame = compound_frame(0.2, 0.25, 0.05, 1.0, rows=24)
    frame["trial"] = range(24)
    frame["r"] *= np.exp(rng.normal(0, 0.1, 24))
    frame["d"] *= np.exp(rng.normal(0, 0.2, 24))
    frame["accuracy"] += rng.normal(0, 0.03, 24)
    return frame


@pytest.fixture(scope="module")
def fitted(scattered):
    return fit(scattered)


def trials(rows):
    return {row["trial"] for row in rows}


def by_hand(frame):
    """The trials that no other dominates, by comparing all pairs."""
    rows = [(one["trial"], one["macs"], one["accuracy"]) for one in frame.to_dict("records")]
    return {
        trial
        for trial, macs, accuracy in rows
        if not any(m <= macs and a >= accuracy and (m, a) != (macs, accuracy) for _, m, a in rows)
    }


def test_a_formula_holds_the_front_as_observed_apart_from_what_was_selected(scattered, fitted):
    assert trials(fitted.non_dominated) == by_hand(scattered) != trials(fitted.front)
    assert fitted.non_dominated[-1]["trial"] == scattered.loc[scattered["accuracy"].idxmax(), "trial"]
    assert [one["macs"] for one in fitted.non_dominated] == sorted(one["macs"] for one in fitted.non_dominated)


def test_the_best_training_is_named_whether_or_not_it_was_selected(scattered, fitted):
    named = 0
    for budget in np.geomspace(*fitted.macs_range, 12):
        found = fitted.predict(budget).trained
        if found is not None:
            named += 1
            assert found["accuracy"] == scattered.loc[scattered["macs"] <= budget * 1.01, "accuracy"].max()
    assert named


def test_the_command_shows_both_and_the_formula_on_disk_decides(scattered, fitted):
    table = as_table(scattered)
    answer = select_front(table).as_dict()
    assert trials(answer["front"]) == by_hand(scattered) and trials(answer["selected"]) == trials(fitted.front)
    raw = fit(scattered, raw=True, share=0.5)
    answer = select_front(table, formula=raw).as_dict()
    assert trials(answer["selected"]) == trials(raw.front) != trials(fitted.front)
    assert answer["selected_by"] == "observed accuracies" and trials(answer["front"]) == by_hand(scattered)


def test_report_notebook_and_command_show_the_same(mine, run, monkeypatch):
    monkeypatch.setattr("planner.report.answers.REPORT_BUDGETS", 2)
    monkeypatch.setattr("planner.report.answers.REPORT_RULES", ("compound",))
    assert run("fit", "--study", "mine")[0] == 0
    command = json.loads(run("front", "--study", "mine", "--json")[1])
    assert all(isinstance(row["macs"], int) for row in command["front"])
    source = of_study("mine")
    numbers = numbers_of(source)
    for mark in ("front", "selected"):
        assert {one["trial"] for one in numbers["trainings"] if one[mark]} == trials(command[mark])
    formula = Formula.load(mine.folder / "formula.json")
    assert trials(formula.non_dominated) == trials(command["front"])
    shown = formula._repr_html_().partition("<caption>Front</caption>")[2].count("<tr>")
    assert shown == len(command["front"]) + 1
    page = page_of(numbers, source.formula, source.command)
    lines = re.findall(r'<path class="line front" d="M([^"]+)"', page)
    steps = max(lines, key=len).split("L")  # the other one is the legend's
    assert len(steps) == 2 * len(command["front"])  # two corners for each but the first, and the end
    assert "selected for the fit" in page and "on the front" in page


def test_costs_within_a_per_cent_are_one_budget():
    assert distinct_budgets([]) == 0
    assert distinct_budgets([100, 100.9, 101.1, 1000]) == 3
    assert distinct_budgets(np.geomspace(1e6, 1e7, 50)) == 50


def test_a_front_keeps_the_cheapest_of_the_most_accurate():
    assert front_mask([0.5, 0.7, 0.7, 0.6], [1, 3, 2, 2]).tolist() == [True, False, True, False]


def test_no_cell_of_a_download_is_computed_by_a_spreadsheet():
    if NODE is None:
        pytest.skip("no node")
    script = files("planner.report").joinpath("page.js").read_text()
    piece = script[script.index("  const cell = ") : script.index("  const { name: base")]
    row = {"=name": "=1+1", "+b": "@SUM(A1)", "c": -3, "d": "-2", "e": "\tx", "f": "\rx", "g": "a=b", "h": None}
    program = f"{piece}; console.log(JSON.stringify(csv({json.dumps([row])})))"
    done = subprocess.run([NODE, "-e", program], capture_output=True, text=True, timeout=60, check=True)
    head, line = json.loads(done.stdout).rstrip("\n").split("\n")
    assert head == "'=name,'+b,c,d,e,f,g,h"
    assert line == "'=1+1,'@SUM(A1),-3,'-2,'\tx,\"'\rx\",a=b,"
