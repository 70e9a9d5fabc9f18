"""Comparisons: who competes, what is trained once, what the intervals say, and what is written down."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from planner.commands.compare import table_beside
from planner.compare.background import Background, study_background
from planner.compare.contender import DRAWN
from planner.compare.contenders import LEARNED, contender, contenders
from planner.compare.measuring import SeedScore, Trained
from planner.compare.own import middle_of
from planner.compare.rows import COLUMNS, read_table, rows_in, rows_of_contenders, write_rows
from planner.compare.statistics import mean_interval, paired_difference
from planner.compare.summary import summaries
from planner.errors import PlannerError
from planner.fitting.fit import fit
from planner.report.answers import answers_of
from planner.rules import METHODS, compound
from planner.searches.record import SearchRecord, read_found, write_found
from planner.searches.scoring import Gain, SearchResult
from planner.study.folder import folder_of
from planner.study.ledger import Ledger
from planner.study.settings import StudySettings
from planner.study.trials import asked_key
from planner.training.resources import Resources
from sampler import LayeredArchitecture, architecture_complexity, base, scaled, stack
from sampler.complexity import base_macs
from sampler.moves import column_names, from_rows

BUDGET = 5e6


class Silent:
    def start(self, *_):
        pass

    epoch = done = note = close = start


def accuracy_of(macs, one):
    """A network's accuracy in closed form: deep ones are the better at equal MACs."""
    return 0.9 - 0.5 * (macs / 1e6) ** -0.3 + 0.002 * sum(one.depths)


@pytest.fixture
def trainings(train, monkeypatch):
    """Trainings take no time; each one's accuracy is the closed form and noise of its own. The list says how many."""
    done = []

    def trained(ledger, *_):
        noise = iter(np.random.default_rng(len(done)).normal(0, 0.01, 1000))
        done.append(ledger.counts()["waiting"])
        train(ledger, lambda macs, one: accuracy_of(macs, one) + next(noise))

    monkeypatch.setattr("planner.compare.measuring.train_queued", trained)
    return done


def measure(ledger, seeds=2, **more):
    return Trained(ledger, ledger.folder / "cache", Resources(), Silent(), seeds, **more)


def test_intervals_are_those_of_scipy():
    values = [0.61, 0.64, 0.62, 0.66]
    found = mean_interval(values)
    low, high = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert (found.mean - found.half, found.mean + found.half) == pytest.approx((low, high), rel=1e-12)
    assert mean_interval([]) is None and mean_interval([0.5]).half is None


def test_differences_are_paired_by_seed():
    ours, theirs = {0: 0.70, 1: 0.60, 2: 0.65, 9: 0.1}, {2: 0.63, 1: 0.59, 0: 0.67}
    found = paired_difference(ours, theirs)
    test = stats.ttest_rel([0.70, 0.60, 0.65], [0.67, 0.59, 0.63])
    low, high = test.confidence_interval(0.95)
    assert (found.mean - found.half, found.mean + found.half) == pytest.approx((low, high), rel=1e-9)
    assert found.n == 3 and found.sure == (test.pvalue < 0.05)
    assert paired_difference({0: 0.5}, {1: 0.5}) is None


def test_paired_intervals_cover_the_true_difference_as_often_as_they_say():
    rng, inside = np.random.default_rng(0), 0
    for _ in range(2000):
        shared = rng.normal(0, 0.05, 3)  # of a seed: data order, hardware
        ours, theirs = 0.62 + shared + rng.normal(0, 0.01, 3), 0.6 + shared + rng.normal(0, 0.01, 3)
        found = paired_difference(dict(enumerate(ours)), dict(enumerate(theirs)))
        inside += abs(found.mean - 0.02) <= found.half
    assert inside / 2000 == pytest.approx(0.95, abs=3 * math.sqrt(0.95 * 0.05 / 2000))


def test_every_rule_costs_the_budget(mine):
    found, left_out = contenders(study_background(mine, 3), [BUDGET, 2 * BUDGET])
    rules = [one for one in found if one.method not in LEARNED]
    assert {one.method for one in rules} == {*METHODS, *DRAWN} - {"regnet"} and all(one.at_budget for one in rules)
    assert all(one.macs == architecture_complexity(one.architecture, 4).macs for one in found)
    assert all((one.trainings, one.seconds) == (0, 0.0) for one in rules)
    assert {"regnet", "answer", "confirmed", "formula", "stages", "compound-fitted", "greedy"} <= left_out.keys()


def test_the_best_training_is_the_most_accurate_up_to_the_budget_and_charged_for(mine):
    own = mine.frame().query("status == 'ok'")
    best = own[own["macs"] <= 1.01 * BUDGET].sort_values("accuracy").iloc[-1]
    found = contender("best", BUDGET, study_background(mine, 3))
    assert found.macs == best["macs"] and found.trainings == len(own) == 10
    assert found.seconds == pytest.approx(own["seconds"].sum())


def test_a_formula_is_the_studys_own(mine):
    assert contender("formula", BUDGET, study_background(mine, 3)).architecture is None
    formula = fit(mine.table())
    formula.save(mine.folder / "formula.json")
    found = contender("formula", BUDGET, study_background(mine, 3))
    assert found.architecture == formula.predict(BUDGET).architecture and found.trainings == 10
    beyond = contender("formula", 1e9, study_background(mine, 3))
    assert beyond.architecture is None and "outside the" in beyond.notes[0]


