"""Networks at equal MACs: they are queued by `sample`, and `front` shows which dimension matters among them."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from planner.compare.dimensions import at_equal_macs
from planner.errors import PlannerError
from planner.formulas.selection import select
from planner.front import pareto
from planner.tables.table import as_table
from sampler import SearchSpace, stratified_design, target_design
from sampler.complexity import count

SPACE = SearchSpace("efficientnet_b0", 64, classes=4, r=(0.5, 1.4))


def queued(ledger, origin, train):
    """The rows of what was queued by a method, trained in no time."""
    train(ledger)
    return ledger.frame().query("origin == @origin")


def test_target_queues_networks_of_one_cost(run, mine, train):
    code, out, _ = run("sample", "--trials", 6, "--method", "target", "--flops", "5M")
    assert code == 0 and "6 architectures queued at equal MACs; 6 wait" in out
    rows = queued(mine, "target", train)
    assert len(rows) == 6 and (np.abs(rows["macs"] / 5e6 - 1) <= 0.03).all()
    assert np.ptp(rows["r"]) > 0.2 and np.ptp(rows["d"]) > 0.3
    run("sample", "--trials", 6, "--method", "target", "--flops", "5M")
    rows = queued(mine, "target", train)
    integers = [name for name in rows if name.startswith(("width", "depth"))] + ["resolution", "stem", "head"]
    assert len(rows.drop_duplicates(integers)) == len(rows) == 12  # none twice


def test_a_study_may_begin_with_networks_of_one_cost(run, new, train):
    code, out, _ = run("sample", "--trials", 4, "--method", "grid", "--json")
    assert code == 0 and json.loads(out)["added"] == 4
    rows = queued(new, "grid", train)
    assert len(rows) == 4 and (np.abs(rows["macs"] / (2 * new.space.base_macs) - 1) <= 0.03).all()


def test_grid_scales_from_a_training_that_is_named(run, mine, train):
    own = mine.frame().query("status == 'ok'")
    start = own.sort_values("macs").iloc[4]
    code, _, err = run("sample", "--trials", 5, "--method", "grid", "--anchor", start["trial"])
    assert (code, err) == (0, "")
    rows = queued(mine, "grid", train)
    assert len(rows) == 5 and (np.abs(rows["macs"] / (2 * start["macs"]) - 1) <= 0.03).all()
    a = np.log2(rows["d"] / start["d"])
    assert np.abs(20 * a - np.rint(20 * a)).max() < 1e-6


@pytest.mark.slow
def test_a_formula_of_kind_compound_is_fitted_to_a_trained_grid(run, new, train):
    """EfficientNet's step 1; the accuracy wants depth times 2^0.3 and resolution times 2^0.2 for twice the MACs."""
    run("sample", "--trials", 30, "--method", "grid")
    network = new.space.network

    def accuracy(macs, one):
        d, r = sum(one.depths) / sum(network.depths), one.resolution / network.resolution
        return (
            0.6
            + 0.1 * np.log2(macs / new.space.base_macs)
            - 0.5 * (np.log2(r) - 0.2) ** 2
            - 0.2 * (np.log2(d) - 0.3) ** 2
        )

    train(new, accuracy)
    code, out, err = run("fit", "--kind", "compound", "--json")
    assert code == 0, err
    found = json.loads(out)["compound"]
    assert np.log2(found["gamma"]) == pytest.approx(0.2, abs=0.08)
    assert np.log2(found["alpha"]) == pytest.approx(0.3, abs=0.2)  # blocks are whole


def test_what_equal_macs_lack_is_said_in_one_line(run, mine, refused):
    sample = ("sample", "--trials", 3, "--method")
    assert "--method target draws at equal MACs; say at which" in refused(*sample, "target")
    assert "--anchor 99: no finished training of" in refused(*sample, "grid", "--anchor", 99)
    assert "--anchor has no effect without --method grid" in refused(*sample, "random", "--anchor", 1)
    assert "widen the bounds of r, d or w" in refused(*sample, "target", "--flops", "20k")


@pytest.fixture(scope="module")
def equal():
    """24 networks at 5M MACs and 30 at others; accuracy follows r alone, and noise of one in r's steps."""
    target, other = target_design(SPACE, 5e6, 24, 0), stratified_design(SPACE, 30, 1)
    frames = []
    for design, origin in ((target, "target"), (other, "stratified")):
        r, d, w = design.multipliers.T
        frame = pd.DataFrame({"r": r, "d": d, "w": w, "macs": count(design, 4).macs, "origin": origin})
        frames.append(frame.assign(accuracy=0.5 + 0.02 * np.log(frame["macs"] / 5e6) + 0.1 * np.log(r)))
    facts = {"base": "efficientnet_b0", "classes": 4, "base_resolution": 64, "rule": "inverse"}
    return pd.concat(frames, ignore_index=True).assign(**facts)


@pytest.fixture
def quick(monkeypatch):
    """A surrogate expects what was observed, and is not fitted."""

    def selected(table, share, seed):
        return replace(select(table, share, seed, raw=True), why=None)

    for module in ("planner.formulas.selection", "planner.compare.dimensions"):
        monkeypatch.setattr(f"{module}.select", selected)


def test_the_dimension_that_matters_has_the_rank_correlation(run, equal, quick, tmp_path):
    equal.to_csv("t.csv", index=False)
    code, out, err = run("front", "t.csv", "--dimensions", "which.svg", "--json")
    answer = json.loads(out)["dimensions"]
    near = equal[(equal["macs"] / answer["macs"] - 1).abs() <= 0.03]
    assert (code, err.count("\n")) == (0, 0) and answer["trainings"] == len(near) >= 24
    assert answer["spearman"]["r"] > 0.9 > abs(answer["spearman"]["d"])
    for name in ("r", "d", "w"):
        assert answer["spearman"][name] == pytest.approx(pareto.spearman(near[name], near["accuracy"]))
    picture = (tmp_path / "which.svg").read_text()
    for words in ("resolution r", "depth d", "width w", f"Spearman {answer['spearman']['r']:+.2f}", "expected by the"):
        assert f"<!-- {words}" in picture
    shown = run("front", "t.csv", "--dimensions", "which.svg", "--flops", "5M")[1]
    assert "trainings at 5M MACs: r +" in shown and "picture: which.svg" in shown


def test_too_few_or_unnamed_budgets_are_refused_with_what_to_do(equal, refused):
    with pytest.raises(
        PlannerError, match="0 trainings cost 900M MACs within 3%, and 8 are wanted .* --flops 900M --tr"
    ):
        at_equal_macs(as_table(equal), 900e6)
    with pytest.raises(PlannerError, match="no training was drawn at equal MACs; say at which"):
        at_equal_macs(as_table(equal.assign(origin="random")))
    with pytest.raises(PlannerError, match="drawn at several budgets, .* say which, such as --flops 3M"):
        at_equal_macs(as_table(equal.assign(origin="target")))
    with pytest.raises(PlannerError, match="draws over r, d and w"):
        at_equal_macs(as_table(equal.drop(columns="w")))
    equal.to_csv("t.csv", index=False)
    assert "--dimensions a.doc: end its name in .png" in refused("front", "t.csv", "--dimensions", "a.doc")
    assert "--flops has no effect without --dimensions" in refused("front", "t.csv", "--flops", "5M")
