"""Families come and go by their names; those of installed packages are asked for only where a name is unknown."""

import importlib.metadata
import json
import sys
from dataclasses import replace

import pytest

from sampler import (
    BaseNetwork,
    Family,
    InputError,
    architecture_complexity,
    base,
    base_names,
    register_family,
    registered,
    unregister_family,
)
from sampler.families import family_names, family_of, network_of, registry, takes_every_width, without_usual_knobs
from sampler.families.residual import RESIDUAL

MINE = replace(base("resnet20_cifar"), name="mine", family="dense")


class Dense(type(RESIDUAL)):
    """ResNets under another name."""

    name, bases = "dense", {"mine": MINE}


class Entry:
    """An entry point of an installed package."""

    name, value, dist = "dense", "somewhere:Dense", None

    def __init__(self, loaded):
        self.loaded = loaded

    def load(self):
        if isinstance(self.loaded, Exception):
            raise self.loaded
        return self.loaded


@pytest.fixture
def installed(monkeypatch):
    """A function: as if packages with these families were installed; counts how often they are asked for."""
    asked = []
    monkeypatch.setattr(registry, "_loaded", [])

    def install(*families):
        def entry_points(group):
            asked.append(group)
            return [Entry(family) for family in families]

        monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
        return asked

    yield install
    if "dense" in family_names():
        unregister_family("dense")


def test_a_registered_family_is_counted_as_its_blocks_say_and_then_forgotten():
    with registered(Dense()) as family:
        assert base("mine") is MINE and base_names()[-1] == "mine" and family_of(MINE) is family
        assert architecture_complexity(MINE.architecture()).macs == 40_614_400  # ResNet-20 with 1000 classes
    assert "mine" not in base_names() and "dense" not in family_names()
    with pytest.raises(InputError, match="'mine' is unknown"):
        base("mine")


def test_a_family_is_forgotten_when_the_block_fails():
    with pytest.raises(ZeroDivisionError), registered(Dense()):
        raise ZeroDivisionError
    assert "dense" not in family_names()


def test_a_class_is_registered_by_a_decorator():
    try:

        @register_family
        class Mine(Dense):
            """Another."""

        assert isinstance(Mine, type) and isinstance(family_of(MINE), Mine)
    finally:
        unregister_family("dense")


@pytest.mark.parametrize(
    ("family", "message"),
    [
        (type("Taken", (Dense,), {"name": "mbconv"})(), "family 'mbconv' is already known"),
        (
            type("Taken", (Dense,), {"bases": {"resnet18": replace(MINE, name="resnet18")}})(),
            "'resnet18' is already known in family 'residual'",
        ),
        (type("Other", (Dense,), {"name": "other"})(), "'mine' of family 'other' has another name or family"),
        (type("Empty", (Dense,), {"bases": {}})(), "has no base networks"),
        (object(), "is no family: it has no name, bases, blocks"),
        ("residual", "is no family: it has no name"),
    ],
)
def test_a_family_that_clashes_or_is_none_is_refused_in_one_line_and_leaves_nothing(family, message):
    before = family_names(), base_names()
    with pytest.raises(InputError, match=message) as error:
        register_family(family)
    assert "\n" not in str(error.value) and (family_names(), base_names()) == before


def test_nobody_is_unregistered_who_is_unknown():
    with pytest.raises(InputError, match="family 'dense' is unknown; known families: mbconv, "):
        unregister_family("dense")


def test_installed_families_are_read_once_and_only_for_unknown_names(installed):
    asked = installed(Dense)
    assert base("resnet18").name == "resnet18" and "mine" not in base_names() and not asked
    assert base("mine") is MINE and base("mine") is MINE and asked == ["scaling_planner.families"]
    with pytest.raises(InputError, match="base network 'nobodys' is unknown"):
        base("nobodys")
    assert len(asked) == 1


