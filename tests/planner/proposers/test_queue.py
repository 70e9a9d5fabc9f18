"""Proposals from Python: what the command queues, as one call with its options in a record."""

import pytest

from planner import PlannerError
from planner.proposers.queue import ProposalOptions, propose_for, repeat_trials
from sampler import exact_limit
from sampler.complexity import count

SMALL = ProposalOptions(pool=500, limits=(exact_limit("params", 3e6),))


def test_what_was_queued_is_said_and_waits(mine):
    found = propose_for(mine, 3, "random", SMALL)
    assert repr(found) == "QueuedProposals(3 by random in mine)"
    assert [list(row) for row in found.architectures.integers()] == [list(row) for row in mine.pending().integers()]
    assert (count(found.architectures, 4).params <= 3e6).all()
    facts = found.as_dict()
    assert facts["waiting"] == 3 and len(facts["queued"]) == 3
    assert "chosen among" in facts["notes"][0]


def test_trials_are_repeated(mine):
    found = repeat_trials(mine, [2, 2, 4], seeds=2)
    assert found.architectures is None and found.as_dict()["queued"] == []
    assert mine.counts()["waiting"] == 4


@pytest.mark.parametrize(
    ("method", "options", "words"),
    [
        ("best", ProposalOptions(), "--method best: there is no such proposer; one of: bayes"),
        ("tpe", ProposalOptions(epochs=[1]), "for --method bayes, and between 1 and the study's own 3"),
        ("bayes", ProposalOptions(epochs=[9]), "for --method bayes, and between 1 and the study's own 3"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_queued(mine, method, options, words):
    with pytest.raises(PlannerError, match=words):
        propose_for(mine, 2, method, options)
    assert mine.counts()["waiting"] == 0
