"""The public names: what they take, what catches their refusals, and what tools can read of them."""

import importlib
import inspect
import math
import typing
from dataclasses import asdict, replace

import numpy as np
import optuna
import pandas as pd
import pytest
from torch import nn

import planner
import sampler
from planner import rules
from planner.errors import InputError, PlannerError

GARBAGE = {
    "none": None,
    "list": [],
    "nested": [[1, 2]],
    "dict": {"a": 1},
    "text": "no such thing",
    "empty": "",
    "negative": -1,
    "bool": True,
    "nan": math.nan,
    "infinite": math.inf,
    "huge": 10**400,
    "numpy": np.float32(-2.5),
    "missing": [None],
    "complex": 1 + 2j,
    "bytes": b"z",
    "object": object(),
    "range": range(3),
}
TABLE = pd.DataFrame(
    {
        "base": "efficientnet_b0",
        "r": np.linspace(0.5, 1.5, 8),
        "d": np.linspace(0.5, 1.5, 8),
        "macs": np.linspace(1e7, 8e7, 8),
        "accuracy": np.linspace(0.5, 0.7, 8),
    }
)
B0 = sampler.base("efficientnet_b0")


def given(name):
    """Good arguments of the public callables."""
    space = sampler.SearchSpace("efficientnet_b0", 64)
    design = {"space": space, "n": 2, "seed": 0, "seen": None}
    pool = TABLE.assign(r=TABLE["r"] + 0.01)
    rule = {"method": "compound", "base": "efficientnet_b0", "resolution": 128, "classes": 10, "rule": "inverse"}
    return {
        "planner.base": {"name": "resnet18"},
        "planner.build": {"architecture": sampler.base("resnet20_cifar").architecture(), "classes": 4},
        "planner.complexity": {
            "base": "resnet18",
            "resolution": 64,
            "width": 1.0,
            "depth": 1.0,
            "widths": [8] * 4,
            "depths": [1] * 4,
            "rule": "free",
            "classes": 10,
            "dtype": "float16",
            "knobs": {},
        },
        "planner.propose": {
            "observed": TABLE[:4],
            "pool": pool,
            "n": 1,
            "inputs": ["r", "d"],
            "target": "accuracy",
            "cost": "macs",
            "noise_variance": 0.1,
            "noise_share": 0.5,
            "limits": {"macs": 1e9},
            "per": "trial",
            "fidelity": {"r": 1.0},
        },
        "planner.answer": {
            "observed": TABLE[:4],
            "pool": pool,
            "budgets": [5e7, "80M"],
            "inputs": ["r", "d"],
            "target": "accuracy",
            "cost": "macs",
            "noise_variance": 0.1,
            "cautious": False,
        },
        "planner.Architecture": asdict(B0.architecture()),
        "planner.ExactCostSampler": {
            "cost": len,
            "objective": 0,
            "pool_size": 9,
            "n_startup_trials": 3,
            "candidates": [{"a": 1}],
        },
        "sampler.architecture_complexity": {"architecture": B0.architecture(), "classes": 3, "dtype": "float32"},
        "sampler.architecture_from": {"facts": asdict(B0.architecture())},
        "sampler.base": {"name": "resnet18"},
        "sampler.exact_limit": {"name": "params", "largest": 1e6, "dtype": "float32"},
        "sampler.random_design": design,
        "sampler.rule_named": {"name": "free"},
        "sampler.scaled": {"name": "resnet18", "resolution": 64, "width": 1.0, "depth": 1.0, "rule": "free"},
        "sampler.sobol_design": design,
        "sampler.solve_width": {
            "network": B0,
            "rule": sampler.rule_named("tinynet"),
            "resolution": 96,
            "depth": 1.0,
            "budget": 5e7,
            "classes": 10,
        },
        "sampler.stack": {"architectures": [B0.architecture()]},
        "sampler.stratified_design": {**design, "bins": 2},
        "sampler.SearchSpace": {
            "base": "efficientnet_b0",
            "resolution": 64,
            "classes": 4,
            "rule": "free",
            "kind": "stage",
            "window": (0.1, 0.2),
            "r": (0.5, 1.0),
        },
        "planner.rules.at_budget": {**rule, "macs": 5e7, "factors": rules.EFFICIENTNET},
        "planner.rules.by_factor": {**rule, "factor": 0.5},
        "planner.rules.compound": {"base": "efficientnet_b0", "resolution": 64, "classes": 3},
    }[name]


NAMES = [
    *("planner.answer planner.base planner.build planner.complexity planner.propose planner.Architecture".split()),
    *("planner.ExactCostSampler planner.rules.at_budget planner.rules.by_factor planner.rules.compound".split()),
    *("sampler.architecture_complexity sampler.architecture_from sampler.base sampler.exact_limit".split()),
    *("sampler.random_design sampler.rule_named sampler.scaled sampler.sobol_design sampler.solve_width".split()),
    *("sampler.stack sampler.stratified_design sampler.SearchSpace".split()),
]


