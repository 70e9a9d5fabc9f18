"""Declared networks built: what the function is called with, and what it may not do."""

import pytest
from torch import nn

import planner
import sampler
from planner.errors import PlannerError
from trainer.declared.loading import load_network
from trainer.network import build


def declared(function, **facts):
    facts = {"resolution": 8, "widths": (16,), "depths": (2,), "channels": 1, "name": "plain", **facts}
    return load_network(planner.network(**facts)(function))


def module(resolution, widths, depths, classes):
    width, layers = widths[0], depths[0]
    first = nn.Sequential(nn.Flatten(), nn.Linear(resolution**2, width))
    return nn.Sequential(first, *(nn.Linear(width, width) for _ in range(layers - 1)), nn.Linear(width, classes))


def test_the_function_gets_whole_numbers_tuples_and_the_knobs_as_they_follow_or_are_given(derived):
    seen = []

    def net(resolution, widths, depths, classes, heads, kernel):
        seen.append((resolution, widths, depths, classes, heads, kernel))
        return module(resolution, widths, depths, classes)

    base = declared(net, knobs={"heads": {"follows": "width / 8", "values": (1, 4)}, "kernel": (3, 5)})
    assert sampler.base("plain") is base
    build(base.architecture(), classes=5)
    build(base.architecture().with_knobs({"heads": 4}), classes=5)
    assert seen == [(8, (16,), (2,), 5, 2, 3), (8, (16,), (2,), 5, 4, 3)]
    assert {type(value) for value in (seen[0][0], *seen[0][1], *seen[0][3:])} == {int}


def test_a_knob_of_every_stage_comes_as_a_tuple(derived):
    seen = []

    def net(resolution, widths, depths, classes, heads):
        seen.append(heads)
        return module(resolution, widths, depths, classes)

    base = declared(net, widths=(16, 32), depths=(2, 1), knobs={"heads": {"follows": "width / 8"}})
    build(base.architecture())
    assert seen == [(2, 4)]


def test_dropout_goes_to_a_function_that_takes_it(derived):
    seen = []

    def net(resolution, widths, depths, classes, drop_rate=0.0):
        seen.append(drop_rate)
        return module(resolution, widths, depths, classes)

    build(declared(net).architecture(), drop_rate=0.3)
    assert seen == [0.3]


def fails(resolution, widths, depths, classes):
    raise KeyError(f"no\nweights for {classes}")


def gives_none(resolution, widths, depths, classes):
    pass


def is_lazy(resolution, widths, depths, classes):
    return nn.LazyLinear(classes)


def gives_another(resolution, widths, depths, classes):
    return module(resolution, (widths[0] + 1,), depths, classes)


@pytest.mark.parametrize(
    "function, sentence",
    [
        (fails, "plain: its function fails for resolution=8, widths=.16,., depths=.2,., classes=1000: KeyError: .no"),
        (gives_none, "plain: its function gives NoneType; a torch.nn.Module is wanted"),
        (is_lazy, "plain: a lazy layer has no parameters before it is called; give it its sizes"),
        (gives_another, "plain: the function makes a network of 19,411 parameters where 18,312 were counted; its file"),
    ],
)
def test_a_function_that_makes_something_else_is_refused_in_one_line(derived, function, sentence):
    with pytest.raises(PlannerError, match=sentence) as caught:
        build(declared(function).architecture())
    assert "\n" not in str(caught.value)


def test_the_module_is_the_function_s_own(derived):
    assert isinstance(build(load_network(declared(module)).architecture()), nn.Sequential)