class Answering:
    """A formula that holds answers: those of another formula, and a reason."""

    def __init__(self, formula, network=None):
        self.formula, self.base, self.network = formula, formula.base, network

    def at(self, *_):
        return self

    def answer(self, macs):
        found = self.formula.predict(macs)
        if self.network is not None:
            found = replace(found, architecture=self.network)
        return SimpleNamespace(prediction=found, by="search", reason="a step of rounding is worth more than a curve")


def test_an_answer_is_the_studys_own_and_charged_for(mine):
    known = study_background(mine, 3)
    formula = fit(mine.table())
    found = contender("answer", BUDGET, replace(known, formula=Answering(formula)))
    assert found.architecture == formula.predict(BUDGET).architecture
    assert (found.trainings, found.seconds) == (10, contender("best", BUDGET, known).seconds)
    assert found.notes == ("a step of rounding is worth more than a curve",) and not found.for_its_score
    best = contender("best", BUDGET, known)
    again = contender("answer", BUDGET, replace(known, formula=Answering(formula, best.architecture)))
    assert again.architecture == best.architecture and again.for_its_score and best.for_its_score
    assert LEARNED[0] == "answer"  # first among the study's own


def test_a_formula_without_answers_says_to_fit_it_again(mine):
    silent = replace(study_background(mine, 3), formula=replace(fit(mine.table())))
    if not hasattr(silent.formula, "answer"):
        assert "this formula holds no answers; fit it again" in contender("answer", BUDGET, silent).notes[0]
    nothing = contender("answer", BUDGET, study_background(mine, 3))
    assert nothing.architecture is None and "no formula, which answer needs" in nothing.notes[0]


def test_there_is_one_compound_scaling_in_compare_scale_predict_and_report(run, mine):
    fit(mine.table()).save(mine.folder / "formula.json")
    ours = contender("compound", BUDGET, study_background(mine, 3)).architecture
    scaled_ = json.loads(
        run(
            "scale",
            "efficientnet_b0",
            "--method",
            "compound",
            "--flops",
            "5M",
            "--resolution",
            64,
            "--classes",
            4,
            "--json",
        )[1]
    )
    beside = json.loads(run("predict", "--study", "mine", "--flops", "5M", "--json")[1])["compound"]
    for one in (scaled_, beside):
        assert (one["resolution"], one["widths"], one["depths"]) == (
            ours.resolution,
            list(ours.widths),
            list(ours.depths),
        )
    source = SimpleNamespace(table=mine.table(), formula=None, surrogate=None)
    reported = [one for one in answers_of(source)[0] if one["rule"] == "compound"]
    assert reported
    for one in reported:
        there = contender("compound", one["budget"], study_background(mine, 3)).architecture
        found = (one["resolution"], tuple(one["widths"]), tuple(one["depths"]))
        assert found == (there.resolution, there.widths, there.depths)


def test_the_anchored_compound_goes_through_the_best_training_of_the_middle_budget(mine):
    known = study_background(mine, 3)
    best = contender("best", BUDGET, known)
    through = contender("compound-anchored", best.macs, known)
    assert through.architecture == best.architecture and through.for_its_score  # at its own cost it is the anchor
    found = [one for one in contenders(known, [4e6, BUDGET, 9e6], ["compound-anchored"])[0]]
    own = mine.frame().query("status == 'ok'")
    trial = own[own["macs"] == best.macs]["trial"].iloc[0]
    for one in found:
        assert one.at_budget and f"(trial {trial}, " in one.notes[0] and one.trainings == 10
        share = one.budget / best.macs
        exact = best.architecture.resolution * share ** (math.log(1.15) / math.log(1.92))
        assert abs(one.architecture.resolution - exact) <= 1 + 0.08 * exact  # as far as a nudge moves it
        d = share ** (math.log(1.2) / math.log(1.92))
        assert one.architecture.depths == tuple(max(1, round(depth * d)) for depth in best.architecture.depths)
    alone = contender("compound-anchored", 9e6, known)  # by itself, a budget is its own middle
    assert found[-1].notes != alone.notes


def test_the_middle_of_the_budgets_is_a_budget_or_between_two():
    assert middle_of([6e6, 1.5e6, 3e6]) == pytest.approx(3e6) and middle_of([8e6, 2e6]) == pytest.approx(4e6)


def test_the_fitted_compound_is_the_rule_of_the_studys_trainings(mine, monkeypatch):
    known, rule = study_background(mine, 3), compound("efficientnet_b0", 64, 4)
    found = {"alpha": 1.2, "beta": 1.1, "gamma": 1.15, "anchor": {"c": 1.0, "r": 1.0, "d": 1.0}}
    rule = replace(rule, provenance={"compound": found})
    asked = []
    monkeypatch.setattr("planner.compare.background.fit", lambda *given: asked.append(given) or rule)
    one, other = contenders(known, [4e6, 8e6], ["compound-fitted"])[0]
    assert [one.architecture, other.architecture] == [rule.predict(budget).architecture for budget in (4e6, 8e6)]
    assert asked == [(known.own, "compound")]  # once for all budgets
    assert one.trainings == 10 and one.notes == (
        "alpha 1.200, beta 1.100, gamma 1.150, fitted to the study, through the base network",
    )


