"""The reference study as it ships: its formula is the fit of its table, and answers where it covers the budget."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from planner.answers.formula import Formula
from planner.fitting.fit import fit
from planner.tables.table import read_csv

STUDY = Path(__file__).resolve().parents[2] / "results" / "reference"


def test_its_table_gives_the_shipped_formula_with_any_threads(tmp_path):
    program = "import sys; from planner.cli import main; sys.argv[0] = 'planner'; main()"
    texts = []
    for threads in ("1", "2"):
        command = [sys.executable, "-c", program, "fit", STUDY / "trials.csv", "--out", tmp_path / f"{threads}.json"]
        limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), threads)
        subprocess.run(command, env={**os.environ, **limits}, check=True, capture_output=True)
        texts.append((tmp_path / f"{threads}.json").read_text())
    assert texts[0] == texts[1]  # byte for byte
    again, shipped = json.loads(texts[0]), json.loads((STUDY / "formula.json").read_text())
    assert again["provenance"]["table_sha256"] == shipped["provenance"]["table_sha256"]
    if again["provenance"]["versions"] != shipped["provenance"]["versions"]:
        pytest.skip(f"made with {shipped['provenance']['versions']}")
    del again["sha256"], shipped["sha256"]
    assert_alike(again, shipped)


def assert_alike(ours, theirs):
    """Equal, but for the last digits of numbers, in which processors differ."""
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            assert_alike(value, theirs[name])
    elif isinstance(ours, list):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_alike(one, other)
    elif isinstance(ours, float):
        assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-9)
    else:
        assert ours == theirs


def test_every_training_of_it_is_in_the_table_with_those_that_failed():
    frame = pd.read_csv(STUDY / "trials.csv")
    assert (frame["status"] == "ok").sum() >= 60 and frame["trial"].is_unique
    assert frame.loc[frame["status"] == "ok", "accuracy"].between(0.05, 0.9).all()
    assert set(pd.read_csv(STUDY / "front.csv")["trial"]) <= set(read_csv(STUDY / "trials.csv").frame["trial"])


@pytest.mark.parametrize("budget", ["1.5M", "3M", "6M"])
def test_it_answers_for_b0_where_it_covers_the_budget_and_is_named(run, budget):
    answer = json.loads(run("predict", "--flops", budget, "--json")[1])
    assert "reference study" in answer["formula"]
    expected = Formula.load(STUDY / "formula.json").answer(answer["budget_macs"])
    assert (answer["resolution"], answer["macs"]) == (expected.architecture.resolution, expected.prediction.macs)
    assert answer["macs"] <= answer["budget_macs"] * 1.01


def test_elsewhere_and_for_other_networks_it_does_not(run):
    assert "published" in json.loads(run("predict", "--flops", "200M", "--json")[1])["formula"]
    other = json.loads(run("predict", "--flops", "5M", "--base", "resnet20_cifar", "--json")[1])
    assert "reference" not in other["formula"]


def test_the_best_training_within_the_budget_is_named_beside_the_answer(run):
    answer = json.loads(run("predict", "--flops", "6.5M", "--json")[1])
    table = read_csv(STUDY / "trials.csv").frame.set_index("trial")
    best = answer["best_training"]
    affordable = table[table["macs"] <= 6.5e6]
    assert (best["trial"], best["accuracy"]) == (affordable["accuracy"].idxmax(), affordable["accuracy"].max())
    assert best["macs"] == table.loc[best["trial"], "macs"]
    shown, formula = run("predict", "--flops", "6.5M")[1], Formula.load(STUDY / "formula.json")
    assert f"  best training: trial {best['trial']}, {best['accuracy']:.1%} measured, {best['macs']:,} MACs" in shown
    assert formula.at(classes=100).predict(7e6).trained is None  # another task
    assert json.loads(run("predict", "--flops", "200M", "--json")[1])["trained"] is None


def test_what_reached_more_is_the_best_training_within_each_of_sixty_budgets():
    formula, frame = Formula.load(STUDY / "formula.json"), read_csv(STUDY / "trials.csv").frame
    named = 0
    for budget in np.geomspace(*formula.macs_range, 60):
        found, prediction = formula.predict(budget).trained, formula.predict(budget)
        best = frame.loc[frame.loc[frame["macs"] <= budget * 1.01, "accuracy"].idxmax()]
        assert (found is None) == (best["accuracy"] <= prediction.accuracy["mean"] + 0.002)
        if found is not None:
            named += 1
            assert (found["trial"], found["accuracy"]) == (best["trial"], best["accuracy"])
            assert found["widths"] == [best[f"width_{i + 1}"] for i in range(7)]
    assert named


def test_its_most_accurate_training_is_on_the_front_and_selected_for_the_fit():
    formula, frame = Formula.load(STUDY / "formula.json"), read_csv(STUDY / "trials.csv").frame
    best = frame.loc[frame["accuracy"].idxmax(), "trial"]
    assert formula.non_dominated[-1]["trial"] == best
    assert best in {point["trial"] for point in formula.front}
    assert {point["trial"] for point in formula.non_dominated} <= {point["trial"] for point in formula.front}
    assert {"stem", "head", "width_4"} <= set(formula.surrogate.inputs)


def test_its_comparison_is_printed_from_its_table(run):
    shown = run("compare", "--table", STUDY / "comparison.csv")[1]
    for method in ("formula", "best", "compound", "fast", "width", "tinynet"):
        assert len(re.findall(rf"\n{method}[ ,]", shown)) == 3, method  # once at each budget
    assert "(resolution -34 px)" in shown and "(resolution -10 px)" in shown  # it is not width alone there


def test_fitting_knows_nothing_of_the_comparison():
    trials, compared = pd.read_csv(STUDY / "trials.csv"), pd.read_csv(STUDY / "comparison.csv")
    assert len(compared) >= 36
    used = fit(STUDY / "trials.csv", raw=True).provenance["rows"]
    assert used <= (trials["asks"].isna() & (trials["status"] == "ok")).sum()
