"""`planner scale` with searches: on the ledger of a study, resumed where they were, with what they found in files."""

import json

import pandas as pd
import pytest

from planner.commands import searching
from planner.searches.record import read_found
from planner.searches.running import Search, chosen_by
from planner.searches.stopwatch import MeasuredCost
from planner.study.opening import open_ledger
from sampler import architecture_complexity, scaled
from trainer.latency import Timing

START = ("--study", "mine", "--width", "0.5", "--depth", "0.5", "--resolution", "64")
GREEDY = ("scale", "efficientnet_b0", "--method", "greedy", *START, "--flops", "14M")
GREEDY += ("--set", "iterations=2", "--set", "width_step=8", "--set", "ratios=0,1")


@pytest.fixture
def closed_form(train, monkeypatch):
    """Trainings by a formula; may be told to die after so many."""
    state = {"left": None, "trained": 0}

    def accuracy(macs, one):
        if state["left"] == 0:
            state["left"] = None
            raise KeyboardInterrupt
        state["left"] = None if state["left"] is None else state["left"] - 1
        state["trained"] += 1
        return 0.9 - 0.5 * (macs / 1e6) ** -0.3 - 0.01 * abs(one.depths[3] - 3) + 1e-4 * one.widths[4]

    def queued(ledger, *_):
        with ledger.coordinating():
            ledger.reconcile()
            train(ledger, accuracy)

    monkeypatch.setattr("planner.searches.trained.train_queued", queued)
    monkeypatch.setattr("planner.searches.trained.refusal", lambda *_: None)
    return state


def test_a_search_grows_a_network_and_leaves_its_trace(new, run, closed_form):
    code, printed, told = run(*GREEDY)
    assert code == 0 and "greedy: efficientnet_b0" in printed and "iteration 2 of 2" in told
    found = read_found(new.folder / "searches")[0]
    assert abs(architecture_complexity(found.architecture, 4).macs / 14e6 - 1) <= 0.01
    assert found.trainings == closed_form["trained"] == new.counts()["ok"]
    trace = pd.read_csv(new.folder / "searches" / "greedy-14000000.csv")
    assert list(trace["iteration"]) == [1, 2] and (trace["macs"].diff().dropna() > 0).all()
    each = pd.read_csv(new.folder / "searches" / "greedy-14000000.trainings.csv")
    assert len(each) == found.trainings and each["candidate"].nunique() > 1
    assert set(trace["accuracy"]) <= set(each["accuracy"])


def test_a_search_that_died_goes_on_and_finds_the_same(new, run, closed_form):
    closed_form["left"] = 7
    assert run(*GREEDY)[0] != 0
    begun = closed_form["trained"]
    code, _, _ = run(*GREEDY)
    assert code == 0 and begun == 7
    again = json.loads(run(*GREEDY, "--json")[1])
    assert closed_form["trained"] == again["trainings"] == read_found(new.folder / "searches")[0].trainings
    assert new.counts()["running"] == 0


def test_an_uninterrupted_search_finds_what_an_interrupted_one_found(new, run, closed_form, tmp_path, train):
    closed_form["left"] = 5
    run(*GREEDY)
    interrupted = json.loads(run(*GREEDY, "--json")[1])
    (tmp_path / "results").rename(tmp_path / "before")
    (tmp_path / "results" / "mine").mkdir(parents=True)
    (tmp_path / "results" / "mine" / "study.toml").write_text((tmp_path / "before/mine/study.toml").read_text())
    whole = json.loads(run(*GREEDY, "--json")[1])
    for key in ("architecture", "steps", "notes", "trainings"):
        assert whole[key] == interrupted[key]


def test_a_shortlist_is_ranked_by_the_studys_own_trainings(new, run, closed_form, train):
    refused = run(*GREEDY, "--set", "shortlist=3")
    assert refused[0] == 2 and "has 0 of at least 20" in refused[2]
    assert run("sample", "--study", "mine", "--trials", 24)[0] == 0
    train(new)
    code, printed, _ = run(*GREEDY, "--set", "shortlist=3", "--json")
    answer = json.loads(printed)
    assert code == 0 and [step["scored"] for step in answer["steps"]] == [3, 3]
    assert answer["trainings"] == 10 and any("trainings saved" in note for note in answer["notes"])