def test_the_literal_formula_is_tinynets_through_the_observed_front(mine, monkeypatch):
    known, rule, asked = study_background(mine, 3), compound("efficientnet_b0", 64, 4), []
    monkeypatch.setattr("planner.compare.background.fit", lambda *given, **how: asked.append((given, how)) or rule)
    one, other = contenders(known, [4e6, 8e6], ["tinynet-fitted"])[0]
    assert [one.architecture, other.architecture] == [rule.predict(budget).architecture for budget in (4e6, 8e6)]
    assert asked == [((known.own, "tinynet"), {"raw": True})] and one.trainings == 10


def test_a_confirmed_answer_is_the_best_measured_of_the_best_expected(mine, monkeypatch):
    known = study_background(mine, 3)
    rows = known.own.frame.sort_values("accuracy")
    names = list(column_names(7))
    low, high = (from_rows(base("efficientnet_b0"), rows[names].to_numpy(dtype=np.int64))[i] for i in (0, -1))
    expected = [SimpleNamespace(architecture=one) for one in (low, high)]
    monkeypatch.setattr("planner.compare.own.formula_of_task", lambda *_: None)
    monkeypatch.setattr("planner.compare.own.answer_for", lambda _, budget, n: expected)
    found = contender("confirmed", BUDGET, known)
    assert found.architecture == high and found.for_its_score and "number 2 of them" in found.notes[0]
    expected.append(SimpleNamespace(architecture=replace(low, resolution=96)))
    found = contender("confirmed", BUDGET, known)
    assert found.architecture is None and found.notes == (
        f"1 of its 3 best expected networks are not trained: run `planner predict --study {mine.folder.name} "
        "--flops 5000000 --confirm 3`",
    )


def test_too_few_trainings_for_a_fitted_compound_are_a_reason(mine):
    assert "too few for a surrogate" in contender("compound-fitted", 4e6, study_background(mine, 3)).notes[0]


def test_random_networks_are_of_the_space_at_the_budget_and_their_mean_is_the_score(run, mine, trainings, tmp_path):
    known = study_background(mine, 3)
    found, _ = contenders(known, [BUDGET], ["random"])
    assert [one.method for one in found] == list(DRAWN) and all(one.at_budget for one in found)
    assert len({one.architecture for one in found}) == 3
    space = mine.settings.search_space()
    for one in found:
        low, high = (end * space.resolution for end in space.r)
        assert low - 1 <= one.architecture.resolution <= high + 1 and one.trainings == 0
    code, out, _ = run("compare", "--flops", "5M", "--methods", "compound,random", "--seeds", 2, "--json")
    answer = json.loads(out)
    compound, random = answer["budgets"][0]["methods"]
    rows = pd.DataFrame(answer["rows"])
    drawn = rows[rows["method"].isin(DRAWN)]
    assert code == 0 and trainings == [8] and len(drawn) == 6 and random["method"] == "random"
    by_seed = drawn.groupby("seed")["accuracy"].mean()
    assert random["accuracy"]["mean"] == pytest.approx(by_seed.mean()) and random["accuracy"]["n"] == 2
    ours = by_seed - rows[rows["method"] == "compound"].set_index("seed")["accuracy"]
    assert random["difference_to_compound"]["mean"] == pytest.approx(ours.mean())
    assert random["macs"] == round(drawn["macs"].mean()) and random["resolution"] is None
    assert [one["method"] for one in random["drawn"]] == list(DRAWN) and compound["drawn"] == []
    shown = run("compare", "--table", tmp_path / "results" / "mine" / "comparison.csv")[1]
    assert "random: mean of 3 networks drawn at random" in shown and "random-3: " in shown
    assert sum(line.startswith("random ") for line in shown.splitlines()) == 1


def test_a_random_network_that_fails_is_left_out_of_no_seeds_mean():
    row = table_rows()[0]
    rows = [
        replace(row, method=method, resolution=40 + place, seed=seed, accuracy=accuracy, status=status)
        for place, method in enumerate(DRAWN)
        for seed, accuracy, status in (
            (0, 0.3 + 0.01 * place, "ok"),
            (1, None if place else 0.5, "diverged" if place else "ok"),
        )
    ]
    (random,) = summaries(rows)[row.budget]
    assert random.accuracy.mean == pytest.approx(0.31) and random.accuracy.n == 1  # the seed that all three have
    assert random.failed == 2 and random.statuses == ("diverged",)


def table_rows():
    return rows_in(read_table(Path(__file__).parents[3] / "results" / "reference" / "comparison.csv"))


def test_one_dimension_alone_says_what_else_moved_in_table_file_and_picture(run, mine, trainings, tmp_path):
    code, out, _ = run(
        "compare", "--flops", "1M,8M", "--methods", "width,depth,compound", "--seeds", 1, "--plot", "c.svg"
    )
    network = base("efficientnet_b0")
    frame = pd.read_csv(tmp_path / "results" / "mine" / "comparison.csv")
    assert code == 0 and list(frame)[:2] == ["method", "label"]
    for row in frame.to_dict("records"):
        moved = row["resolution"] - 64
        if row["method"] == "width":
            assert row["label"] == (f"width (resolution {moved:+d} px)" if moved else "width")
        if row["method"] == "depth":
            assert (
                row["label"].startswith("depth (")
                and "width x 0." in row["label"]
                and row["widths"] != " ".join(map(str, network.widths))
            )
        if row["method"] == "compound":
            assert row["label"] == "compound"
    narrow = frame[(frame["method"] == "width") & (frame["budget"] == 1e6)]["label"].iloc[0]
    assert narrow != "width" and f"  {narrow.removeprefix('width ')}" in out.splitlines()
    assert all(len(line) <= 80 for line in out.splitlines() if not line.startswith("  "))
    picture = (tmp_path / "c.svg").read_text()
    assert f"<!-- width ({narrow[7:-1]} at 1M" in picture and "<!-- width -->" not in picture


