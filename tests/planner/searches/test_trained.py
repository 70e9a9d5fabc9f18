"""Scores of searches are trials of the ledger: each trained once, whatever is killed."""

from dataclasses import replace

import pytest

from planner.errors import PlannerError
from planner.searches.scoring import Candidate
from planner.searches.trained import FineTune, TrainedScorer
from planner.training.resources import Resources
from sampler import stratified_design
from trainer.recipe import RECIPES


@pytest.fixture
def scorer(new, train, silent, monkeypatch, tmp_path):
    """A scorer whose trainings take no time, and what it was told."""
    told, trainings = [], []

    def trained(ledger, *_):
        waiting = ledger.counts()["waiting"]
        trainings.append(waiting)
        train(ledger, lambda macs, one: None if one.depths[0] > 3 else 0.9 - 0.5 * (macs / 1e6) ** -0.3)

    monkeypatch.setattr("planner.searches.trained.train_queued", trained)
    made = TrainedScorer(new, tmp_path / "cache", Resources(), silent, "greedy", told.append, FineTune(2))
    made.told, made.trainings = told, trainings
    return made


@pytest.fixture
def one(new):
    return stratified_design(new.space, 3, 0)[1]


def grown(one, **more):
    return replace(one, depths=(one.depths[0] + more.get("blocks", 1), *one.depths[1:]))


def test_the_same_candidates_are_trained_once_and_score_alike(scorer, one, silent):
    candidates = [Candidate(one), Candidate(grown(one), parent=one, label="deeper")]
    first = scorer(candidates)
    again = TrainedScorer(scorer.ledger, scorer.cache, Resources(), silent, "greedy", print, FineTune(2))
    assert again(candidates) == first and None not in first
    assert scorer.trainings == [1, 1]  # the parent first, then its child; nothing a second time


def test_a_child_asks_for_its_parents_network_and_a_fine_tune(scorer, one):
    scorer([Candidate(grown(one), parent=one)])
    (parent,), (child,) = scorer.scored_by[one], scorer.scored_by[grown(one)]
    assert scorer.ledger.asks_of(parent) == {"keep": True}
    asks = {"keep": True, "parent": parent, "epochs": 2, "recipe": "amplify", "noise": 0.001}
    assert scorer.ledger.asks_of(child) == asks and scorer.ledger.training(child).noise == 0.001


def test_fine_tunes_have_the_recipe_that_was_asked_for(scorer, one, silent):
    scorer([Candidate(grown(one), parent=one)])
    how = FineTune(2, recipe="amplify,batch_size=32,crop=0.35")
    other = TrainedScorer(scorer.ledger, scorer.cache, Resources(), silent, "greedy", print, how)
    other([Candidate(grown(one), parent=one)])
    (first,), (second,) = scorer.scored_by[grown(one)], other.scored_by[grown(one)]
    assert first != second and scorer.scored_by[one] == other.scored_by[one]  # the parent is trained once
    recipe = scorer.ledger.training(second).recipe
    assert recipe == replace(RECIPES["amplify"], batch_size=32, crop=0.35)
    assert scorer.ledger.training(first).recipe == RECIPES["amplify"]
    asked = scorer.ledger.frame().set_index("trial")["asks"][second]
    assert "recipe=amplify;batch_size=32;crop=0.35" in asked.split()


def test_a_control_is_a_fine_tune_that_later_children_inherit_from(scorer, one):
    scorer([Candidate(one)])
    (born,) = scorer.scored_by[one]
    scorer([Candidate(grown(one), one, "deeper"), Candidate(one, one, "unchanged")])
    (aged,) = scorer.scored_by[one]
    assert scorer.ledger.asks_of(aged) == scorer.ledger.asks_of(scorer.scored_by[grown(one)][0])
    assert scorer.ledger.asks_of(aged)["parent"] == born and scorer.trials[aged] == "unchanged"
    scorer([Candidate(grown(one, blocks=2), one, "deeper still"), Candidate(grown(one), grown(one), "unchanged")])
    assert scorer.ledger.asks_of(scorer.scored_by[grown(one, blocks=2)][0])["parent"] == aged
    assert scorer.trainings == [1, 2, 2]


def test_a_search_trains_its_own_trials_and_what_waited_waits_on(scorer, one, silent):
    scorer.ledger.enqueue(stratified_design(scorer.ledger.space, 4, 7), "stratified")
    assert scorer([Candidate(one)]) != [None] and scorer.trainings == [1]  # of five that wait
    counts = scorer.ledger.counts()
    assert (counts["ok"], counts["waiting"]) == (1, 4)
    (number,) = scorer.scored_by[one]
    assert number == 4 and [row["trial"] for _, row in scorer.ledger.frame().iterrows()] == [4]
    assert scorer.ledger.claim()[0] == 0  # the oldest of the others


def test_a_further_try_of_a_trial_of_the_search_is_its_own_too(new):
    one, other, more = stratified_design(new.space, 3, 0)
    for each in (other, one, more):
        new.ask_for(each, "greedy", {"keep": True})
    with new.training_only([1]):
        assert new.claim()[0] == 1 and new.claim() is None
        assert new.requeue(1, "died") and new.counts()["waiting"] == 1
        assert new.claim()[:2] == (3, one) and new.claim() is None
    assert new.counts()["waiting"] == 2 and new.claim()[0] == 0


