"""`planner score`: cheap scores beside accuracies, resumed, and read by `planner audit`."""

import json
import shutil

import pandas as pd
import pytest


@pytest.fixture(scope="module")
def trained_once(made, tmp_path_factory):
    """The folder of a study of four tiny networks, each trained twice."""
    folder = tmp_path_factory.mktemp("scored")
    images = ("--data", "fractal:classes=2,train=50,validation=10", "--resolution", "32", "--window", "0.03", "0.3")
    made(folder, "sample", "--study", "s", "--trials", "4", "--epochs", "1", "--seeds", "2", *images)
    made(folder, "train", "--study", "s", "--workers", "1")
    return folder


@pytest.fixture
def trained(trained_once, run, tmp_path):
    """`planner ARGS` where that study is."""
    shutil.copytree(trained_once, tmp_path, dirs_exist_ok=True)
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
    assert "parents for 4 of 4 architectures" in err and "\nparent " in err
    # What the scores cost adds up, the parents' trainings included.
    raised = {file.stem: json.loads(file.read_text())["seconds"] for file in (path.parent / "parents").glob("*.json")}
    assert set(frame["inherited_parent"]) == set(raised)
    assert {file.stem for file in (path.parent / "parents").glob("*.safetensors")} == set(raised)
    assert frame["inherited_parent_seconds"].sum() == pytest.approx(sum(raised.values()))
    assert f"4 of 4 inherited; {len(raised)} parents trained in {sum(raised.values()):.0f} s" in out
    # A second call has nothing to do: not even the parents are trained again.
    before = path.read_bytes()
    code, _, err = trained("score", "--study", "s", "--zen", "--inherit", "1")
    assert code == 0 and "parent" not in err and path.read_bytes() == before
    # A lost score is computed again, from the parents that are there.
    frame.drop(index=0).to_csv(path, index=False)
    code, _, err = trained("score", "--study", "s", "--inherit", "1")
    again = pd.read_csv(path)
    assert code == 0 and "parents for 1 of 1" in err and "\nparent " not in err
    assert again["inherited_parent"].tolist() == frame["inherited_parent"].tolist()
    assert again["inherited"].tolist() == frame["inherited"].tolist()


def test_no_score_asked_for_and_a_damaged_table_are_refused(trained, tmp_path):
    code, _, err = trained("score", "--study", "s")
    assert code == 2 and "no score asked for: give --zen, --inherit EPOCHS or both" in err
    (tmp_path / "results" / "s" / "scores.csv").write_text("zen\n1\n")
    code, _, err = trained("score", "--study", "s", "--zen")
    assert code == 2 and "not a table of scores ('trial'); remove it and score again" in err


def test_a_damaged_record_of_a_parent_is_refused_by_name(trained, tmp_path):
    folder = tmp_path / "results" / "s" / "parents"
    folder.mkdir()
    (folder / "0123.json").write_text("{}")
    code, _, err = trained("score", "--study", "s", "--inherit", "1")
    assert code == 2 and "0123.json: not a parent's training" in err and "remove it and score again" in err