def test_a_comparison_of_before_is_read_and_labelled(tmp_path):
    rows = table_rows()
    labels = {(one.budget, one.label) for one in rows if one.method == "width"}
    assert labels == {(1.5e6, "width (resolution -34 px)"), (3e6, "width (resolution -10 px)"), (6e6, "width")}
    assert {one.label for one in rows if one.method != "width"} == {one.method for one in rows} - {"width"}


def test_the_same_network_is_trained_once_for_all_methods_and_seeds(mine, trainings):
    one = contender("fast", BUDGET, study_background(mine, 3)).architecture
    other = contender("compound", BUDGET, study_background(mine, 3)).architecture
    scores = measure(mine)([one, other, one])
    assert trainings == [4] and [score.seed for score in scores[one]] == [0, 1]
    assert measure(mine)([one, other]) == scores and trainings == [4]
    assert measure(mine, seeds=3)([one])[one][:2] == scores[one] and trainings == [4, 1]  # the third seed alone


def test_a_comparison_that_was_killed_goes_on_where_it_was(mine, train, trainings, monkeypatch):
    several = [contender(name, BUDGET, study_background(mine, 3)).architecture for name in ("fast", "compound")]

    def killed(ledger, *_):
        accuracies = iter([0.5, 0.6])
        with pytest.raises(StopIteration):
            train(ledger, lambda *_: next(accuracies))

    with monkeypatch.context() as patched:
        patched.setattr("planner.compare.measuring.train_queued", killed)
        with pytest.raises(PlannerError, match="2 of 4 trainings remain; the same command goes on"):
            measure(mine)(several)
    with mine.coordinating():
        mine.reconcile()  # as the next coordinator does: the one in its middle is queued again
    assert mine.counts()["waiting"] == 2
    scores = measure(mine)(several)
    assert trainings == [2]
    assert sorted(score.accuracy for one in several for score in scores[one] if score.accuracy in (0.5, 0.6)) == [
        0.5,
        0.6,
    ]


def test_what_the_study_has_queued_is_trained_once_for_both(mine, train, monkeypatch):
    one = contender("fast", BUDGET, study_background(mine, 3)).architecture
    with mine.coordinating():
        mine.enqueue(stack([one]), "mine")
    trained = []

    def here(ledger, *_):
        trained.append(ledger.counts()["waiting"])
        train(ledger)

    monkeypatch.setattr("planner.compare.measuring.train_queued", here)
    scores = measure(mine, seeds=1)([one])
    assert trained == [1] and scores[one][0].accuracy == mine.accuracy_of(11)
    assert mine.asks_of(11) == {} and mine.frame().iloc[-1]["origin"] == "mine"


@pytest.mark.parametrize(("status", "trainings_left"), [("diverged", 0), ("out_of_memory", 1), ("killed", 1)])
def test_only_failures_of_the_network_itself_are_taken_over_from_the_study(mine, monkeypatch, status, trainings_left):
    best = contender("best", BUDGET, study_background(mine, 3)).architecture
    monkeypatch.setattr(mine, "attempts", lambda _: {(best, asked_key({})): (3, status)})
    assert measure(mine, seeds=1).missing([best]) == trainings_left


def test_a_training_that_the_study_has_is_not_done_again(mine, trainings):
    best = contender("best", BUDGET, study_background(mine, 3))
    known = float(mine.frame().query("status == 'ok' and macs == @best.macs")["accuracy"].iloc[0])
    scores = measure(mine, seeds=1)([best.architecture])
    assert trainings == [] and scores[best.architecture][0].accuracy == known
    for other in ({"final": True}, {"epochs": 7}):  # trained otherwise: another accuracy
        measure(mine, seeds=1, **other)([best.architecture])
    assert trainings == [1, 1]
    assert [mine.asks_of(number) for number in (11, 12)] == [{"holdout": 0}, {"epochs": 7}]


def test_fits_and_counts_leave_the_comparisons_trainings_out(mine, trainings):
    before, asked = mine.table().sha256, mine.asked()
    rows = len(mine.table().frame)
    one = contender("fast", BUDGET, study_background(mine, 3)).architecture
    measure(mine)([one])
    assert len(mine.table().frame) == rows and mine.asked() == asked and len(mine.frame()) == 13
    assert mine.table().sha256 != before and mine.table().left_out["asked otherwise"] == 2
    assert study_background(mine, 3).trainings == 10


def test_what_was_stopped_early_elsewhere_is_trained_to_the_end(mine, trainings, monkeypatch):
    one = contender("fast", BUDGET, study_background(mine, 3)).architecture
    first = measure(mine, seeds=1)
    first([one])
    stopped = {key: (n, "stopped") for key, (n, _) in mine.attempts().items() if key[0] == one}
    assert len(stopped) == 1 and first.missing([one]) == 0
    monkeypatch.setattr(mine, "attempts", lambda _: stopped)
    assert first.missing([one]) == 1