@pytest.mark.parametrize("loaded", [ImportError("no such module"), type("Taken", (Dense,), {"name": "ghost"})])
def test_an_installed_family_that_cannot_be_used_is_named_in_one_line(installed, loaded):
    installed(loaded)
    with pytest.raises(InputError, match="'dense' of somewhere:Dense cannot be used: .*; mend or remove") as error:
        base("mine")
    assert "\n" not in str(error.value)
    assert base("resnet18").name == "resnet18"


def planner(monkeypatch, capsys, *arguments):
    from planner.cli import main

    monkeypatch.setattr(sys, "argv", ["planner", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
        raise SystemExit(0)
    printed = capsys.readouterr()
    return ended.value.code or 0, printed.out, printed.err


def test_the_command_line_counts_and_lists_an_installed_family(installed, monkeypatch, capsys):
    asked = installed(Dense)
    code, _, _ = planner(monkeypatch, capsys, "cost", "resnet18")
    assert code == 0 and not asked  # a known name asks nobody
    code, out, _ = planner(monkeypatch, capsys, "cost", "mine", "--json", "--explain")
    assert code == 0 and json.loads(out)["macs"] == architecture_complexity(base("resnet20_cifar").architecture()).macs
    code, out, _ = planner(monkeypatch, capsys, "bases", "--json")
    assert code == 0 and json.loads(out)[-1]["name"] == "mine" and len(asked) == 1


def test_which_families_take_every_width():
    assert [takes_every_width(base(name)) for name in ("efficientnet_b0", "regnety_004", "resnet18")] == [
        True,
        False,
        True,
    ]


def test_a_family_need_not_derive_from_ours():
    class Plain:
        """A family that only has the methods."""

        name, bases = "dense", {"mine": MINE}

        def __getattr__(self, name):
            return getattr(RESIDUAL, name)

    with registered(Plain()):
        known, ours = (
            architecture_complexity(MINE.architecture()),
            architecture_complexity(base("resnet20_cifar").architecture()),
        )
        assert known.macs == ours.macs
        assert not takes_every_width(MINE)  # nobody knows: searches take the careful way


def test_knobs_go_into_the_table_of_the_base_network():
    plain = base("regnety_004").architecture()
    assert network_of(plain) is base("regnety_004")
    groups = tuple(2 * stage.group_width for stage in base("regnety_004").stages)
    table = network_of(plain.with_knobs({"group_width": groups}))
    assert tuple(stage.group_width for stage in table.stages) == groups
    assert replace(table, stages=base("regnety_004").stages) == base("regnety_004")
    with pytest.raises(InputError, match="regnety_004: family regnet has no knob heads"):
        network_of(plain.with_knobs({"heads": 3}))


def test_knobs_as_in_the_base_network_are_no_knobs():
    plain = base("regnety_004").architecture()
    usual = {"group_width": tuple(stage.group_width for stage in base("regnety_004").stages)}
    assert without_usual_knobs(plain.with_knobs(usual)) == plain
    other = plain.with_knobs({"group_width": (4, 4, 4, 4)})
    assert without_usual_knobs(other) == other


def test_a_family_has_the_defaults_of_those_it_derives_from():
    class Least(Family):
        """The least that a family is."""

        name, bases = "least", {"tiny": BaseNetwork("tiny", "least", 32, 8, MINE.stages, 0, "inverse")}

        def blocks(self, network, sizes, classes):
            return iter(())

    least = Least()
    assert least.knobs(MINE) == {} and least.with_knobs(MINE, {}) is MINE
    for ask, message in (
        (lambda: least.terms(MINE, 10), "mine: family least gives no terms"),
        (lambda: least.with_knobs(MINE, {"heads": (1,)}), "mine: family least has no knob heads"),
        (lambda: least.layer_blocks(MINE, None, None, 10), "mine has no free widths per layer"),
    ):
        with pytest.raises(InputError, match=message) as error:
            ask()
        assert "\n" not in str(error.value)