def found(name):
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def refused_or_taken(call, **arguments):
    """Calls; any error but the one that says how to mend it is a defect."""
    try:
        call(**arguments)
    except PlannerError as error:
        told = str(error)
        assert told and "\n" not in told and len(told) < 500, told


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("name", NAMES)
def test_garbage_in_any_argument_is_refused_in_one_line_or_taken(name):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    call, arguments = found(name), given(name)
    call(**arguments)  # the good ones are good
    for argument in sorted({*arguments} - {"seed"}):
        for garbage in GARBAGE.values():
            refused_or_taken(call, **{**arguments, argument: garbage})


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_given_to_what_reads_tables_and_files_is_refused_in_one_line(shipped, garbage):
    value = GARBAGE[garbage]
    with pytest.raises(PlannerError):
        planner.fit(value)
    with pytest.raises(PlannerError):
        planner.fit(TABLE, kind=value)
    with pytest.raises(PlannerError):
        planner.fit_surrogate(value, ["r"])
    with pytest.raises(PlannerError):
        planner.fit_surrogate(TABLE, ["r"], target=value)
    with pytest.raises(PlannerError):
        planner.Formula.load(value)
    if value not in ("no such thing", None):
        refused_or_taken(planner.fit, table=TABLE, prior=value)
        refused_or_taken(shipped.at, resolution=value)
        refused_or_taken(shipped.at, classes=value)
    if value != "no such thing":
        with pytest.raises(PlannerError):
            shipped.save(value)


@pytest.mark.parametrize("level", [0, 1, -0.5, math.nan, None, "0.9", [0.9], {}, True, 10**400])
def test_a_level_that_is_no_share_is_refused(level):
    surrogate = planner.fit_surrogate(TABLE, ["r"], validate=False)
    with pytest.raises(PlannerError, match="a share between 0 and 1 is wanted"):
        surrogate.predict(TABLE, level=level)


def test_complexity_counts_whatever_names_a_network():
    wanted = planner.complexity("resnet18")
    base = planner.base("resnet18")
    for one in (base, base.architecture()):
        assert asdict(planner.complexity(one)) == asdict(wanted)
    several = planner.complexity(["resnet18", base, B0.architecture(), base.architecture()])
    assert several.macs.tolist() == [wanted.macs, wanted.macs, 385_814_752, wanted.macs]
    assert several.memory.dtype == np.int64 and planner.complexity([]).params.tolist() == []
    assert planner.complexity(sampler.stack([base.architecture()] * 2)).params.tolist() == [wanted.params] * 2
    assert planner.complexity(base, resolution=[64, 224]).macs.tolist()[1] == wanted.macs
    assert planner.complexity(replace(base, resolution=64)).macs == planner.complexity("resnet18", resolution=64).macs
    assert planner.complexity(base.architecture(), classes=7).params == planner.complexity("resnet18", classes=7).params


def test_complexity_counts_layered_networks_in_a_list_in_its_order():
    small = planner.base("resnet20_cifar")
    wide, narrow = (sampler.LayeredArchitecture.of(small, [16] * 6 + [32] * 6 + [last] * 6) for last in (64, 48))
    listed = planner.complexity([narrow, "resnet20_cifar", wide, narrow]).macs.tolist()
    assert listed == [planner.complexity(one).macs for one in (narrow, "resnet20_cifar", wide, narrow)]
    assert len(set(listed)) > 1


@pytest.mark.parametrize(
    "network", [nn.Linear(2, 3), [nn.Linear(2, 3)], 3, None, {"a": 1}, {"resnet18"}, [["resnet18"]]]
)
def test_complexity_of_what_is_no_network_of_the_planners_says_what_is(network):
    with pytest.raises(PlannerError, match="is no network of the planner's: name one of `planner bases`, or give"):
        planner.complexity(network)


def test_sizes_beside_an_architecture_and_changed_tables_are_refused():
    for sizes in ({"resolution": 64}, {"width": 0.5}, {"depth": [1, 2]}, {"rule": "free"}, {"widths": [1]}):
        with pytest.raises(
            PlannerError, match="an architecture has its sizes; leave resolution, width, depth and rule"
        ):
            planner.complexity(B0.architecture(), **sizes)
    with pytest.raises(PlannerError, match="the table of efficientnet_b0 was changed"):
        planner.complexity(replace(B0, stem=16))


@pytest.mark.parametrize(
    "call",
    [
        lambda: planner.base("resnet-50"),
        lambda: planner.complexity("resnet18", resolution=-1),
        lambda: planner.Architecture("resnet18", 224, 64, (1,), (), 0),
        lambda: planner.build("resnet18"),
        lambda: planner.Formula.load("none.json"),
        lambda: planner.fit("none.csv"),
        lambda: sampler.rule_named("none"),
    ],
)
def test_one_name_catches_what_any_package_refuses(call):
    for family in (planner.PlannerError, InputError, sampler.InputError, ValueError):
        with pytest.raises(family):
            call()
    assert issubclass(InputError, planner.PlannerError) and issubclass(planner.PlannerError, InputError)


WRAPPED = ("__func__", "fget", "func")  # of class methods, properties and cached properties


def public(module):
    """The public names of a module, with the public methods and properties of its classes."""
    for name in module.__all__:
        one = getattr(module, name)
        yield f"{module.__name__}.{name}", one
        for key, member in vars(one).items() if inspect.isclass(one) else ():
            inner = (
                getattr(member, "__func__", None) or getattr(member, "fget", None) or getattr(member, "func", member)
            )
            if inspect.isfunction(inner) and (key == "__init__" or not key.startswith("_")):
                yield f"{module.__name__}.{name}.{key}", inner


@pytest.mark.parametrize("module", ["planner", "sampler", "planner.rules"])
def test_tools_can_read_the_types_of_every_public_name(module):
    names = dict(public(importlib.import_module(module)))
    hints = {name: typing.get_type_hints(one) for name, one in names.items() if callable(one)}
    assert len(hints) > 12
    assert module != "planner" or hints["planner.Surrogate.predict"]["return"] is pd.DataFrame


def test_the_version_is_that_of_the_distribution():
    from importlib.metadata import version

    assert planner.__version__ == version("scaling-planner")