def test_a_comparison_of_real_trainings_prints_writes_and_draws(run, mine, trainings, tmp_path):
    asked = ("compare", "--flops", "5M,8M", "--methods", "compound,best", "--seeds", 2)
    code, out, err = run(*asked, "--plot", "c.svg")
    assert (code, err) == (0, "")
    assert all(len(line) <= 80 for line in out.splitlines() if not line.startswith("  "))
    assert "chosen by its training of seed 0 on these very images" in " ".join(out.split())
    frame = pd.read_csv(tmp_path / "results" / "mine" / "comparison.csv")
    assert list(frame) == list(COLUMNS) and (frame.groupby(["method", "budget"])["seed"].nunique() == 2).all()
    assert set(frame["scored_on"]) == {"held-out"} and set(frame["epochs"]) == {3}
    assert (frame.loc[frame["method"] != "best", "error"].abs() <= 0.01).all()
    assert (tmp_path / "c.svg").read_text().count("<path") > 15
    trained = sum(trainings)
    again = run(*asked)
    assert again[1] == out.replace("picture: c.svg\n", "") and sum(trainings) == trained


def test_final_trainings_are_scored_on_images_that_nobody_chose_by(run, mine, trainings):
    code, out, _ = run("compare", "--flops", "5M", "--methods", "compound,best", "--final", "--epochs", 9, "--seeds", 2)
    assert code == 0 and "9 epochs, scored on the validation images" in out and "flatters" not in out
    asks = [mine.asks_of(number) for number in range(11, 15)]
    assert asks == [{"holdout": 0, "epochs": 9}] * 4


def test_the_printed_numbers_are_those_of_the_trainings(run, mine, trainings):
    code, out, _ = run("compare", "--flops", "5M", "--methods", "compound,depth", "--seeds", 3, "--json")
    answer = json.loads(out)
    rows = pd.DataFrame(answer["rows"]).pivot(index="seed", columns="method", values="accuracy")
    depth = answer["budgets"][0]["methods"][1]
    low, high = stats.ttest_rel(rows["depth"], rows["compound"]).confidence_interval(0.95)
    shown = depth["difference_to_compound"]
    assert code == 0 and (shown["lower"], shown["upper"]) == pytest.approx((low, high), rel=1e-9)
    assert depth["accuracy"]["mean"] == pytest.approx(rows["depth"].mean())


def test_a_comparison_that_was_written_is_shown_again(run, mine, trainings, tmp_path):
    _, out, _ = run("compare", "--flops", "5M", "--methods", "compound,best", "--seeds", 2)
    path = tmp_path / "results" / "mine" / "comparison.csv"
    code, again, _ = run("compare", "--table", path)
    assert code == 0 and again.splitlines() == out.splitlines()[:-1]  # but for the file's name
    rows = rows_in(read_table(path))
    write_rows(tmp_path / "copy.csv", rows)
    assert (tmp_path / "copy.csv").read_bytes() == path.read_bytes()
    assert rows_in(read_table(tmp_path / "copy.csv")) == rows


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("depths", "1 x 3", "depths of row 2 (line 3) is '1 x 3'; whole numbers are wanted"),
        ("macs", "many", "macs of row 2 (line 3) is 'many'; a number is wanted"),
        ("budget", "inf", "budget of row 2 (line 3) is 'inf'; a finite number is wanted"),
        ("budget", None, "budget of row 2 (line 3) is empty; give a file that `planner compare` wrote"),
    ],
)
def test_a_comparison_of_wrong_values_is_refused_by_row_and_column(tmp_path, column, value, words):
    whole = Path(__file__).parents[3] / "results" / "reference" / "comparison.csv"
    frame = pd.read_csv(whole, dtype=str)
    frame.loc[1, column] = value
    frame.to_csv(tmp_path / "c.csv", index=False)
    with pytest.raises(PlannerError) as refused:
        rows_in(read_table(tmp_path / "c.csv"))
    assert str(refused.value) == f"{tmp_path / 'c.csv'}: {words}"


def test_a_method_that_fails_or_diverges_stays_and_is_marked(run, mine, train, monkeypatch):
    calls = iter(range(100))

    def trained(ledger, *_):
        train(ledger, lambda macs, _: None if next(calls) == 1 else 0.5)

    monkeypatch.setattr("planner.compare.measuring.train_queued", trained)
    code, out, _ = run("compare", "--flops", "5M", "--methods", "compound,fast,greedy", "--seeds", 2)
    assert code == 0
    assert "fast: " in out and "1 without accuracy (diverged)" in out
    assert "greedy: results/mine has no record of such a search" in out


def test_a_network_below_the_budget_is_kept_and_says_so(run, mine, trainings):
    _, out, _ = run("compare", "--flops", "7M", "--methods", "compound,best", "--seeds", 1)
    best = contender("best", 7e6, study_background(mine, 3))
    assert not best.at_budget and f"{100 * best.error:+.1f} % off the budget; the best of" in out


