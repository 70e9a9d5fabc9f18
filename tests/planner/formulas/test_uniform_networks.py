"""Which numbers describe networks to a surrogate: the integers wherever a table says, or implies, them."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from planner.answers.formula import Formula
from planner.fitting.fit import fit
from planner.formulas import selection
from planner.formulas.codec import dumps, read_formula
from planner.formulas.networks import integers_of, network_inputs, stages_varied
from planner.tables.table import as_table
from sampler import SearchSpace, base, random_design
from sampler.complexity import count
from sampler.moves import column_names, from_rows

NAMES = column_names(7)
B0 = base("efficientnet_b0")


def space(kind="uniform", rule="inverse"):
    ranges = {"window": (0.014, 0.17), "r": (0.35, 1.4), "w": (0.1, 0.4)}
    return SearchSpace("efficientnet_b0", 90, 20, rule, kind=kind, **ranges)


def trained(design, *columns):
    """A table of a design: its MACs, some made-up accuracies, and those columns."""
    integers = dict(zip(NAMES, design.integers().T, strict=True)) | dict(zip("rdw", design.multipliers.T, strict=True))
    macs = count(design, 20).macs
    frame = pd.DataFrame({"macs": macs, **{name: integers[name] for name in columns}})
    facts = {"base": "efficientnet_b0", "base_resolution": 90, "classes": 20}
    noise = np.random.default_rng(0).normal(0, 0.005, len(macs))
    return frame.assign(**facts, accuracy=0.1 + 0.03 * np.log(macs / 1e6) + 0.02 * np.log(design.resolution) + noise)


@pytest.fixture(scope="module")
def uniform():
    return random_design(space(), 40, seed=0)


def test_all_integers_that_vary_are_read(uniform):
    inputs, names = network_inputs(as_table(trained(uniform, *NAMES)))
    assert set(names) == {name for name, column in zip(NAMES, uniform.integers().T, strict=True) if np.ptp(column)}
    assert {"resolution", "stem", "head", "width_7", "depth_6"} <= set(names)
    assert (inputs[list(NAMES)].to_numpy() == uniform.integers()).all()


@pytest.mark.parametrize("columns", [("r", "d", "w"), ("r", "d"), ("resolution", "d")])
def test_integers_are_what_the_rule_makes_where_that_costs_exactly_the_macs(uniform, columns):
    found = integers_of(as_table(trained(uniform, *columns).assign(rule="inverse")))
    assert list(found) == list(NAMES)
    assert (np.column_stack(list(found.values())) == uniform.integers()).all()


def test_a_table_that_names_no_rule_may_be_of_any(uniform):
    found = integers_of(as_table(trained(uniform, "r", "d", "w")))
    assert (np.column_stack(list(found.values())) == uniform.integers()).all()


def test_one_training_of_other_macs_leaves_r_and_d(uniform):
    frame = trained(uniform, "r", "d", "w")
    frame.loc[7, "macs"] += 1000
    inputs, names = network_inputs(as_table(frame))
    assert names == ["r", "d"] and set(inputs) == {"r", "d", "macs"}


def test_stages_given_without_stem_and_head_of_other_macs_are_read_without_these(uniform):
    columns = [name for name in NAMES if name not in ("stem", "head")]
    frame = trained(uniform, *columns)
    frame["macs"] += 1000
    inputs, names = network_inputs(as_table(frame))
    assert set(names) <= set(columns) and {"resolution", "width_4"} <= set(names)
    assert (inputs["width_4"] == uniform.widths[:, 3]).all()


def test_stages_that_a_rule_has_rounded_are_not_varied_and_those_that_were_are_counted(uniform):
    apart = random_design(space("stage"), 12, seed=0)
    tables = [trained(design, *NAMES).assign(rule="inverse") for design in (uniform, apart)]
    assert stages_varied(as_table(tables[0])) == 0
    assert stages_varied(as_table(pd.concat(tables, ignore_index=True))) == 12
    assert stages_varied(as_table(trained(uniform, "r", "d"))) == 0


def test_a_formula_s_surrogate_reads_integers_and_its_points_rebuild_what_was_trained(uniform):
    formula = fit(trained(uniform, "r", "d").assign(trial=range(40)))
    assert {"resolution", "stem", "width_4", "head"} <= set(formula.surrogate.inputs)
    assert formula.provenance["stage_varied"][0] == 0
    read = read_formula(dumps(formula), Formula)
    assert read.front and read.non_dominated
    for point in (*read.front, *read.non_dominated):
        row = [point["resolution"], point["stem"], *point["widths"], *point["depths"], point["head"]]
        network = replace(B0, resolution=90)
        assert count(from_rows(network, np.array([row])), 20).macs[0] == point["macs"]
        assert (uniform.integers()[point["trial"]] == row).all()


def test_a_formula_whose_surrogate_reads_r_and_d_still_loads_and_predicts(uniform, monkeypatch):
    def blind(table):
        return table.frame[["r", "d", "macs"]].astype(float), ["r", "d"]

    monkeypatch.setattr(selection, "network_inputs", blind)
    document = json.loads(dumps(fit(trained(uniform, *NAMES))))
    assert document["surrogate"]["inputs"] == ["r", "d"] and "answers" not in document
    monkeypatch.undo()
    formula = read_formula(json.dumps(document), Formula)
    assert formula.answers is None
    found = formula.predict(np.sqrt(np.prod(formula.macs_range))).accuracy
    assert found["of"] == "architecture" and found["lower"] < found["mean"] < found["upper"]