def test_rbis_keeps_to_its_budget(new, run, closed_form):
    flops = 1.3 * architecture_complexity(scaled("efficientnet_b0", 64, 0.5, 0.5, rule="inverse"), 4).macs
    arguments = ("--flops", str(round(flops)), "--resolutions", "60,64", "--set", "keep=3")
    code, printed, _ = run("scale", "efficientnet_b0", "--method", "rbis", *START, *arguments, "--json")
    answer = json.loads(printed)
    assert code == 0 and answer["architecture"]["resolution"] in (60, 64)
    assert all(step["macs"] <= flops for step in answer["steps"]) and answer["trainings"] > 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("greedy", "--flops", "14M", "--set", "speed=3"),
            "--set speed: no option of this search; it has iterations, tolerance",
        ),
        (("greedy", "--flops", "14M", "--set", "iterations=many"), "--set iterations=many: not a value of it"),
        (("greedy", "--set", "iterations"), "NAME=VALUE is wanted"),
        (("greedy", "--resolutions", "64"), "greedy takes no --resolutions"),
        (("greedy", "--flops", "14M", "--neighbours"), "--neighbours has no effect on greedy; it is of rbis"),
        (("rbis", "--flops", "14M", "--resolutions", "64", "--neighbours"), "no effect beside --resolutions"),
        (("rbis", "--flops", "14M", "--pretrain", "3"), "--pretrain has no effect on rbis; it is of greedy"),
        (("rbis", "--flops", "14M", "--score", "zen", "--seeds", "3"), "--seeds has no effect with a Zen-score"),
        (("adjust", "--noise", "0"), "--noise has no effect on adjust"),
        (("adjust", "--recipe", "amplify"), "--recipe has no effect on adjust"),
        (("greedy", "--flops", "14M", "--recipe", "amplify,lr=1"), "'lr=1' is no VALUE=NUMBER"),
        (("greedy", "--flops", "14M", "--measured", "torch"), "--measured has no effect without --latency"),
        (("rbis", "--latency", "3ms", "--measured", "torch", "--latency-model", "m"), "beside --measured"),
        (("compound", "--flops", "14M", "--noise", "0"), "compound is a rule and takes no --noise"),
        (("rbis", "--flops", "14M", "--latency", "3ms"), "give --flops or --latency"),
        (("compound", "--flops", "14M", "--set", "a=1"), "compound is a rule and takes no --set"),
        (("greedy",), "greedy grows a network to a budget; give --flops"),
    ],
)
def test_what_cannot_be_searched_is_said_in_one_line(arguments, words, new, run, closed_form):
    method, *others = arguments
    study = () if method == "compound" else ("--study", "mine")
    code, _, told = run("scale", "efficientnet_b0", "--method", method, *study, *others)
    assert code == 2 and words in told and told.strip().count("\n") == 0


def test_a_study_of_another_base_network_is_refused(new, run):
    code, _, told = run("scale", "resnet18", "--method", "greedy", "--study", "mine", "--flops", "1G")
    assert code == 2 and "study mine is of efficientnet_b0, not of resnet18" in told


def test_what_growing_gained_is_in_text_json_and_record(new, run, closed_form):
    code, printed, told = run(*GREEDY, "--pretrain", "5")
    assert code == 0 and "(control 0." in printed and "growing itself gained" in printed
    (found,) = read_found(new.folder / "searches")
    answer = json.loads(run(*GREEDY, "--pretrain", "5", "--json")[1])
    assert answer["gain"]["found"] == answer["steps"][-1]["accuracy"] == found.gain.found
    assert (found.chosen_by, found.seeds, answer["seeds"]) == ("fine-tunes", 1, 1)
    trace = pd.read_csv(new.folder / "searches" / "greedy-14000000.csv")
    assert trace["control"].notna().all() and found.gain.start == found.gain.control  # trainings by a formula
    each = pd.read_csv(new.folder / "searches" / "greedy-14000000.trainings.csv")
    unchanged = each[each["candidate"].str.endswith("unchanged")]
    assert len(unchanged) == 3 and unchanged["asks"].str.contains("parent=").all()
    assert each.loc[each["candidate"] == "base network", "asks"].tolist() == ["epochs=5"]


def test_seeds_are_trainings_of_each_network(new, run, closed_form):
    code, printed, _ = run(*GREEDY, "--seeds", "2", "--set", "iterations=1", "--json")
    answer = json.loads(printed)
    assert code == 0 and answer["seeds"] == 2 and answer["trainings"] == closed_form["trained"]
    assert answer["trainings"] == 2 * (2 + answer["steps"][0]["scored"])  # with the start and its control
    assert sorted(new.frame()["seed"].unique()) == [0, 1]


