"""A family that our tables do not know is one line wherever it is met, and no KeyError."""

from dataclasses import replace

import pytest

from planner.exports.families import code_of
from sampler import InputError, base
from sampler.bases import BASES
from sampler.families import BLOCKS, of_family
from trainer.channel_units import stage_macs
from trainer.inheritance.stages import silence_residual_blocks
from trainer.network import BUILDERS, build


@pytest.fixture
def network(monkeypatch):
    """A base network of a family of one's own, which is counted and built, but of which no other table knows."""
    made = replace(base("resnet20_cifar"), name="mine", family="dense")
    monkeypatch.setitem(BASES, "mine", made)
    monkeypatch.setitem(BLOCKS, "dense", BLOCKS["residual"])
    monkeypatch.setitem(BUILDERS, "dense", BUILDERS["residual"])
    return made


@pytest.mark.parametrize(
    "use",
    [
        lambda network, one: silence_residual_blocks(build(one, 10), one),
        lambda network, one: stage_macs(network, one, 10),
        lambda network, one: code_of(network, one),
    ],
    ids=["recipe", "utilization", "export"],
)
def test_a_table_that_does_not_know_a_family_says_so(network, use):
    with pytest.raises(InputError, match="mine: .* is not known for family 'dense', only for .*residual") as error:
        use(network, network.architecture())
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("table", [BLOCKS, BUILDERS])
def test_a_family_that_is_neither_counted_nor_built_is_one_line(network, monkeypatch, table):
    monkeypatch.delitem(table, "dense")
    with pytest.raises(InputError, match="is not known for family 'dense'"):
        of_family(table, network, "it")
