"""Listeners: through their conformance suite, several at once, and one that fails loses nothing."""

import json
import shutil
from dataclasses import replace

import pytest

from planner.commands.progress import TerminalProgress
from planner.errors import PlannerError
from planner.training.conformance import check_listener
from planner.training.progress import LISTENERS, JsonLines, Listeners, register_listener
from trainer.conformance import SMALL_NETWORK
from trainer.observation import Fidelity, Observation

SEEN = Observation(
    SMALL_NETWORK, Fidelity(3), 0, "ok", 0.5, 1.0, macs=1, params=1, activations=1, seconds=1.0, device="cpu"
)


class Told:
    """Notes what it is told."""

    def __init__(self):
        self.said = []

    def start(self, *facts):
        self.said.append(("start", *facts))

    def epoch(self, *facts):
        self.said.append(("epoch", *facts))

    def done(self, number, observation):
        self.said.append(("done", number, observation.status))

    def note(self, text):
        self.said.append(("note", text))

    def close(self):
        self.said.append(("close",))


class Failing(Told):
    def epoch(self, number, epoch, of):
        raise OSError("the server\nis away")


def test_ours_conform(tmp_path, capsys):
    check_listener(TerminalProgress())
    check_listener(JsonLines(tmp_path))
    check_listener(Listeners(Told(), [("another", Told())]))
    assert "[4/3] trial 2:" in capsys.readouterr().err
    lines = [json.loads(line) for line in (tmp_path / "trainings.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == [
        *("note", "start", "note"),
        *("begin", "epoch", "epoch", "epoch"),
        *("done", "begin", "epoch"),
        *["done"] * 3,
    ]
    assert lines[3]["widths"] == [8] * 7 and lines[5]["accuracy"] == lines[7]["accuracy"] == 0.5
    assert lines[11]["message"] == "the score is nan after epoch 1"


def test_the_events_of_a_study_that_was_killed_are_added_to(ten_trained, tmp_path):
    folder = tmp_path / "mine"
    shutil.copytree(ten_trained, folder)
    for number in range(3):
        observation = replace(SEEN, seed=number)
        (folder / "observations").mkdir(exist_ok=True)
        (folder / "observations" / f"{number:06d}.json").write_text(observation.to_json())
    (folder / "trainings.jsonl").write_text('{"event": "done", "trial": 1}\n{"event": "epo')
    for _ in range(2):
        JsonLines(folder).close()
    lines = (folder / "trainings.jsonl").read_text().splitlines()
    assert lines[:2] == ['{"event": "done", "trial": 1}', '{"event": "epo']
    assert [(one["event"], one["trial"], one["status"]) for one in map(json.loads, lines[2:])] == [
        ("done", 0, "ok"),
        ("done", 2, "ok"),
    ]


def test_one_that_fails_is_not_conforming_and_the_sentence_says_at_what():
    with pytest.raises(AssertionError, match=r"told epoch\(0, 1, 3\), it raised OSError: the server"):
        check_listener(Failing())


def test_one_that_fails_is_told_nothing_more_and_the_others_are():
    first, failing, last = Told(), Failing(), Told()
    listeners = Listeners(first, [("cloud", failing), ("file", last)])
    listeners.start(2, 0)
    for epoch in (1, 2):
        listeners.epoch(0, epoch, 2)
    listeners.close()
    assert failing.said == [("start", 2, 0), ("close",)]
    assert last.said == [("start", 2, 0), ("epoch", 0, 1, 2), ("epoch", 0, 2, 2), ("close",)]
    note = ("note", "listener cloud failed and is told nothing more (OSError: the server is away)")
    assert first.said == [last.said[0], last.said[1], note, *last.said[2:]]


def test_a_registered_listener_is_told_of_a_studys_trainings(new, silent, in_process, monkeypatch):
    from planner.study.folder import cache_of
    from planner.training.loop import train_queued
    from planner.training.resources import Resources

    told = Told()
    with LISTENERS.temporarily("mine", lambda folder: told.said.append(folder.name) or told):
        train_queued(new, cache_of(new.folder), Resources(log=("mine", "jsonl")), silent)
    assert told.said == ["mine", ("close",)] and (new.folder / "trainings.jsonl").read_text() == ""


def test_a_listener_that_is_none_is_one_line(new, refused):
    assert (
        refused("train", "--log", "wanda")
        == "planner: --log wanda: there is no such listener; one of: jsonl, tensorboard, wandb, mlflow\n"
    )
    with pytest.raises(PlannerError, match="listener 'jsonl' is there already"):
        register_listener("jsonl")(Told)