def test_what_a_search_found_competes_and_is_charged_its_own_trainings(run, mine, trainings, tmp_path):
    folder = tmp_path / "results" / "mine" / "searches"
    one = contender("fast", BUDGET, study_background(mine, 3)).architecture
    path = write_found(
        folder, SearchResult("greedy", one, (), ("it stopped",)), BUDGET, 4, 17, 7200.0, "fine-tunes", seeds=3
    )
    assert path.name == "greedy-5000000.json"
    (record,) = read_found(folder)
    assert (record.architecture, record.trainings, record.seconds, record.notes) == (one, 17, 7200.0, ("it stopped",))
    found = contender("greedy", BUDGET, study_background(mine, 3))
    assert (found.architecture, found.trainings, found.seconds) == (one, 17, 7200.0)
    _, out, _ = run("compare", "--flops", "5M", "--methods", "compound,fast,greedy", "--seeds", 2)
    said = "greedy: the network of fast; chosen by fine-tunes of inherited weights, not by trainings from scratch"
    assert trainings == [4] and f"{said}; it stopped" in " ".join(out.split()) and "on these very images" not in out
    other = contender("greedy", 2 * BUDGET, study_background(mine, 3))
    assert other.architecture is None and "greedy searched for 5M" in other.notes[0]


@pytest.mark.parametrize(
    ("chosen_by", "words"),
    [
        ("trainings", "chosen by its training of seed 0 on these very images"),
        ("fine-tunes", "chosen by fine-tunes of inherited weights, not by trainings from scratch"),
        ("zen", "chosen by the Zen-score of untrained networks"),
        ("zen-per-block", "chosen by the Zen-score per block of untrained networks"),
        ("", "how it was chosen is not recorded"),
    ],
)
def test_what_a_search_chose_by_is_said_and_nothing_else(mine, tmp_path, chosen_by, words):
    one = contender("fast", BUDGET, study_background(mine, 3)).architecture
    write_found(mine.folder / "searches", SearchResult("rbis", one, ()), BUDGET, 4, 3, 60.0, chosen_by)
    found = contender("rbis", BUDGET, study_background(mine, 3))
    row = rows_of_contenders([found], {}, measure(mine), "efficientnet_b0", 4)[0]
    assert words in row.note and row.note.count("chosen") == 1


def test_a_gain_over_a_control_is_in_the_record(mine):
    one = scaled("efficientnet_b0", 48, 0.25, 0.25, rule="inverse")
    found = SearchResult("greedy", one, (), (), Gain(0.2, 0.4, 0.35))
    path = write_found(mine.folder / "searches", found, BUDGET, 4, 3, 60.0, "fine-tunes", seeds=3)
    assert json.loads(path.read_text())["gain"] == {"start": 0.2, "control": 0.4, "found": 0.35}
    (record,) = read_found(mine.folder / "searches")
    assert record.gain == found.gain and record.seeds == 3 and record.gain.over_control < 0


def test_a_search_that_ended_off_the_budget_has_a_row_that_says_so(run, mine, trainings, tmp_path):
    folder = tmp_path / "results" / "mine" / "searches"
    one = scaled("efficientnet_b0", 48, 0.25, 0.25, rule="inverse")  # as small as a search may start
    macs = architecture_complexity(one, 4).macs
    write_found(folder, SearchResult("greedy", one, ()), BUDGET, 4, 3, 60.0)
    found = contender("greedy", BUDGET, study_background(mine, 3))
    assert found.architecture == one and found.error == macs / BUDGET - 1 < -0.01 and not found.at_budget
    code, out, _ = run("compare", "--flops", "5M", "--methods", "compound,greedy", "--seeds", 2)
    words = " ".join(out.split())
    assert code == 0 and f"greedy: {100 * (macs / BUDGET - 1):+.1f} % off the budget; the search ended at" in words
    assert (
        contender("greedy", macs, study_background(mine, 3)).error == 0
    )  # at what it costs, it competes like any other
    kept, left_out = contenders(study_background(mine, 3), [2 * BUDGET])  # named by nobody: in the table all the same
    (greedy,) = (one for one in kept if one.method == "greedy")
    assert greedy.architecture is None and "greedy searched for 5M" in greedy.notes[0] and "rbis" in left_out


def test_a_network_with_a_width_per_layer_competes(tmp_path):
    one = LayeredArchitecture.of(base("resnet20_cifar"), [16] * 6 + [32] * 5 + [40] + [48] * 6)
    macs = architecture_complexity(one, 10).macs
    record = SearchRecord("adjust", float(macs), 10, one, 5, 100.0)
    known = Background("mine", "resnet20_cifar", 32, 10, 3, searches=(record,))
    found, _ = contenders(known, [macs], ["adjust", "width"])
    assert found[0].architecture == one and found[0].error == 0
    rows = rows_of_contenders(found, {one: [SeedScore(0, "ok", 0.9, 1.0)]}, FakeMeasure(), "resnet20_cifar", 10)
    assert rows[0].layers == " ".join(map(str, one.layers)) + " max" and rows[1].layers is None
    plain = replace(rows[0], method="plain", layers=None)
    assert summaries([rows[0], plain])[macs][1].same_as == ()  # the same widths of stages, yet another network
    write_rows(tmp_path / "c.csv", rows)
    assert rows_in(read_table(tmp_path / "c.csv")) == rows


def test_the_ledger_trains_a_network_with_a_width_per_layer(tmp_path, train):
    data = {"source": "fractal", "side": 32, "classes": 4}
    settings = StudySettings.model_validate({"base": "resnet20_cifar", "data": data, "space": {"resolution": 32}})
    ledger = Ledger(tmp_path, settings)
    one = LayeredArchitecture.of(base("resnet20_cifar"), [16] * 6 + [32] * 5 + [40] + [48] * 6)
    asked = measure(ledger, seeds=1)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("planner.compare.measuring.train_queued", lambda ledger, *_: train(ledger))
        assert asked([one])[one][0].status == "ok"
    assert asked.missing([one]) == 0 and asked.missing([base("resnet20_cifar").architecture()]) == 1


