"""Jobs beside a study's trials: each done once, tried again where its process dies, and recorded."""

import json
from dataclasses import replace

import pytest

from planner.errors import PlannerError
from planner.study.ledger import MOST_TRIES
from planner.training.measuring import Jobs, zen_asked, zen_bytes
from planner.training.resources import ENGINES, Resources
from sampler import base
from trainer.engines.engine import Event, write_observation
from trainer.zero_cost import zen_score

SMALL = replace(base("resnet20_cifar").architecture(), resolution=16)
OTHER = replace(SMALL, resolution=24)
HERE = Resources(engine="inline", device="cpu")


def asked(architecture=SMALL, **settings):
    return zen_asked(architecture, 10, 3, **{"repeats": 2, "batch": 2, **settings})


class Played:
    """An engine whose events are given: of each job the kinds, one for every try."""

    at_once = 2

    def __init__(self, where, kinds, seen):
        self.where, self.kinds, self.seen = where, kinds, seen

    def __enter__(self):
        self.seen.append("begun")
        return self

    def __exit__(self, *_):
        self.seen.append("ended")

    def run(self, next_training):
        while (job := next_training()) is not None:
            kind = self.kinds.pop(0)
            self.seen.append(kind)
            yield Event(kind, job[0], text="its process ended with exit code -9")

    def pause(self):
        pass

    end = pause


def refuse(*_):
    raise AssertionError("nothing may be measured")


@pytest.fixture
def played(tmp_path):
    """A function: jobs in a folder whose engine gives events of these kinds, and what it saw and was told."""
    seen, lines = [], []

    def jobs(*kinds):
        with ENGINES.temporarily("local", lambda _, where: Played(where, list(kinds), seen)):
            with Jobs(tmp_path, Resources(), lines.append, lambda _: 1) as found:
                return found([asked()])

    return jobs, seen, lines


def test_zen_scores_are_those_of_this_process_and_are_computed_once(tmp_path, monkeypatch):
    wanted = [asked(), asked(OTHER), asked(), asked(resolution=32)]
    ended = []
    with Jobs(tmp_path, HERE, print, zen_bytes) as jobs:
        found = jobs(wanted, ended.append)
        again = jobs([asked(OTHER)], refuse)  # by the same workers
    alone = [zen_score(one.architecture, 10, 2, 2, 3, "cpu", one.measure.resolution or None).zen for one in wanted]
    assert [one.accuracy for one in found] == alone and len(ended) == 3 and again == [found[1]]
    monkeypatch.setattr("trainer.measuring.zen_score", refuse)
    with Jobs(tmp_path, HERE, print, zen_bytes) as jobs:
        assert jobs(wanted, refuse) == found
    with Jobs(tmp_path, HERE, print, zen_bytes) as jobs, pytest.raises(RuntimeError, match="which is a defect"):
        jobs([asked(batch=3)])  # another question


def test_a_job_whose_process_dies_is_tried_again_then_given_up_and_recorded(played, tmp_path):
    jobs, seen, lines = played
    (found,) = jobs(*["died"] * MOST_TRIES)
    assert found.status == "killed" and found.accuracy is None and "exit code -9" in found.message
    assert seen == ["begun", *["died"] * MOST_TRIES, "ended"]
    assert len(lines) == MOST_TRIES and "to try again" in lines[-1] and str(tmp_path) in lines[-1]
    assert jobs() == [found] and seen.count("begun") == 1  # which nobody repeats


def test_what_the_user_can_mend_ends_it_in_one_line_and_a_defect_does_not_pass_for_that(played):
    jobs, _, _ = played
    with pytest.raises(PlannerError, match="exit code -9"):
        jobs("refused")
    with pytest.raises(RuntimeError, match="defect"):
        jobs("failed")


def test_what_was_paused_remains(played):
    jobs, _, _ = played
    with pytest.raises(PlannerError, match="1 measurements remain; the same command goes on"):
        jobs("paused")


@pytest.mark.parametrize("content", ["{", "[]", '{"status": "ok"}'])
def test_a_damaged_record_is_measured_anew(tmp_path, content):
    with Jobs(tmp_path, HERE, print, zen_bytes) as jobs:
        (found,) = jobs([asked()])
        (path,) = (tmp_path / "measured").glob("*.json")
        path.write_text(content)
        (again,) = jobs([asked()])
        assert again == replace(found, seconds=again.seconds) and json.loads(path.read_text())["status"] == "ok"


def test_a_record_of_another_question_is_not_taken_for_an_answer(tmp_path):
    with Jobs(tmp_path, HERE, print, zen_bytes) as jobs:
        (found,) = jobs([asked()])
        (path,) = (tmp_path / "measured").glob("*.json")
        write_observation(path.parent, int(path.stem), asked(batch=4), replace(found, accuracy=0.5))
        assert jobs([asked()])[0].accuracy == found.accuracy


def test_where_memory_runs_out_beside_others_it_waits_until_it_is_alone():
    from trainer.device_errors import CrowdedError
    from trainer.measuring import measured

    def full(*_):
        raise MemoryError("no more")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainer.measuring.zen_score", full)
        with pytest.raises(CrowdedError):
            measured(asked(), None, "cpu", 1, alone=False)
        found = measured(asked(), None, "cpu", 1)
    assert (found.status, found.accuracy, found.message) == ("out_of_memory", None, "no more")


def test_the_largest_of_some_scores_says_how_much_memory_they_need():
    small, large = (zen_bytes([asked(one)]) for one in (SMALL, OTHER))
    assert small < large == zen_bytes([asked(), asked(OTHER)])
    assert zen_bytes([asked(resolution=64)]) > large
