"""`planner next` and `planner status`: every rule, in its order, with its numbers."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from planner.advice.recommend import recommend
from planner.advice.situation import Situation
from sampler import SearchSpace, stratified_design
from trainer.score import ACCURACY

LEDGER = SimpleNamespace(
    space=SearchSpace("efficientnet_b0", 64),
    folder=SimpleNamespace(name="s"),
    settings=SimpleNamespace(fidelity=SimpleNamespace(epochs=2), score=ACCURACY),
)


def situation(**facts):
    """A study with 40 trainings and nothing remarkable, but for what is given."""
    usual = {
        "ledger": LEDGER,
        "counts": {"ok": 40, "failed": 1, "running": 0, "waiting": 0},
        "initial_size": 8,
        "waiting_work": np.empty(0),
        "finished": pd.DataFrame({"message": ["", "loss is nan"]}),
        "front": pd.DataFrame(
            {"trial": range(6), "macs": [1e6, 2e6, 4e6, 8e6, 16e6, 32e6], "accuracy": [0.4, 0.5, 0.6, 0.7, 0.75, 0.8]}
        ).assign(r=0.7, d=0.8, w=0.6),
        "noise_measured": True,
        "noise_std": 0.01,
        "rows": pd.DataFrame({"width_1": range(40), "accuracy": 0.5, "classes": 20}),
        "integers": ["width_1"],
        "learned": 40,
        "promised": pd.DataFrame({"gain": [0.02, 0.01], "points": [0.015, 0.03], "macs": [5e6, 6e6]}),
        "hours_of": lambda macs: float(np.sum(macs)) / 1e6,
        "touching": lambda: [("r", "highest", 0.2), ("d", "lowest", 0.1)],
        "as_dict": lambda: {"lost": {"diverged": 1}},
    }
    return SimpleNamespace(**{**usual, **facts})


def counts(**some):
    return {"ok": 0, "failed": 0, "running": 0, "waiting": 0, **some}


def front(**columns):
    usual = situation().front
    return usual.assign(**columns)


def test_nothing_trained_asks_for_an_initial_design_of_a_stated_size():
    advice = recommend(situation(counts=counts()))
    assert advice.action == "sample" and advice.command == "planner sample --study s --trials 8"
    assert "two trainings for each coefficient of a line in 3 factors" in advice.why


def test_what_waits_is_trained_first_whatever_else_there_is():
    advice = recommend(situation(counts=counts(waiting=2, failed=30), waiting_work=np.array([2e6, 3e6])))
    assert (advice.action, advice.what, advice.hours) == ("train", "train the 2 that wait", 5.0)
    assert "let the 3 running trainings end" in recommend(situation(counts=counts(running=3))).what


def test_many_failures_are_said_with_their_kinds_and_last_words():
    broken = {"as_dict": lambda: {"lost": {"diverged": 12, "killed": 3}}}
    advice = recommend(situation(counts=counts(ok=20, failed=15), **broken))
    assert advice.action == "mend" and "15 of 35" in advice.why and "12 diverged, 3 killed" in advice.why
    assert advice.what.endswith("the last says: loss is nan")
    assert recommend(situation(counts=counts(ok=20, failed=2), **broken)).action != "mend"
    assert recommend(situation(counts=counts(ok=1, failed=2), **broken)).action == "sample"  # too few to tell


def test_trainings_that_learn_nothing_ask_for_longer_ones():
    rows = pd.DataFrame({"accuracy": [1 / 6, 0.2, 1 / 6, 0.5], "classes": 6})
    advice = recommend(situation(rows=rows, counts=counts(ok=4)))
    assert advice.action == "lengthen" and "--epochs 8" in advice.what
    assert advice.why.startswith("3 of 4 trainings are hardly better than guessing among 6 classes (16.7%)")
    assert recommend(situation(rows=rows.assign(accuracy=[0.2, 0.4, 0.4, 0.5]))).action == "propose"
    assert recommend(situation(rows=rows[:2], counts=counts(ok=2))).action == "sample"  # too few to say so


def test_an_unfinished_initial_design_is_finished():
    advice = recommend(situation(counts=counts(ok=5, failed=1)))
    assert (advice.action, advice.command) == ("sample", "planner sample --study s --trials 3")


@pytest.mark.parametrize(
    "touching, words, why",
    [
        (
            ("w", "lowest", 0.6),
            "make another study with --w 0.233 2.8",
            "60% of the 6 points on the front touch the low",
        ),
        (("d", "highest", 0.8), "make another study with --d 0.35 4.2", "80% .* touch the highest d, 2.8"),
        (("r", "highest", 1.0), "--r 0.5 4.2, and a larger --side", "100% .* touch the highest r"),
    ],
)
def test_a_front_at_a_bound_asks_for_a_wider_space(touching, words, why):
    advice = recommend(situation(touching=lambda: [("d", "lowest", 0.1), touching]))
    assert advice.action == "widen" and words in advice.what
    assert pd.Series([advice.why]).str.contains(why).all()


def test_a_front_that_hardly_touches_or_has_few_points_does_not():
    assert recommend(situation(touching=lambda: [("w", "lowest", 0.59)])).action == "propose"
    few = situation(touching=lambda: [("w", "lowest", 1.0)], front=front().head(4))
    assert recommend(few).action == "propose"


def test_neighbours_that_scale_differently_inside_the_noise_are_repeated():
    # 1 point apart where seeds scatter by 0.5: 2 (1.645 * 0.5 / 1)^2 = 1.35, so two seeds of each.
    close = front(macs=[1e6, 2e6, 4e6, 5e6, 16e6, 32e6], accuracy=[0.4, 0.5, 0.6, 0.61, 0.75, 0.8])
    close["r"] = [0.7, 0.7, 0.6, 0.8, 0.7, 0.7]
    little = pd.DataFrame({"gain": [0.02], "points": [0.0019], "macs": [5e6]})  # less than any noise below
    assert recommend(situation(front=close, noise_std=0.005)).action == "propose"  # more is to be gained elsewhere
    advice = recommend(situation(front=close, noise_std=0.005, promised=little))
    assert advice.action == "repeat" and "trials 2 and 3 with 1 more seed each" in advice.what
    assert advice.what.endswith("the rules cannot be told apart")
    assert advice.command == "planner propose --study s --repeat 2,3 --seeds 1" and advice.hours == pytest.approx(9.0)
    # Not where it was done, is certain, would need many seeds, or where both say the same.
    assert recommend(situation(front=close.assign(repeats=2), noise_std=0.005, promised=little)).action == "propose"
    assert recommend(situation(front=close, noise_std=0.002, promised=little)).action == "propose"
    assert recommend(situation(front=close, noise_std=0.02, promised=little)).action == "propose"
    assert recommend(situation(front=close.assign(r=0.7), noise_std=0.005, promised=little)).action == "propose"
    # Nor where a fifth of all trainings are repeats already.
    often = pd.DataFrame({"width_1": [*range(32), *range(8)]}).assign(accuracy=0.5, classes=20)
    assert recommend(situation(front=close, noise_std=0.005, rows=often, promised=little)).action == "propose"


def test_some_of_the_front_are_repeated_once_there_are_trainings_enough_and_no_noise_was_measured():
    rows = situation().rows
    advice = recommend(situation(noise_measured=False, rows=rows[:15]))
    assert (advice.action, advice.command) == ("repeat", "planner propose --study s --repeat 0,2,5 --seeds 1")
    assert advice.hours == pytest.approx(1 + 4 + 32) and "none of 15 trainings was repeated" in advice.why
    many = recommend(situation(noise_measured=False))
    assert many.command == "planner propose --study s --repeat 0,1,2,4,5 --seeds 1"  # five of six, however many rows
    few = recommend(situation(noise_measured=False, front=front().head(2)))
    assert few.command == "planner propose --study s --repeat 0,1 --seeds 3"
    # Not before, not where it was done, and not in a study that is to be made wider anyway.
    assert recommend(situation(noise_measured=False, rows=rows[:14])).action == "propose"
    assert recommend(situation(rows=rows[:15])).action == "propose"
    wider = situation(noise_measured=False, touching=lambda: [("w", "lowest", 1.0)])
    assert recommend(wider).action == "widen"


def test_the_repeats_that_are_asked_for_measure_the_noise(run, mine, train, monkeypatch):
    monkeypatch.setattr("planner.advice.recommend.FEWEST_FOR_NOISE", 10)
    here = Situation(mine)
    here.touching = lambda: []
    advice = recommend(here)
    assert advice.action == "repeat" and not here.noise_measured
    code, _, err = run(*advice.command.split()[1:])
    assert code == 0, err
    train(mine)
    assert Situation(mine).noise_measured


def test_a_gain_that_drowns_in_noise_is_no_reason_to_train():
    little = pd.DataFrame({"gain": [0.001, 0.0005], "points": [0.001, 0.002], "macs": [5e6, 6e6]})
    advice = recommend(situation(promised=little))
    assert (advice.action, advice.hours, advice.gain) == ("stop", 0.0, 0.001)
    assert "of 2 architectures none" in advice.why and "0.10%" in advice.why and "0.2 points" in advice.why
    assert recommend(situation(promised=little, noise_std=0.001)).action == "propose"
    assert recommend(situation(promised=little.assign(gain=0.01))).action == "propose"


def test_else_a_quarter_of_what_was_trained_is_proposed_with_its_hours_and_gain():
    advice = recommend(situation(counts=counts(ok=8)))
    assert (advice.action, advice.command) == ("propose", "planner propose --study s -n 2")
    assert (advice.hours, advice.gain, advice.points, advice.macs) == (11.0, 0.02, 0.015, 5e6)
    assert "1.5 points of accuracy at 5M MACs" in advice.why
    assert recommend(situation()).command.endswith("-n 8")


def test_the_bounds_that_a_front_touches_are_found(mine):
    here = Situation(mine)
    here.front = pd.DataFrame({"r": [0.5, 0.51, 1.0, 1.39], "d": [0.35, 2.8, 1.0, 2.79], "w": 1.0})
    found = {(name, side): share for name, side, share in here.touching()}
    assert found[("d", "lowest")] == 0.25 and found[("d", "highest")] == 0.5
    assert found[("r", "highest")] == 0.25 and found[("w", "lowest")] == 0
    assert ("r", "lowest") not in found  # the network's stride: nothing to widen


def test_the_status_of_a_study_counts_hours_and_names_the_best_of_each_band(run, mine):
    mine.enqueue(stratified_design(mine.space, 2, 9, seen=mine.tried()), "test")
    code, out, err = run("status", "--json")
    assert code == 0, err
    found, frame = json.loads(out), mine.frame()
    assert (found["ok"], found["failed"], found["waiting"], found["running"]) == (10, 1, 2, 0)
    assert found["spent_hours"] == pytest.approx(frame["seconds"].sum() / 3600)
    assert found["wasted_hours"] == pytest.approx(frame.loc[frame["status"] != "ok", "seconds"].sum() / 3600)
    assert found["lost"] == {"diverged": 1} and 0 < found["waiting_hours"] < 0.1
    assert sum(band["trained"] for band in found["bands"]) == 10
    good = frame[frame["status"] == "ok"]
    for band in found["bands"]:
        rows = good[(good["macs"] >= band["low"]) & (good["macs"] < band["high"])]
        assert band["trained"] == len(rows) and band["best"]["accuracy"] == rows["accuracy"].max()
    code, out, _ = run("status")
    assert "mine: 10 trained, 1 failed or stopped, 0 running, 2 wait" in out and "1 diverged" in out


def test_next_walks_through_a_study(run, new, train):
    def advised():
        code, out, err = run("next", "--json")
        assert code == 0, err
        return json.loads(out)

    assert advised()["action"] == "sample"
    new.enqueue(stratified_design(new.space, 10, 0), "test")
    assert (advised()["action"], advised()["hours"]) == ("train", None)
    train(new, lambda macs, one: 0.9 - 0.5 * (macs / 1e6) ** -0.3 + 1e-3 * one.depths[2])
    found = advised()
    assert (
        found["action"] in ("propose", "stop", "widen", "repeat")
        and found["hours"] is not None
        or (found["action"] == "widen")
    )
    code, out, _ = run("next")
    assert out.startswith(found["what"][:1].upper()) and "\nWhy: " in out


def test_next_and_status_need_a_study(run):
    for command in ("next", "status"):
        code, out, err = run(command)
        assert (code, out) == (2, "") and "no study in results/study" in err


def test_what_a_surrogate_of_some_of_very_many_trainings_promises_is_said_so():
    assert "drawn by chance" not in recommend(situation()).why
    assert "a surrogate of 20 trainings drawn by chance" in recommend(situation(learned=20)).why