def test_with_seeds_a_score_is_a_mean_and_lineages_keep_their_seed(new, silent, tmp_path, monkeypatch, one):
    from trainer.observation import Fidelity, Observation

    def trained(ledger, *_):
        while (claimed := ledger.claim()) is not None:
            number, which, seed = claimed
            value = 0.5 + 0.1 * seed + 0.2 * (which.depths[0] > one.depths[0])
            status = "diverged" if which.depths[1] > one.depths[1] and seed == 1 else "ok"
            seen = Observation(which, Fidelity(3), seed, status, value, 1.0, 1, 1, 1, 1.0, "cpu")
            ledger.record(number, seen)

    monkeypatch.setattr("planner.searches.trained.train_queued", trained)
    told = []
    scorer = TrainedScorer(new, tmp_path, Resources(), silent, "greedy", told.append, FineTune(2, seeds=3))
    assert scorer([Candidate(grown(one), one)]) == pytest.approx([0.8])
    parents, children = scorer.scored_by[one], scorer.scored_by[grown(one)]
    assert [new.training(number).seed for number in (*parents, *children)] == [0, 1, 2, 0, 1, 2]
    assert [new.asks_of(number)["parent"] for number in children] == list(parents)
    other = replace(one, depths=(one.depths[0], one.depths[1] + 1, *one.depths[2:]))
    assert scorer([Candidate(other, label="one of three")]) == [None]  # no mean over fewer seeds than the others'
    assert any("one of three: not scored, trial 7 ended as diverged" in line for line in told)


@pytest.mark.parametrize(("given", "asks"), [(3, {"keep": True}), (9, {"keep": True, "epochs": 9})])
def test_a_start_is_pretrained_for_the_epochs_given(new, silent, tmp_path, monkeypatch, train, one, given, asks):
    monkeypatch.setattr("planner.searches.trained.train_queued", lambda ledger, *_: train(ledger))
    how = FineTune(2, pretraining=given)
    scorer = TrainedScorer(new, tmp_path, Resources(), silent, "greedy", print, how)
    scorer([Candidate(one)])
    assert new.asks_of(*scorer.scored_by[one]) == asks


def test_where_a_family_has_nothing_to_inherit_candidates_are_trained_from_scratch(scorer, one, silent, monkeypatch):
    monkeypatch.setattr("planner.searches.trained.inheritable", lambda network: False)
    told = []
    plain = TrainedScorer(scorer.ledger, scorer.cache, Resources(), silent, "greedy", told.append)
    assert None not in plain([Candidate(grown(one), parent=one, label="deeper")])
    assert [plain.ledger.asks_of(number) for number in plain.trials] == [{"keep": True}]
    (line,) = told
    assert "has no parts(), so every candidate is trained from scratch" in line and "\n" not in line


def test_fits_and_counts_leave_fine_tunes_out(scorer, one):
    scorer([Candidate(grown(one), parent=one)])
    frame = scorer.ledger.frame()
    assert (
        list(frame["asks"].isna()) == [True, False]
        and frame["asks"][1] == "epochs=2 noise=0.001 parent=0 recipe=amplify"
    )
    table = scorer.ledger.table()
    assert len(table.frame) == 1 and table.left_out == {"asked otherwise": 1}
    assert scorer.ledger.asked() == 0  # `sample --trials` counts its own


def test_what_diverged_or_cannot_inherit_has_no_score_and_says_so(scorer, one):
    deep, narrow = grown(one, blocks=9), replace(one, widths=(8, *one.widths[1:-1], one.widths[-1] - 8))
    assert scorer([Candidate(deep, label="deep")]) == [None]
    assert scorer([Candidate(narrow, parent=one, label="narrower")]) == [None]
    assert "deep: not scored, trial 0 ended as diverged" in scorer.told
    assert any(text.startswith("narrower: not scored, ") and "smaller" in text for text in scorer.told)


def test_a_search_whose_time_is_over_says_how_to_go_on(scorer, one, monkeypatch):
    monkeypatch.setattr("planner.searches.trained.train_queued", lambda *_: 0)
    with pytest.raises(PlannerError, match="1 trainings of greedy remain; the same command goes on"):
        scorer([Candidate(one)])


def test_a_child_is_fine_tuned_from_its_parents_file(run, silent, in_process):
    """Really trained, on generated images."""
    from planner.study.folder import cache_of
    from planner.study.opening import open_ledger

    data = "fractal:classes=2,train=60,validation=4"
    assert run("sample", "--study", "s", "--data", data, "--trials", 1, "--epochs", 3, "--window", "1M", "3M")[0] == 0
    ledger = open_ledger("s")
    where = Resources(workers=1, device="cpu")
    scorer = TrainedScorer(ledger, cache_of(ledger.folder), where, silent, "greedy", print, FineTune(1))
    one = ledger.pending()[0]
    deeper = grown(one)
    assert None not in scorer([Candidate(one), Candidate(deeper, parent=one)])
    assert ledger.counts() == {"ok": 2, "failed": 0, "running": 0, "waiting": 1}  # what waited before waits on
    kept = sorted(path.name for path in (ledger.folder / "networks").iterdir())
    assert kept == ["000001.safetensors", "000002.safetensors"]
    observation = ledger.on_disk(2)
    assert observation.asked["noise"] == 0.001 and observation.asked["parent"] == "000001"
    assert observation.fidelity.epochs == 1 and observation.architecture == deeper
    assert len(ledger.table().frame) == 1
