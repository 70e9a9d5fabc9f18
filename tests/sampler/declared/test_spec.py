"""What a user declares of a network: what is made of it, and each mistake in one line."""

import numpy as np
import pytest

from sampler.declared.description import Knob, NetworkDescription
from sampler.declared.family import DeclaredFamily
from sampler.declared.spec import followed, followers, knob_of, network_spec
from sampler.errors import PlannerError
from sampler.families import registered


def net(resolution, widths, depths, classes):
    """A function whose network does not matter here."""


def headed(resolution, widths, depths, classes, heads):
    """Likewise, with a knob."""


GOOD = {"factory": net, "resolution": 32, "widths": (16, 24), "depths": (1, 2)}


def test_what_is_left_out_is_as_usual():
    spec = network_spec(**GOOD)
    assert (spec.name, spec.divisor, spec.step, spec.channels, spec.input, dict(spec.knobs)) == (
        *("net", 8, None, 3, None, {}),
    )
    assert network_spec(net, 32, [16, 20], [1, 1]).divisor == 4
    assert network_spec(net, 32, [np.int64(3)], [1]).divisor == 1


@pytest.mark.parametrize(
    "changed, sentence",
    [
        ({"resolution": 0}, "resolution must be between 1 and 16384, got 0"),
        ({"resolution": 32.0}, "resolution must be whole numbers, got 32.0"),
        ({"resolution": True}, "resolution must be whole numbers, got True"),
        ({"widths": 16}, "widths is 16; give a tuple of whole numbers, one for each stage"),
        ({"widths": ()}, r"widths is \(\); give a tuple"),
        ({"widths": (16, -8)}, "widths must be between 1 and 131072, got -8"),
        ({"widths": (16, "24")}, "widths must be whole numbers, got '24'"),
        ({"depths": (1,)}, "2 widths but 1 depths; give one of each for every stage"),
        ({"depths": (1, 5000)}, "depths must be between 1 and 4096, got 5000"),
        ({"divisor": 16}, "divisor 16 does not divide 24 of widths; give one that divides them all"),
        ({"divisor": 0}, "divisor must be between 1 and"),
        ({"step": 5}, "step 5 does not divide 32 of resolution"),
        ({"channels": 0}, "channels must be between 1 and 512, got 0"),
        ({"input": 3}, "input is 3; give a function of the resolution, as input=lambda r: .."),
        ({"name": "a net"}, "a name has letters, digits, '_', '-' and '.'"),
        ({"name": 3}, "network 3: a name has letters"),
        ({"factory": lambda: None}, "give planner.network.name=..."),
        ({"factory": headed}, "is called with resolution, widths, depths, classes by name, but missing a required arg"),
        ({"factory": lambda r: None, "name": "x"}, "network x: the function is called with .*mend its def"),
        ({"factory": 3, "name": "x"}, "3 is no function of resolution, widths, depths, classes; decorate one"),
        ({"knobs": ("heads",)}, "knobs is .*; give a dict of names"),
        ({"knobs": {"heads": 3}}, "called with resolution, widths, depths, classes, heads by name, but got an unexpec"),
        ({"knobs": {"width": 3}}, "knob 'width': that is no free name for an argument; choose another"),
        ({"knobs": {"a b": 3}}, "knob 'a b': that is no free name"),
        ({"knobs": {"heads": ()}}, "knob heads has no values; give at least one whole number"),
        ({"knobs": {"heads": (1, 0)}}, "knob heads must be between 1 and"),
        ({"knobs": {"heads": {"values": (1, 2)}}}, "knob heads says neither base nor follows; say what it is at base"),
        ({"knobs": {"heads": {"base": 4, "values": (1, 2)}}}, "knob heads is 4 at base, which its values lack"),
        ({"knobs": {"heads": {"base": (1, 2, 3)}}}, "knob heads has 3 numbers at base; give one, or one for each of 2"),
        ({"knobs": {"heads": {"base": 5, "follows": "width/8"}}}, "heads is 5 at base but follows to 2 there; leave"),
        ({"knobs": {"heads": {"bases": 5}}}, "knob heads has bases; it may have base, values and follows"),
        ({"knobs": {"heads": {"follows": "heads/2"}}}, 'knob heads follows .heads/2.; write such as "width / 64"'),
        ({"knobs": {"heads": {"follows": "width/0"}}}, "knob heads follows .width/0.; write"),
        ({"knobs": {"heads": {"follows": "width+1"}}}, "knob heads follows .width.1.; write"),
        ({"knobs": {"heads": {"follows": 3}}}, "knob heads follows 3; write"),
    ],
)
def test_a_mistake_is_told_in_one_line(changed, sentence):
    with pytest.raises(PlannerError, match=sentence) as caught:
        network_spec(**{**GOOD, **changed})
    assert "\n" not in str(caught.value) and str(caught.value).startswith("network ")


def test_a_knob_is_a_number_its_values_or_all_that_is_to_be_said():
    def of(given):
        return knob_of("heads", given, 32, (16, 24), (1, 2))

    assert of(4) == Knob((4,), (4,)) and of((8, 2, 4)) == Knob((8,), (2, 4, 8))
    assert of({"base": (2, 4)}) == Knob((2, 4), (2, 4))
    assert of({"base": (2, 4), "values": [1, 2, 4]}) == Knob((2, 4), (1, 2, 4))
    assert of({"follows": "width/8"}) == Knob((2, 3), (), ["max", 1, ["//", "width", 8]])
    assert of({"follows": "width / 8", "base": 2, "values": (1, 2)}).base == (2,)
    assert of({"follows": "resolution / 16"}) == Knob((2,), (), ["max", 1, ["//", "resolution", 16]])


def test_what_a_knob_follows_is_said_of_its_own_stage():
    knobs = {"mlp": Knob((64, 96), (), followed("width * 4")), "kernel": Knob((3,), (3, 5))}
    assert followers(knobs, 2) == {"mlp_1": ["*", "width_1", 4], "mlp_2": ["*", "width_2", 4], "kernel_1": 3}


@pytest.mark.parametrize(
    "changed, sentence",
    [
        ({"resolution": 33}, "toy: resolution is 33, no multiple of 4; take 32 or 36"),
        ({"widths": (20, 24)}, "toy: width of stage 1 is 20, no multiple of 8; take 16 or 24"),
        ({"knobs": {"heads": 4}}, "toy: heads is 4; it may be 1, 3"),
    ],
)
def test_sizes_between_the_steps_are_refused(changed, sentence):
    from sampler.complexity import complexity

    zero = {"macs": 0, "params": 0, "activations": 0}
    counts = {"follows": {}, "cells": [], "parts": [{"part": 1, **zero}], "alive": 0, "int64s": 0}
    knobs = {"heads": Knob((2,), (1, 3), followed("width / 8"))}
    toy = NetworkDescription("toy", 32, 4, 4, (16, 24), (8, 8), (1, 2), knobs, counts=counts)
    with registered(DeclaredFamily(toy)):
        assert complexity("toy", knobs={"heads": 3}).macs == complexity("toy", knobs={"heads": [2]}).macs == 0
        assert complexity("toy", knobs={"heads": [3, 1, 2]}).macs.tolist() == [0, 0, 0]
        with pytest.raises(PlannerError, match=sentence):
            complexity("toy", **changed)
