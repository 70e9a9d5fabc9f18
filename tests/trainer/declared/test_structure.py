"""Templates of networks of any depth."""

import pytest

from trainer.declared.structure import DeeperError, Group, Template
from trainer.declared.tracing import Item


def ops(text):
    return [Item("body.0", name, (1,)) for name in text]


def template(sequence, most):
    """Of a network with one stage whose operations a function of the depth gives."""
    return Template(ops(sequence(most)), [[ops(sequence(depth)) for depth in range(most - 1, 0, -1)]], [most])


@pytest.mark.parametrize(
    ("sequence", "most"),
    [
        (lambda d: "s" + "ab" * d + "h", 3),
        (lambda d: "s" + "e" * d + "m" + "d" * d + "h", 3),
        (lambda d: "s" + "".join("ab"[k % 2] for k in range(d)) + "h", 5),
        (lambda d: "s" + "".join("aab"[k % 3] for k in range(d)) + "h", 7),
    ],
    ids=["blocks", "encoder and decoder", "every second", "every third"],
)
def test_a_template_knows_deeper_networks(sequence, most):
    found = template(sequence, most)
    for depth in (1, 2, 4, 11):
        assert "".join(entry.token.kind for entry, _ in found.expanded([depth])) == sequence(depth)


def test_blocks_that_differ_need_deeper_traces():
    with pytest.raises(DeeperError):
        template(lambda d: "s" + "".join("ab"[k % 2] for k in range(d)), 3)


def test_an_operation_that_comes_under_a_condition_is_an_entry_that_some_traces_lack():
    found = template(lambda d: "s" + "a" * d + "h", 3)
    found.observe(0, ops("saah"), [2])
    found.observe(1, ops("spaah"), [2])
    (optional,) = (entry for entry in found.entries() if entry.token.kind == "p")
    assert list(optional.seen) == [(1, 0)]


def test_a_group_of_every_second_block_has_its_blocks():
    assert list(Group(1, 2, 2).blocks([7])) == [2, 4, 6]
    assert list(Group(1, 3).blocks([7])) == [3]
