"""`planner calibrate`: trained on the ledger, never twice, whatever is killed; judged, and again from its table."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

PROXIES = ("--resamples", "100", "--proxy", "epochs=1", "--proxy", "name=small,epochs=2,share=0.5")


def anew(ledger):
    """The ledger, opened by another process."""
    return type(ledger)(ledger.folder, ledger.settings)


@pytest.fixture
def trainings(monkeypatch, train):
    """Trainings that take no time; how many each call did. One that is told to dies before it trains the last."""
    done, state = [], SimpleNamespace(dies=False)

    def trained(ledger, *_):
        waiting = ledger.counts()["waiting"]
        done.append(waiting)
        if state.dies:
            ledger.claim()
            raise KeyboardInterrupt
        with ledger.coordinating():
            ledger.reconcile()
            train(ledger, lambda macs, one: 0.9 - 0.5 * (macs / 1e6) ** -0.3 + 0.001 * one.depths[2])

    monkeypatch.setattr("planner.scores.calibrate.train_queued", trained)
    monkeypatch.setattr(
        "planner.scores.calibrate.zen_score", lambda one, *_, **__: SimpleNamespace(zen=float(one.resolution))
    )
    return SimpleNamespace(done=done, state=state)


def test_every_architecture_is_trained_by_every_proxy_and_by_the_study(mine, run, trainings):
    before = mine.frame()
    code, out, err = run("calibrate", "--study", "mine", *PROXIES, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["rows"] == 10 and found["rows_left_out"] == {"no accuracy": 1}
    assert trainings.done == [22]
    names = {one["name"] for one in found["scores"]}
    assert names == {"epochs=1", "small", "zen", "macs", "params"} and found["chosen"] in names
    table = pd.read_csv(found["table"])
    assert len(table) == 11 and table["accuracy"].isna().sum() == 1
    kept = before.set_index("trial")["accuracy"].reindex(table["trial"])
    assert np.allclose(table["accuracy"], kept, equal_nan=True)
    again = anew(mine)
    assert len(again.table().frame) == 10  # cheap trainings are no rows of the study
    assert again.frame()["asks"].value_counts().to_dict() == {"epochs=1": 11, "data_share=0.5 epochs=2": 11}
    assert again.training(11).fidelity.epochs == 1 and again.training(22).fidelity.data_share == 0.5


def test_the_same_command_goes_on_after_a_kill_and_trains_nothing_twice(mine, run, trainings):
    trainings.state.dies = True
    assert run("calibrate", "--study", "mine", *PROXIES)[0] == 130
    assert anew(mine).counts()["running"] == 1
    trainings.state.dies = False
    code, out, err = run("calibrate", "--study", "mine", *PROXIES)
    assert code == 0, err
    counts = anew(mine).counts()
    assert (counts["ok"], counts["waiting"], counts["running"]) == (10 + 22, 0, 0)
    assert run("calibrate", "--study", "mine", *PROXIES)[1] == out
    assert len(trainings.done) == 2  # the third had nothing to train


def test_the_table_alone_prints_the_same(mine, run, trainings):
    out = run("calibrate", "--study", "mine", *PROXIES)[1]
    code, again, err = run("calibrate", "--scores", "results/mine/calibration.csv", *PROXIES[:2])
    assert code == 0, err
    assert again in out or out.startswith(again.rsplit("\n", 2)[0])
    assert all(len(line) <= 80 for line in again.splitlines())
    assert "Spearman, 90%" in again and "macs *" in again and ("winner: " in again or "no winner: " in again)
    code, _, err = run("calibrate", "--scores", "results/mine/calibration.csv", "--study", "mine")
    assert code == 2 and "--study has no effect beside --scores" in err


def test_architectures_of_a_table_are_trained_and_no_others(new, run, trainings, tmp_path):
    from sampler import stratified_design

    design = stratified_design(new.space, 12, 0)
    stages = range(len(new.space.network.stages))
    rows = [
        {"resolution": one.resolution}
        | {f"width_{i + 1}": one.widths[i] for i in stages}
        | {f"depth_{i + 1}": one.depths[i] for i in stages}
        | {"stem": one.stem, "head": one.head}
        for one in design
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "given.csv", index=False)
    new.enqueue(stratified_design(new.space, 3, 9), "stratified")
    code, out, err = run("calibrate", "--study", "mine", "--architectures", "given.csv", *PROXIES, "--json")
    assert code == 0, err
    again = anew(new)
    assert json.loads(out)["rows"] == 12 and again.counts()["waiting"] == 3
    assert [again.architecture(number) for number in range(3, 15)] == list(design)
    assert len(again.table().frame) == 12 and again.table().frame["r"].notna().all()
    pd.DataFrame(rows).drop(columns="width_2").to_csv(tmp_path / "given.csv", index=False)
    code, _, err = run("calibrate", "--study", "mine", "--architectures", "given.csv", *PROXIES)
    assert code == 2 and err.count("\n") == 1 and "width_1 .. width_7" in err


def test_so_many_are_drawn_as_the_study_lacks(new, run, trainings):
    code, out, err = run("calibrate", "--study", "mine", "--architectures", "12", *PROXIES[:4], "--json")
    assert code == 0, err
    assert json.loads(out)["rows"] == 12 and trainings.done == [24]


def test_heirs_are_tuned_from_parents_that_are_trained_first(mine, run, trainings):
    code, out, err = run(
        "calibrate", "--study", "mine", *PROXIES[:2], "--proxy", "name=heirs,inherit,epochs=2,lr=0.02", "--json"
    )
    assert code == 0, err
    again = anew(mine)
    asked = [again.asks_of(number) for number in again.finished_numbers()]
    parents = [number for number, asks in enumerate(asked) if asks.get("keep")]
    heirs = [asks for asks in asked if "parent" in asks]
    assert parents and heirs and {asks["parent"] for asks in heirs} <= set(parents)
    assert all(asks["recipe"] == "amplify,learning_rate=0.02" for asks in heirs)
    assert again.training(len(asked) - 1).recipe.learning_rate == 0.02 and len(trainings.done) == 2
    table = pd.read_csv(json.loads(out)["table"])
    frame = again.frame().set_index("trial")
    spent = frame.loc[[n for n, asks in enumerate(asked) if "parent" in asks or asks.get("keep")], "seconds"].sum()
    assert np.isclose(table["heirs seconds"].sum(), spent)  # the parents' seconds are counted once


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--proxy", "epochs=zwei"), "--proxy 'epochs=zwei': epochs=zwei: a whole number"),
        ((), "no proxy given"),
        (("--proxy", "epochs=1", "--proxy", "epochs=1"), "is there twice"),
        (("--proxy", "epochs=1", "--architectures", "3"), "3 architectures to rank; at least 10"),
        (("--proxy", "epochs=1", "--architectures", "none.csv"), "none.csv"),
        (("--proxy", "epochs=1", "--stop-early"), "--stop-early has no effect"),
    ],
)
def test_what_cannot_be_calibrated_is_refused_in_one_line(mine, run, trainings, options, words):
    before = mine.counts()
    code, _, err = run("calibrate", "--study", "mine", *options)
    assert code == 2 and err.count("\n") == 1 and words in err and not trainings.done
    assert anew(mine).counts() == before
