"""Families of others come in by registration or by an installed package's entry point; what is wrong is one line."""

import importlib.metadata
import sys
from dataclasses import replace

import pytest
from torch import nn

import trainer.families.registry as registry
from sampler import InputError, base, registered
from sampler.families.residual import RESIDUAL
from trainer.families import TorchFamily, register_torch_family, registered_torch_family, torch_family
from trainer.families.mbconv import MBConvFamily
from trainer.network import build

MINE = replace(base("resnet20_cifar"), name="mine", family="dense")


class Dense(type(RESIDUAL)):
    """ResNets under another name, as the sampler counts them."""

    name, bases = "dense", {"mine": MINE}


class TorchDense:
    """The same in torch: nothing but how they are built."""

    def build(self, network, architecture, classes, drop_rate):
        return torch_family("residual").build(network, architecture, classes, drop_rate)


@pytest.fixture
def counted():
    with registered(Dense()):
        yield


@pytest.fixture
def installed(monkeypatch):
    """A function: entry points of installed packages, by what they name, and what each gives."""
    asked = []

    def install(**points):
        for value, given in points.items():
            module = type(sys)(value)
            if not isinstance(given, Exception):
                module.family = given
            monkeypatch.setitem(sys.modules, value, module)
        group = "scaling_planner.torch_families"

        def entry_points(**selected):
            asked.append(selected)
            return [importlib.metadata.EntryPoint("dense", f"{value}:family", group) for value in points]

        monkeypatch.setattr(registry, "entry_points", entry_points)
        return asked

    yield install
    registry._families.pop("dense", None)


def test_a_registered_family_is_built_and_then_forgotten(counted):
    family = TorchDense()
    with registered_torch_family("dense", family):
        assert torch_family("dense") is family
        assert isinstance(build(MINE.architecture(), 10), nn.Module)
    with pytest.raises(InputError, match="not known for family 'dense'"):
        torch_family("dense")


def test_nobody_is_asked_for_a_family_that_is_known(installed):
    asked = installed(somewhere=TorchDense())
    assert isinstance(torch_family("mbconv"), MBConvFamily) and not asked
    assert torch_family("dense") is sys.modules["somewhere"].family
    assert torch_family("dense") and asked == [{"group": "scaling_planner.torch_families", "name": "dense"}]


def test_a_family_that_nobody_gives_is_one_line(counted, installed):
    asked = installed()
    with pytest.raises(InputError) as error:
        build(MINE.architecture(), 10)
    assert str(error.value) == (
        "mine: how to build it is not known for family 'dense', only for mbconv, regnet, residual, ghost, convnext, "
        "vit; give it with trainer.families.register_torch_family"
    )
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ({"somewhere": ImportError("gone")}, "torch family 'dense': somewhere:family cannot be imported"),
        ({"somewhere": 3}, "torch family 'dense' is int; an object with build"),
        (
            {"here": TorchDense(), "there": TorchDense()},
            "'dense' is given by here:family and there:family; uninstall all but one",
        ),
    ],
)
def test_an_installed_package_that_cannot_be_used_is_one_line(counted, installed, points, words):
    installed(**points)
    with pytest.raises(InputError, match=words) as error:
        build(MINE.architecture(), 10)
    assert "\n" not in str(error.value) and str(error.value).startswith("mine: ")


@pytest.mark.parametrize(
    ("name", "family", "words"),
    [
        ("mbconv", TorchDense(), "torch family 'mbconv' is known already; register yours under another name"),
        ("dense", TorchDense, "torch family 'dense' is the class TorchDense; an object with build"),
        ("dense", object(), "torch family 'dense' is object; an object with build"),
    ],
)
def test_what_cannot_be_registered_is_one_line(name, family, words):
    with pytest.raises(InputError, match=words):
        register_torch_family(name, family)
    with pytest.raises(InputError, match=words), registered_torch_family(name, family):
        pass


def test_a_family_can_be_registered_twice_but_not_lent_twice():
    register_torch_family("mbconv", torch_family("mbconv"))
    with pytest.raises(InputError, match="is known already"), registered_torch_family("mbconv", torch_family("mbconv")):
        pass
    assert isinstance(torch_family("mbconv"), TorchFamily)
