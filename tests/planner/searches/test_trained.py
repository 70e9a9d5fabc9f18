"""Scores of searches are trials of the ledger: each trained once, whatever is killed."""

from dataclasses import replace

import pytest

from planner.errors import PlannerError
from planner.searches.scoring import Candidate
from planner.searches.trained import TrainedScorer
from planner.training.resources import Resources
from sampler import stratified_design


@pytest.fixture
def scorer(new, train, silent, monkeypatch, tmp_path):
    """A scorer whose trainings take no time, and what it was told."""
    told, trainings = [], []

    def trained(ledger, *_):
        waiting = ledger.counts()["waiting"]
        trainings.append(waiting)
        train(ledger, lambda macs, one: None if one.depths[0] > 3 else 0.9 - 0.5 * (macs / 1e6) ** -0.3)

    monkeypatch.setattr("planner.searches.trained.train_queued", trained)
    made = TrainedScorer(new, tmp_path / "cache", Resources(), silent, "greedy", told.append, epochs=2)
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
    again = TrainedScorer(scorer.ledger, scorer.cache, Resources(), silent, "greedy", print, epochs=2)
    assert again(candidates) == first and None not in first
    assert scorer.trainings == [1, 1]  # the parent first, then its child; nothing a second time


def test_a_child_asks_for_its_parents_network_and_a_fine_tune(scorer, one):
    scorer([Candidate(grown(one), parent=one)])
    parent, child = scorer.scored_by[one], scorer.scored_by[grown(one)]
    assert scorer.ledger.asks_of(parent) == {"keep": True}
    assert scorer.ledger.asks_of(child) == {"keep": True, "parent": parent, "epochs": 2, "recipe": "amplify"}


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
    assert list(frame["asks"].isna()) == [True, False] and frame["asks"][1] == "epochs=2 parent=0 recipe=amplify"
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
    scorer = TrainedScorer(ledger, cache_of(ledger.folder), where, silent, "greedy", print, epochs=1)
    one = ledger.pending()[0]
    deeper = grown(one)
    assert None not in scorer([Candidate(one), Candidate(deeper, parent=one)])
    assert ledger.counts() == {"ok": 3, "failed": 0, "running": 0, "waiting": 0}  # with what waited before
    kept = sorted(path.name for path in (ledger.folder / "networks").iterdir())
    assert kept == ["000001.safetensors", "000002.safetensors"]
    observation = ledger.on_disk(2)
    assert observation.fidelity.epochs == 1 and observation.architecture == deeper
    assert len(ledger.table().frame) == 1
