"""`planner score`: cheap scores beside accuracies, resumed, and read by `planner audit`."""

import pandas as pd
import pytest

from planner.scores import common_parent
from sampler import architecture_complexity, base, scaled


@pytest.fixture
def trained(run):
    """A study of four tiny networks, each trained twice."""
    made = ("--data", "fractal:classes=2,train=50,validation=10", "--resolution", "32", "--window", "0.03", "0.3")
    code, _, err = run("sample", "--study", "s", "--trials", "4", "--epochs", "1", "--seeds", "2", *made)
    assert code == 0, err
    code, _, err = run("train", "--study", "s", "--workers", "1")
    assert code == 0, err
    return run


def test_scores_stand_beside_the_accuracies_and_are_not_computed_twice(trained, tmp_path):
    code, out, err = trained("score", "--study", "s", "--zen", "--inherit", "1")
    assert code == 0, err
    assert "Next: planner audit results/s/scores.csv --proxy zen --proxy zen_per_block --proxy inherited" in out
    path = tmp_path / "results" / "s" / "scores.csv"
    frame = pd.read_csv(path)
    assert len(frame) == 4 and (frame["repeats"] == 2).all()
    assert frame["zen"].is_unique and frame["zen"].notna().all()
    assert frame["inherited"].between(0, 1).all()
    assert err.startswith("parent: ")
    # A second call has nothing to do: not even the parent is trained again.
    before = path.read_bytes()
    code, _, err = trained("score", "--study", "s", "--zen", "--inherit", "1")
    assert code == 0 and "parent" not in err and path.read_bytes() == before


def test_no_score_asked_for_and_a_damaged_table_are_refused(trained, tmp_path):
    code, _, err = trained("score", "--study", "s")
    assert code == 2 and "no score asked for: give --zen, --inherit EPOCHS or both" in err
    (tmp_path / "results" / "s" / "scores.csv").write_text("zen\n1\n")
    code, _, err = trained("score", "--study", "s", "--zen")
    assert code == 2 and "not a table of scores ('trial'); remove it and score again" in err


def test_every_architecture_can_inherit_from_the_common_parent():
    children = [scaled("efficientnet_b0", px, w, d) for px, w, d in ((96, 0.5, 2.0), (64, 1.5, 0.5), (32, 1.0, 1.0))]
    parent = common_parent(children)
    assert parent.resolution == 64
    for child in children:
        assert all(map(int.__le__, parent.widths, child.widths)) and all(map(int.__le__, parent.depths, child.depths))
    assert architecture_complexity(parent).params <= min(architecture_complexity(one).params for one in children)
    assert common_parent([base("resnet18").architecture()]) == base("resnet18").architecture()