class FakeMeasure:
    scored_on, epochs, flatters = "held-out", 3, ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not a search file"),
        ('{"schema": "planner-search/9"}', "schema 'planner-search/9' is unknown"),
        ('{"schema": "planner-search/1", "method": "greedy"}', "budget is missing"),
        ("[1]", "schema list is unknown"),
    ],
)
def test_a_damaged_record_is_refused_in_one_line(tmp_path, text, reason):
    (tmp_path / "greedy-1.json").write_text(text)
    with pytest.raises(PlannerError) as refused:
        read_found(tmp_path)
    assert reason in str(refused.value) and "\n" not in str(refused.value) and "greedy-1.json" in str(refused.value)
    assert read_found(tmp_path / "absent") == []


def table_of_everything(tmp_path, seeds=(0, 1, 2)):
    """A table of trainings: every rule's network at a budget, and others; accuracy in closed form and a seed's own."""
    known = Background("t", "efficientnet_b0", 64, 4, 5)
    rules = [contender(name, BUDGET, known).architecture for name in ("compound", "fast", "width", "depth")]
    network = base("efficientnet_b0")
    rows = []
    for one in [*rules, replace(network.architecture(), resolution=32)]:
        for seed in seeds:
            integers = (one.resolution, one.stem, *one.widths, *one.depths, one.head)
            macs = architecture_complexity(one, 4).macs
            score = accuracy_of(macs, one) + 0.01 * math.sin(seed + 7 * sum(integers))
            facts = {"accuracy": score, "macs": macs, "seed": seed, "classes": 4, "base_resolution": 64, "epochs": 5}
            rows.append(
                dict(zip(column_names(7), integers, strict=True)) | facts | {"seconds": 10.0, "base": network.name}
            )
    path = tmp_path / "table.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def test_networks_are_looked_up_in_a_table(run, tmp_path):
    path = table_of_everything(tmp_path)
    code, out, _ = run("compare", "--flops", "5M", "--table", path, "--methods", "compound,fast,resolution", "--json")
    answer = json.loads(out)
    compound, fast, absent = answer["budgets"][0]["methods"]
    frame = pd.read_csv(path)
    seen = frame[frame["macs"] == fast["macs"]]["accuracy"]
    assert code == 0 and fast["accuracy"]["n"] == 3
    assert fast["accuracy"]["mean"] == pytest.approx(seen.mean(), rel=1e-12)
    assert absent["accuracy"] is None and absent["statuses"] == ["not in the table"]
    assert (answer["scored_on"], answer["epochs"], compound["trainings_needed"]) == ("table", 5, 0)
    assert (
        json.loads(run("compare", "--flops", "5M", "--table", path, "--seeds", 2, "--json")[1])["budgets"][0][
            "methods"
        ][0]["accuracy"]["n"]
        == 2
    )


def test_one_seed_has_no_interval_and_is_said_to(run, tmp_path):
    path = table_of_everything(tmp_path, seeds=(0,))
    code, out, _ = run("compare", "--flops", "5M", "--table", path, "--methods", "compound,fast")
    assert code == 0 and "one training of each: no interval" in out and "+-" not in out


def test_summaries_of_rows_that_lack_compound_have_no_difference(run, tmp_path):
    path = table_of_everything(tmp_path)
    code, out, _ = run("compare", "--flops", "5M", "--table", path, "--methods", "fast,width", "--out", "x.csv")
    assert code == 0 and "no differences: compound is not among the methods" in out
    found = summaries(rows_in(read_table(tmp_path / "x.csv")))[BUDGET]
    assert [one.difference for one in found] == [None, None] and found[0].accuracy.n == 3


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--study", "none", "--flops", "5M"], "no study in results/none"),
        ([], "give the budgets to compare at"),
        (["--flops", "5M", "--seeds", 0], "--seeds"),
        (["--flops", "5Q"], "5Q"),
        (["--flops", "5M", "--methods", "formula"], "run `planner fit`"),
        (["--flops", "5M", "--methods", "compuond"], "method 'compuond' is unknown"),
        (["--flops", "5M", "--methods", ","], "--methods names none"),
        (["--flops", "9000T"], "9000T MACs: no method has a network for this budget"),
        (["--flops", "5M", "--stop-early"], "leave --stop-early out"),
        (
            ["--flops", "5M", "--base", "resnet50"],
            "--base has no effect without --table; add --table, or leave --base out",
        ),
        (["--flops", "5M", "--table", "absent.csv"], "absent.csv"),
        (["--flops", "5M", "--plot", "c.doc"], "--plot c.doc"),
        (["--curves"], "--plot curves.svg"),
        (["--flops", "5M", "--beside", "x.csv"], "--beside has no effect without --curves"),
        (["--flops", "5M", "--minutes", "0.000001"], "remain; the same command goes on"),
    ],
)
def test_what_the_user_can_mend_is_one_line(run, mine, monkeypatch, arguments, reason):
    monkeypatch.setattr("planner.compare.measuring.train_queued", lambda *_: 0)
    code, out, err = run("compare", *arguments)
    assert code == 2 and reason in err and err.count("\n") == 1 and out == ""


