"""Curves of the stages: shares as compositions, what counts as uniform, and the file."""

import copy
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner import PlannerError
from planner.answers.formula import Formula
from planner.fitting.fit import fit
from planner.formulas.codec import dumps, read_formula, signed
from planner.formulas.stages import closed, log_ratios, part_macs, stage_macs
from sampler import RULES, SearchSpace, base, base_names, random_design, scale
from sampler.complexity import count
from sampler.moves import column_names
from sampler.uniform import uniform_rows

NETWORK = base("efficientnet_b0")
SHARES = st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=9)


def table_of(architectures, accuracy=None):
    """Observations of architectures, by default better the dearer they are."""
    macs = count(architectures, 1000).macs
    frame = pd.DataFrame(architectures.integers(), columns=column_names(7))
    good = 0.5 + 0.1 * np.log10(macs / macs.min()) if accuracy is None else accuracy
    return frame.assign(macs=macs, accuracy=good, rule="inverse", base="efficientnet_b0")


@pytest.fixture(scope="module")
def staged():
    """The formula of architectures drawn stage by stage."""
    drawn = random_design(SearchSpace("efficientnet_b0", 224, kind="stage", window=(0.2, 1.0)), 30, seed=0)
    return fit(table_of(drawn), share=1.0)


@given(SHARES)
def test_log_ratios_and_shares_are_each_others_inverse(parts):
    shares = np.array(parts) / np.sum(parts)
    ratios = log_ratios(np.array(parts))
    assert abs(ratios.sum()) < 1e-9
    np.testing.assert_allclose(closed(ratios), shares, rtol=1e-9)


@given(SHARES, st.floats(1e-3, 1e3))
def test_log_ratios_do_not_depend_on_the_total(parts, factor):
    np.testing.assert_allclose(log_ratios(np.array(parts) * factor), log_ratios(np.array(parts)), atol=1e-9)


@pytest.mark.parametrize("name", base_names()[::4])
def test_stem_stages_and_head_cost_what_the_network_costs(name):
    network = base(name)
    drawn = random_design(SearchSpace(name, network.resolution, kind="stage"), 3, seed=0)
    parts = part_macs(network, drawn, 10)
    assert parts.shape == (3, len(network.stages) + 2)
    assert parts.sum(axis=1).tolist() == count(drawn, 10).macs.tolist()
    assert (stage_macs(network, drawn, 10) == parts[:, 1:-1]).all()


@pytest.mark.parametrize("rule", sorted(RULES))
@pytest.mark.parametrize("name", ["efficientnet_b0", "regnetx_032", "resnet50"])
def test_what_one_width_and_one_depth_made_is_known_as_uniform(name, rule):
    rng = np.random.default_rng(0)
    network = base(name)
    made = scale(network, RULES[rule], network.resolution, rng.uniform(0.4, 2.5, 200), rng.uniform(0.4, 2.5, 200))
    assert uniform_rows(network, RULES[rule], made).all()


def test_what_no_single_width_or_depth_made_is_known_as_per_stage():
    drawn = random_design(SearchSpace("efficientnet_b0", 224, kind="stage"), 200, seed=0)
    assert not uniform_rows(NETWORK, RULES["inverse"], drawn).any()
    one = scale(NETWORK, RULES["inverse"], [224] * 2, 1.0, 1.0)
    one.widths[1, 3] += 8
    assert uniform_rows(NETWORK, RULES["inverse"], one).tolist() == [True, False]
    one.widths[1, 3] -= 8
    one.depths[1, 3] += 1
    assert uniform_rows(NETWORK, RULES["inverse"], one).tolist() == [True, False]


def test_a_uniform_table_has_no_curves_of_stages(published, shipped):
    assert all(branch.stages is None for branch in shipped.branches.values())
    assert all(branch.stages is None for branch in fit(published).branches.values())


def test_a_table_without_integers_has_no_curves_of_stages(compound_frame):
    assert all(branch.stages is None for branch in fit(compound_frame(0.2, 0.3, 0.1, 1.0)).branches.values())


def test_tiny_networks_that_any_rounding_makes_do_not_hide_a_table_of_stages():
    """Near the fewest channels every front looks uniform; the table tells."""
    drawn = random_design(SearchSpace("efficientnet_b0", 224, kind="stage"), 20, seed=0)
    small = scale(NETWORK, RULES["inverse"], np.arange(100, 120), 0.35, 0.35)
    both = pd.concat([table_of(drawn, 0.1), table_of(small)], ignore_index=True)
    formula = fit(both)
    assert set(point["macs"] for point in formula.front) <= set(count(small).macs.tolist())
    assert all(branch.stages is not None for branch in formula.branches.values())


def test_a_table_drawn_stage_by_stage_has_a_curve_of_each_share_and_depth(staged):
    stages = staged.branches["shrink"].stages
    assert len(stages.shares) == len(stages.depths) == len(stages.widths) == 7
    for c in (0.2, 0.5, 1.0):
        assert stages.share(c).sum() == pytest.approx(1)
        assert (stages.blocks(NETWORK, c) >= 1).all()
    assert {f"shrink_share_{i}" for i in range(1, 8)} <= set(staged.errors)
    assert all(staged.errors[f"shrink_share_{i}"] > 0 for i in range(1, 8))


def test_a_stage_whose_share_and_depth_never_change_keeps_them():
    """All rows are the base network's stages at other sides: the front's shares follow from the side alone."""
    rows = random_design(SearchSpace("efficientnet_b0", 224, kind="stage", window=(0.2, 1.0)), 1, seed=1)
    row = rows.integers()[0]
    many = np.tile(row, (12, 1))
    many[:, 0] = np.arange(128, 128 + 12 * 32, 32)  # multiples of the stride: every stage has the same share at each
    from sampler.moves import from_rows

    architectures = from_rows(NETWORK, many)
    formula = fit(table_of(architectures), share=1.0)
    expected = log_ratios(stage_macs(NETWORK, architectures, 1000))
    for branch in formula.branches.values():
        low, high = branch.c_range
        for c in np.geomspace(low, high, 5):
            got = log_ratios(branch.stages.share(c))
            assert np.abs(got - expected.mean(axis=0)).max() < 0.05
            assert branch.stages.blocks(NETWORK, c).tolist() == row[9:16].tolist()


def test_the_file_says_which_integers_the_table_had(staged):
    ranges = staged.provenance["ranges"]
    assert set(ranges) == set(column_names(7))
    assert all(low <= high for low, high in ranges.values())


def test_the_curves_survive_the_text(staged):
    assert dumps(read_formula(dumps(staged), Formula)) == dumps(staged)


@pytest.mark.parametrize(
    ("place", "change", "message"),
    [
        ("shares", lambda curves: curves[:6], "shares of the stages of shrink are 6 curves; 7 are wanted"),
        (
            "depths",
            lambda curves: [*curves[:6], {**curves[6], "kernel": "x"}],
            r"shrink.stages.depths\[6\].kernel is 'x'; 'rbf' is wanted",
        ),
        ("shares", lambda curves: None, "shrink.stages.shares is None; array is wanted"),
    ],
)
def test_damaged_curves_of_stages_are_refused_by_name(staged, place, change, message):
    document = copy.deepcopy(json.loads(dumps(staged)))
    stages = document["branches"]["shrink"]["stages"]
    stages[place] = change(stages[place])
    with pytest.raises(PlannerError, match=message):
        read_formula(json.dumps(signed(document)), Formula)
