"""A family that our tables do not know is one line wherever it is met, and no KeyError."""

from dataclasses import replace

import pytest

from planner.exports.families import code_of
from sampler import InputError, architecture_complexity, base, registered
from sampler.families.residual import RESIDUAL
from trainer.channel_units import stage_macs
from trainer.inheritance.stages import silence_residual_blocks
from trainer.network import BUILDERS, build

MINE = replace(base("resnet20_cifar"), name="mine", family="dense")


class Dense(type(RESIDUAL)):
    """ResNets under another name."""

    name, bases = "dense", {"mine": MINE}


@pytest.fixture
def network(monkeypatch):
    """A base network of a family of one's own, which is counted and built, but of which no other table knows."""
    monkeypatch.setitem(BUILDERS, "dense", BUILDERS["residual"])
    with registered(Dense()):
        yield MINE


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


def test_a_family_that_is_not_built_is_one_line(network, monkeypatch):
    monkeypatch.delitem(BUILDERS, "dense")
    with pytest.raises(InputError, match="mine: how to build it is not known for family 'dense', only for mbconv"):
        build(network.architecture())


def test_a_network_of_an_unknown_family_is_one_line():
    with pytest.raises(InputError, match="base network 'mine' is unknown"):
        architecture_complexity(MINE.architecture())
