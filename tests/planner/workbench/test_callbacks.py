"""Callbacks of `Study.run`: told of every training that ends, and stopping none."""

import pytest

import planner
from planner.errors import PlannerError
from planner.workbench.callbacks import EndedTrial


def train(job):
    for epoch in range(1, job.epochs + 1):
        job.report(epoch, 0.1 * epoch)


@pytest.fixture
def study(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return planner.create_study("mine", trainer=train, epochs=2, classes=10, resolution=64, window=("1M", "30M"))


def test_a_function_is_given_the_study_and_each_trial_when_it_is_recorded(study):
    told = []

    def tell(of, trial):
        row = of.table().set_index("trial").loc[trial.number]
        told.append((trial.number, trial.score, trial.status, row["accuracy"], trial.architecture.resolution))

    assert study.run(trials=3, callbacks=[tell]) is study
    sizes = study.table()["resolution"].tolist()
    assert told == [(number, 0.2, "ok", 0.2, size) for number, size in enumerate(sizes)]


def test_one_that_raises_is_a_line_and_called_no_more(study, capsys):
    calls, others = [], []

    def breaks(_, trial):
        calls.append(trial.number)
        raise KeyError("nothing")

    study.run(trials=3, callbacks=[breaks, lambda _, trial: others.append(trial)])
    said = capsys.readouterr().err
    assert said.count("listener breaks failed and is told nothing more (KeyError: 'nothing')") == 1
    assert calls == [0] and [type(one) for one in others] == [EndedTrial] * 3
    assert study.records.counts()["ok"] == 3


def test_a_listener_is_told_all(study):
    class Told:
        said = []

        def begun(self, number, training):
            self.said.append(("begun", number, training.fidelity.epochs))

        def scored(self, number, history, of):
            self.said.append(("scored", number, [record.accuracy for record in history], of))

        def __getattr__(self, name):
            if name.startswith("_"):
                raise AttributeError(name)
            return lambda *facts: self.said.append((name, *facts[:1]))

    study.run(trials=1, callbacks=[Told()])
    assert Told.said == [
        ("start", 1),
        ("begun", 0, 2),
        ("scored", 0, [0.1], 2),
        ("scored", 0, [0.1, 0.2], 2),
        ("done", 0),
        ("close",),
    ]


def test_what_is_neither_is_refused_before_anything_is_trained(study):
    with pytest.raises(
        PlannerError, match="callbacks: 'shout' is neither a function of a study and a trial nor a list"
    ):
        study.run(trials=1, callbacks=["shout"])
    assert study.records.counts()["ok"] == 0


def test_names_of_listeners_are_those_of_the_command(study):
    with pytest.raises(PlannerError, match="--log shout: there is no such listener; one of: jsonl, tensorboard"):
        study.run(trials=1, log=["shout"])
    study.run(trials=2, log=["jsonl"])
    assert (study.folder / "trainings.jsonl").read_text().count('"done"') == 2
