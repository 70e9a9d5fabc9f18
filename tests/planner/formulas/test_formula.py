"""Predictions: within 1 % of the budget, inside the range or refused, and what rules give."""

import json

import numpy as np
import pytest

from planner import PlannerError
from planner.rules import compound
from sampler import Architecture, InputError
from sampler.complexity import architecture_complexity, complexity

B0_MACS = 385_814_752

# Tan & Le 2019 and the released code: MACs, resolution, depth multiplier.
EFFICIENTNETS = {
    "b1": (686_802_832, 240, 1.1),
    "b2": (993_561_872, 260, 1.2),
    "b3": (1_827_141_392, 300, 1.4),
    "b4": (4_393_771_024, 380, 1.8),
    "b5": (10_266_384_752, 456, 2.2),
    "b6": (19_067_593_536, 528, 2.6),
    "b7": (37_745_884_192, 600, 3.1),
}


@pytest.mark.parametrize("share", np.linspace(0, 1, 60))
def test_every_budget_in_range_is_met_within_a_percent(shipped, share):
    low, high = shipped.macs_range
    budget = low * (high / low) ** share
    prediction = shipped.predict(budget)
    assert prediction.in_range
    assert abs(prediction.macs / budget - 1) <= 0.01
    assert prediction.macs == architecture_complexity(prediction.architecture, 1000).macs


@pytest.mark.parametrize(("budget", "shown"), [(3e6, "3M"), (900e9, "900G"), (1.0, "1")])
def test_a_budget_outside_the_range_is_refused_with_the_range(shipped, budget, shown):
    with pytest.raises(PlannerError, match=rf"^{shown} MACs is outside the 24.36M to 37.75G .* give --extrapolate"):
        shipped.predict(budget)


@pytest.mark.parametrize("budget", [3e6, 900e9])
def test_extrapolation_is_answered_where_it_is_asked_for_and_says_so(shipped, budget):
    prediction = shipped.predict(budget, extrapolate=True)
    assert not prediction.in_range
    assert prediction.as_dict()["in_range"] is False
    assert abs(prediction.macs / budget - 1) <= 0.01


def test_the_ends_of_the_range_belong_to_it(shipped):
    low, high = shipped.macs_range
    for budget in (low, high, 0.995 * low, 1.005 * high):
        assert shipped.predict(budget).in_range
    for budget in (0.98 * low, 1.02 * high):
        with pytest.raises(PlannerError, match="outside"):
            shipped.predict(budget)