@pytest.mark.parametrize(
    ("method", "settings", "score", "inherits", "chosen"),
    [
        ("greedy", {}, "accuracy", True, "fine-tunes"),
        ("greedy", {}, "accuracy", False, "trainings"),
        ("rbis", {}, "accuracy", True, "trainings"),
        ("rbis", {"inherit": "true"}, "accuracy", True, "fine-tunes"),
        ("rbis", {}, "zen", True, "zen"),
        ("adjust", {}, "accuracy", True, "trainings"),
    ],
)
def test_what_a_search_chooses_by(method, settings, score, inherits, chosen):
    search = Search(method, scaled("efficientnet_b0", 64), 1e9, settings, score=score)
    assert chosen_by(search, inherits) == chosen


def test_a_width_that_the_rule_rounds_far_away_is_said_with_the_rule_that_does_not(run, tmp_path):
    def started(rule):
        made = ("--study", rule, "--base", "resnet20_cifar", "--data", "fractal:classes=2,train=60,validation=4")
        assert run("sample", *made, "--rule", rule, "--trials", 1)[0] == 0
        # Ends at once: grows from a network that costs more already.
        arguments = ("--study", rule, "--width", "0.75", "--flops", "1M")
        return run("scale", "resnet20_cifar", "--method", "greedy", *arguments)[2]

    words = "width 0.75 by rule inverse is 16 24 48 channels, 117.7M MACs; --rule free starts from 12 24 48, 91.57M"
    assert words in started("inverse") and "starts from" not in started("free")


def test_per_layer_adjustments_start_from_the_papers_widths(run, tmp_path):
    images = ("--data", "fractal:classes=2,train=8,validation=4", "--resolution", "32", "--epochs", "1")
    assert run("sample", "--study", "thin", "--base", "resnet110_cifar", *images, "--trials", "1")[0] == 0
    ledger = open_ledger("thin")
    rule = searching._rule("adjust", ledger)
    start = searching.start_of(ledger, None, 0.7, 1.0, rule)
    assert rule == "free" and round(architecture_complexity(start, 100).macs / 1e6) == 121  # the paper's 119M
    assert searching._rule("greedy", ledger) == "inverse"


def test_candidates_are_timed_once_on_the_device(new, run, closed_form, monkeypatch):
    timed = []

    class Watch:
        def __init__(self, architectures, setting, classes):
            self.each = architectures

        def run(self, seconds):
            timed.extend(self.each)

        def timings(self):
            each = [architecture_complexity(one, 4).macs / 1e6 for one in self.each]
            return [Timing(ms, 0.98 * ms, 1.02 * ms, 9, 0.0, 0.0) for ms in each]

    monkeypatch.setattr("planner.searches.stopwatch.Stopwatch", Watch)
    macs = architecture_complexity(scaled("efficientnet_b0", 64, 0.5, 0.5, rule="inverse"), 4).macs
    arguments = ("--latency", f"{1.3e-6 * macs}ms", "--measured", "torch", "--device", "cpu", "--resolutions", "60,64")
    code, printed, told = run("scale", "efficientnet_b0", "--method", "rbis", *START, *arguments, "--set", "keep=3")
    assert code == 0 and "timed 2 networks on " in told and "latencies timed by torch on " in printed
    assert len(timed) == len(set(timed)) > 5 and "quartiles 4.0 % of the median apart" in printed
    known = [json.loads(line) for line in (new.folder / "searches" / "latency.jsonl").read_text().splitlines()]
    assert len(known) == len(timed) and {one["runtime"] for one in known} == {"torch"}
    again = run("scale", "efficientnet_b0", "--method", "rbis", *START, *arguments, "--set", "keep=3")
    assert "too far" not in printed
    assert again[0] == 0 and len(known) == len(timed) and "all latencies were known" in again[1]


def test_widths_that_stand_still_are_said_once_with_the_divisor_that_moves_them(new, run, closed_form):
    arguments = ("--flops", "4M", "--width", "0.25", "--resolutions", "64", "--set", "keep=1")
    line = "2 of 5 widths do not move at multiples of 8; --set divisor=4 is the thesis' own"
    _, printed, told = run("scale", "efficientnet_b0", "--method", "rbis", *START, *arguments)
    assert line in printed and line in told
    _, printed, _ = run("scale", "efficientnet_b0", "--method", "rbis", *START, *arguments, "--set", "divisor=4")
    assert "thesis' own" not in printed


def test_unsteady_timings_are_said_to_be():
    cost = object.__new__(MeasuredCost)
    cost.spreads = [0.3, 0.7, 0.69]
    assert cost.disturbance().startswith("quartiles 69.0 % of the median apart, too far to rank networks")