def test_a_damaged_comparison_is_refused(run, mine, trainings, tmp_path):
    run("compare", "--flops", "5M", "--methods", "compound", "--seeds", 1)
    path = tmp_path / "results" / "mine" / "comparison.csv"
    frame = pd.read_csv(path)
    frame.drop(columns="epochs").to_csv("a.csv", index=False)
    frame.assign(budget="many").to_csv("b.csv", index=False)
    frame.assign(seed=None, budget=None).to_csv("c.csv", index=False)
    for name, reason in (
        ("a", "no column epochs"),
        ("b", "budget of row 1 (line 2) is 'many'"),
        ("c", "budget of row 1 (line 2) is e"),
    ):
        code, _, err = run("compare", "--table", f"{name}.csv")
        assert code == 2 and reason in err and err.count("\n") == 1
    assert run("compare", "--table", path, "--flops", "5M")[2].count("leave --flops and the like out") == 1


@pytest.fixture(scope="module")
def varied(tmp_path_factory):
    """A table whose accuracy is a closed form of r, d, w: depth counts most."""
    return closed_form(tmp_path_factory.mktemp("varied") / "varied.csv", "efficientnet_b0")


def closed_form(path, base, depth=0.12, width=0.02):
    from sampler import stratified_design

    space = {"resolution": 64, "r": (0.5, 1.4)}
    data = {"source": "fractal", "side": 90, "classes": 4}
    settings = StudySettings.model_validate({"base": base, "data": data, "space": space})
    design = stratified_design(settings.search_space(), 40, 0)
    r, d, w = design.multipliers.T
    macs = [architecture_complexity(one, 4).macs for one in design]
    accuracy = 0.8 + 0.02 * np.log(r) + depth * np.log(d) + width * np.log(w)
    facts = {"accuracy": accuracy, "macs": macs, "r": r, "d": d, "w": w, "classes": 4, "base_resolution": 64}
    pd.DataFrame(facts | {"rule": "inverse", "base": base}).to_csv(path, index=False)
    return path


def test_curves_of_single_dimensions_are_drawn_by_a_surrogate(run, varied, tmp_path):
    code, out, err = run("compare", "--curves", "--table", varied, "--flops", "6M", "--plot", "c.png", "--json")
    assert (code, err) == (0, "") and (tmp_path / "c.png").stat().st_size > 10_000
    curves = {one["dimension"]: one for one in json.loads(out)["curves"]}
    assert set(curves) == {"all together", "resolution", "depth", "width"}
    rises = {}
    for name, one in curves.items():
        assert one["macs"] == sorted(one["macs"]) and all(np.diff(one["macs"]) > 0)
        rises[name] = (one["accuracy"][-1] - one["accuracy"][0]) / math.log(one["macs"][-1] / one["macs"][0])
    # By the closed form, per log MACs: depth 0.12, the others 0.01.
    assert rises["depth"] > 4 * max(rises["resolution"], rises["width"]) > 0
    # Curves end where the trainings end.
    assert all(one["in_range"] == [True] * len(one["macs"]) for one in curves.values())
    assert base_macs("efficientnet_b0", 64, 4) > max(curves["depth"]["macs"])


def test_plain_and_fused_blocks_stand_side_by_side(run, varied, tmp_path):
    fused = closed_form(tmp_path / "fused.csv", "efficientnetv2_b0", depth=0.02, width=0.12)
    asked = ("compare", "--curves", "--table", varied, "--plot", "c.svg", "--beside")
    code, out, err = run(*asked, fused, "--flops", "6M", "--json")
    curves = json.loads(out)["curves"]
    assert (code, err) == (0, "") and {one["blocks"] for one in curves} == {"plain", "fused"}
    assert {(one["base"], one["blocks"]) for one in curves[4:]} == {("efficientnetv2_b0", "fused")}
    assert len(curves) == 8 and len({one["start"] for one in curves}) == 1  # one panel
    assert abs(curves[0]["start_macs"] / curves[4]["start_macs"] - 1) < 0.3
    rises = {}
    for one in curves:
        rise = (one["accuracy"][-1] - one["accuracy"][0]) / math.log(one["macs"][-1] / one["macs"][0])
        rises[one["blocks"], one["dimension"]] = rise
    assert rises["plain", "depth"] > 3 * rises["plain", "width"]
    assert rises["fused", "width"] > 1.5 * rises["fused", "depth"]  # by the closed forms 0.06 and 0.02
    code, _, err = run(*asked, "absent.csv")
    assert code == 2 and "absent.csv" in err and err.count("\n") == 1
    pd.read_csv(fused).assign(classes=5).to_csv("five.csv", index=False)
    code, _, err = run(*asked, "five.csv")
    assert code == 2 and "5 classes" in err and err.count("\n") == 1


def test_a_study_that_stands_beside_is_not_the_last_one_used(mine, tmp_path):
    shutil.copytree(mine.folder, mine.folder.parent / "other")
    assert table_beside("other", own=True).frame.equals(mine.table().frame)
    assert folder_of(None).name == "mine"


def test_curves_begin_among_the_trainings(run, varied):
    code, _, err = run("compare", "--curves", "--table", varied, "--flops", "900M", "--plot", "c.png")
    assert code == 2 and "curves begin among the trainings" in err and err.count("\n") == 1
