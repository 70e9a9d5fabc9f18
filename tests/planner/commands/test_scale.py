"""`planner scale` prints what the rules give, and refuses in one line what the user can mend."""

import json

import pytest

from planner.answers.formula import Formula
from planner.formulas.coefficients import Coefficients
from planner.rules import at_budget, by_factor, compound


def answer(run, *arguments):
    """What the command prints as JSON."""
    code, out, err = run("scale", *arguments, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_a_budget_is_answered_as_the_library_does(run):
    found = answer(run, "efficientnet_b0", "--method", "depth", "--flops", "300M", "--classes", 10)
    ours = at_budget("depth", "efficientnet_b0", 300e6, classes=10)
    assert found == json.loads(json.dumps(ours.as_dict()))
    assert abs(found["macs"] / 300e6 - 1) <= 0.01 and found["classes"] == 10
    assert found["pure"]["w"] == 1 and abs(found["pure"]["error"]) > 0.01
    pure = answer(run, "efficientnet_b0", "--method", "depth", "--flops", "300M", "--classes", 10, "--pure")
    assert pure == found["pure"]


def test_a_factor_is_answered_by_the_rule_alone(run):
    found = answer(run, "efficientnet_b0", "--method", "d1_w8_g8_r1", "--scale", 2)
    assert (found["macs"], found["resolution"], found["pure"]) == (781_816_464, 232, None)


def test_options_reach_the_rule(run, tmp_path):
    found = answer(run, "efficientnet_b0", "--method", "compound", "--scale", 2, "--alpha", 1.3, "--gamma", 1.1)
    ours = by_factor("compound", "efficientnet_b0", 2, factors=Coefficients(1.3, 1.1, 1.1))
    assert found == json.loads(json.dumps(ours.as_dict()))
    found = answer(run, "resnet50", "--method", "resnet-rs", "--scale", 2, "--epochs", 5, "--resolution", 96)
    assert found == json.loads(json.dumps(by_factor("resnet-rs", "resnet50", 2, 96, epochs=5).as_dict()))
    formula = Formula.of(compound("resnet18"))
    formula.save(tmp_path / "f.json")
    for method in ("compound", "tinynet"):
        found = answer(run, "resnet18", "--method", method, "--flops", "1G", "--formula", "f.json")
        assert found == json.loads(json.dumps(at_budget(method, "resnet18", 1e9, formula=formula).as_dict()))
    assert answer(run, "resnet18", "--method", "width", "--flops", "1G", "--rule", "free")["rule"] == "free"


def test_people_read_both_answers(run):
    code, out, err = run("scale", "efficientnet_b0", "--method", "depth", "--flops", "100M")
    found = at_budget("depth", "efficientnet_b0", 100e6)
    assert (code, err) == (0, "")
    assert "moved to the budget:" in out and "the rule itself:" in out
    assert f"{found.macs:,}" in out and f"{found.pure.macs:,} (+73.21 % of the budget)" in out
    assert ", ".join(found.nudges()) in out
    code, out, _ = run("scale", "regnety_016", "--method", "fast", "--scale", "2")
    assert code == 0 and "2 times its own" in out and "group widths are 32 32 32 32 instead of 24 24 24 24" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "fast"], "give --flops, such as 400M, or --scale"),
        (["--method", "fast", "--flops", "1G", "--scale", "2"], "give --flops, such as 400M, or --scale"),
        (["--method", "fast", "--scale", "2", "--pure"], "leave --pure out"),
        (["--method", "fast", "--scale", "nan"], "scale"),
        (["--method", "fast", "--scale", "1e9"], "rules are for 0.001 to 1000 times"),
        (["--method", "other", "--scale", "2"], "method 'other' is unknown"),
        (["--method", "fast", "--flops", "1G", "--alpha", "1.2"], "does not take alpha"),
        (["--method", "tinynet", "--flops", "1G", "--formula", "absent.json"], "absent.json"),
        (["--flops", "1G"], "--method"),
    ],
)
def test_what_the_user_can_mend_is_refused_in_one_line(run, arguments, message):
    code, out, err = run("scale", "efficientnet_b0", *arguments)
    assert (code, out) == (2, ""), err
    assert message in err and err.count("\n") == 1