@pytest.mark.parametrize("budget", [0, -5, float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("extrapolate", [False, True])
def test_an_impossible_budget_is_refused(shipped, budget, extrapolate):
    with pytest.raises(PlannerError, match="the budget must be a positive number of MACs, got"):
        shipped.predict(budget, extrapolate)


def test_a_budget_for_which_nothing_can_be_built_is_refused_with_the_nearest(shipped):
    with pytest.raises(InputError, match="no width at .* costs 200,000 MACs; the nearest is .* take another budget"):
        shipped.predict(200e3, extrapolate=True)


def test_each_side_of_the_base_network_has_its_own_curves(shipped):
    assert shipped.branch(0.999) is shipped.branch(1.0) is shipped.branches["shrink"]
    assert shipped.branch(1.001) is shipped.branches["enlarge"]
    assert shipped.predict(0.9 * B0_MACS).rule == shipped.branches["shrink"].rule
    assert shipped.predict(1.1 * B0_MACS).rule == shipped.branches["enlarge"].rule


def test_the_only_curves_there_are_answer_for_both_sides(shipped):
    from dataclasses import replace

    for direction, branch in shipped.branches.items():
        alone = replace(shipped, branches={direction: branch})
        assert alone.branch(0.5) is alone.branch(2.0) is branch


@pytest.mark.parametrize(("resolution", "classes"), [(96, 10), (96, None), (None, 10), (448, 5000), (None, None)])
def test_at_another_size_the_rule_stays_relative(shipped, resolution, classes):
    other = shipped.at(resolution, classes)
    assert (other.resolution, other.classes) == (resolution or 224, classes or 1000)
    assert other.c_range == shipped.c_range
    base_macs = complexity("efficientnet_b0", resolution=other.resolution, classes=other.classes).macs
    assert other.macs_range == pytest.approx([c * base_macs for c in shipped.c_range])
    c = 0.4
    here, there = shipped.predict(c * B0_MACS), other.predict(c * base_macs)
    assert there.c == pytest.approx(here.c)
    assert there.d == pytest.approx(here.d)
    assert there.macs == architecture_complexity(there.architecture, other.classes).macs
    assert abs(there.macs / (c * base_macs) - 1) <= 0.01


@pytest.mark.parametrize(
    ("resolution", "classes"), [(0, None), (None, 0), (-1, None), (None, -4), (16, None), (10**6, None)]
)
def test_a_size_the_base_network_cannot_have_is_refused(shipped, resolution, classes):
    with pytest.raises(InputError, match="must be between 1 and|is below efficientnet_b0's stride"):
        shipped.at(resolution, classes)


@pytest.mark.parametrize("budget", [30e6, 200e6, 385_814_752, 2e9, 30e9])
def test_a_prediction_is_json_and_its_architecture_costs_what_it_says(shipped, budget):
    answer = json.loads(json.dumps(shipped.predict(budget).as_dict(), allow_nan=False))
    architecture = Architecture(
        answer["base"],
        answer["resolution"],
        answer["stem"],
        tuple(answer["widths"]),
        tuple(answer["depths"]),
        answer["head"],
    )
    cost = architecture_complexity(architecture, answer["classes"])
    assert (cost.macs, cost.params) == (answer["macs"], answer["params"])
    assert answer["budget_macs"] == budget
    assert answer["c"] == pytest.approx(budget / B0_MACS)
    assert answer["r"] == answer["resolution"] / 224
    accuracy = answer["accuracy"]
    assert 0 <= accuracy["lower"] < accuracy["mean"] < accuracy["upper"] <= 1


def test_the_accuracy_of_a_published_network_lies_in_its_interval(shipped):
    accuracy = shipped.predict(200_709_360).accuracy  # TinyNet-B, 75.0 %
    assert accuracy["lower"] < 0.750 < accuracy["upper"]
    assert accuracy["level"] == 0.9


def test_the_accuracy_of_an_extrapolation_says_so_and_is_less_sure(shipped):
    low, high = shipped.macs_range
    inside, above, below = (shipped.predict(macs, extrapolate=True) for macs in (high, 1.5 * high, low / 1.5))
    assert inside.accuracy["in_range"] and not above.accuracy["in_range"] and not below.accuracy["in_range"]
    assert above.as_dict()["accuracy"]["in_range"] is False
    for found in (above, below):
        plain = found.formula.accuracy.interval(found.c)
        assert found.accuracy["upper"] - found.accuracy["lower"] > plain[1] - plain[0]


@pytest.mark.parametrize("name", EFFICIENTNETS)
def test_compound_scaling_at_published_macs_is_near_the_published_network(name):
    macs, resolution, depth = EFFICIENTNETS[name]
    prediction = compound("efficientnet_b0").predict(macs)
    assert prediction.architecture.resolution == pytest.approx(resolution, rel=0.12)
    # B5 to B7 were published with less depth than their MACs, by 1.92 per phi, ask for.
    assert prediction.d == pytest.approx(depth, rel=0.12 if name < "b5" else 0.17)
    assert abs(prediction.macs / macs - 1) <= 0.01
    assert prediction.accuracy is None


def test_compound_scaling_multiplies_the_cost_of_the_paper_per_phi():
    formula = compound("efficientnet_b0")
    per_phi = 1.2 * 1.1**2 * 1.15**2
    for phi in (-3, -1, 2, 5):
        assert formula.branch(per_phi**phi).r(per_phi**phi)[0] == pytest.approx(1.15**phi)
        assert formula.branch(per_phi**phi).d(per_phi**phi)[0] == pytest.approx(1.2**phi)


def test_compound_scaling_of_a_proxy_task_is_relative_to_its_own_base():
    formula = compound("efficientnet_b0", resolution=64, classes=10)
    assert formula.base_macs == complexity("efficientnet_b0", resolution=64, classes=10).macs
    assert formula.predict(formula.base_macs).architecture.resolution == pytest.approx(64, rel=0.08)


def test_saving_where_nothing_can_be_written_is_refused_with_what_to_do(shipped, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PlannerError, match="f.json: .*; choose another --out"):
        shipped.save(tmp_path / "file" / "f.json")


@pytest.mark.parametrize("exponent", [-2.0, 2.0])
@pytest.mark.parametrize("budget", [3e6, 900e9])
def test_the_expected_accuracy_stays_between_0_and_1_however_far_it_is_extrapolated(shipped, budget, exponent):
    from dataclasses import replace

    from planner.gaussian.curve import power_law

    steep = replace(shipped, accuracy=power_law(exponent))
    accuracy = steep.predict(budget, extrapolate=True).accuracy
    assert 0 <= accuracy["lower"] <= accuracy["mean"] <= accuracy["upper"] <= 1
