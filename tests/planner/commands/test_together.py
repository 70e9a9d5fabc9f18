"""An option that would be ignored in its company is refused by name, in every command."""

import importlib
import re

import click
import pytest

from planner.cli import COMMANDS
from planner.commands.options import BUDGET_OPTIONS
from planner.commands.resource_options import RESOURCES
from planner.commands.scale import RULES_OWN

# A command line, and the option that does nothing in it, with what it would need or what it stands beside.
IGNORED = {
    "predict --flops 200M --latency-model none.json": ("--latency-model", "without --latency;"),
    "predict --params 4M --latency-model none.json": ("--latency-model", "without --latency;"),
    "predict --flops 200M --dtype float16": ("--dtype", "without --memory;"),
    "predict --flops 200M --dtype float32": ("--dtype", "without --memory;"),
    "predict --flops 200M --smooth --cautious": ("--cautious", "beside --smooth;"),
    "predict --flops 200M --confirm 3": ("--confirm", "without --study;"),
    "predict --flops 200M --workers 2": ("--workers", "without --confirm;"),
    "predict --flops 200M --study mine --confirm 3 --stop-early": ("--stop-early", "beside --confirm;"),
    "predict --params 4M --extrapolate": ("--extrapolate", "without --flops or --cost;"),
    "export --to timm --params 4M --extrapolate": ("--extrapolate", "without --flops;"),
    "export --to timm --flops 200M --dtype bfloat16": ("--dtype", "without --memory;"),
    "sample --trials 3 --dtype float16": ("--dtype", "without --memory;"),
    "run --latency-model none.json": ("--latency-model", "without --latency;"),
    "propose --dtype float16": ("--dtype", "without --memory;"),
    "propose --method random --per second": ("--per", "without --method bayes;"),
    "propose --repeat 3 --pool 500": ("--pool", "beside --repeat;"),
    "propose --repeat 3 -n 2": ("-n", "beside --repeat;"),
    "propose --repeat 3 --params 4M": ("--params", "beside --repeat;"),
    "propose --epochs 1,3 --seeds 2": ("--seeds", "beside --epochs;"),
    "propose --epochs 1,3 --per second": ("--per", "beside --epochs;"),
    "cost resnet18 --depths 1,1,1,1 --depth 2": ("--depth", "beside --depths;"),
    "latency resnet18 --depths 1,1,1,1 --depth 2": ("--depth", "beside --depths;"),
    "latency resnet18 --sweep resolution --no-measure --threads 2": ("--threads", "beside --no-measure;"),
    "latency resnet18 --sweep resolution --no-measure --runtime torch": ("--runtime", "beside --no-measure;"),
    "front --base resnet18": ("--base", "without TABLE;"),
    "fit --study mine --base resnet18": ("--base", "without TABLE;"),
    "report --study mine --base resnet18": ("--base", "without TABLE;"),
    "compare --flops 5M --base resnet18": ("--base", "without --table;"),
    "compare --flops 5M --beside other": ("--beside", "without --curves;"),
    "compare --curves --plot c.svg --seeds 3": ("--seeds", "beside --curves;"),
    "compare --curves --plot c.svg --minutes 3": ("--minutes", "beside --curves;"),
    "compare --table t.csv --flops 5M --workers 2": ("--workers", "beside --table;"),
    "compare --table t.csv --flops 5M --stop-early": ("--stop-early", "beside --table;"),
    "scale resnet18 --method fast --scale 2 --pure": ("--pure", "without --flops;"),
    "scale resnet18 --method fast --flops 900M --workers 2": ("--workers", "on fast, a rule, which trains nothing;"),
    "scale resnet18 --method fast --flops 900M --device cpu": ("--device", "on fast, a rule, which trains nothing;"),
    "scale resnet18 --method fast --flops 900M --latency-model l.json": ("--latency-model", "without --latency;"),
    "scale resnet18 --method greedy --flops 900M --alpha 1.1": ("--alpha", "on the search greedy;"),
    "scale resnet18 --method rbis --scale 2": ("--scale", "on the search rbis;"),
    "scale resnet18 --method rbis --flops 9M --classes 10": ("--classes", "on the search rbis;"),
}


@pytest.mark.parametrize("line", IGNORED)
def test_an_option_without_effect_is_refused_by_name_and_nothing_is_done(run, tmp_path, line):
    option, company = IGNORED[line]
    code, out, err = run(*line.split())
    assert (code, out) == (2, "") and err.startswith(f"planner: {option} has no effect {company}"), err
    assert err.count("\n") == 1 and "leave" in err and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("method", "option"), [("greedy", "--score zen"), ("adjust", "--score zen"), ("adjust", "--fine-tune 3")]
)
def test_an_option_of_another_search_is_refused_by_name(run, new, method, option):
    code, _, err = run("scale", "efficientnet_b0", "--method", method, "--flops", "14M", *option.split())
    assert code == 2 and f"{option.split()[0]} has no effect on {method}" in err


@pytest.mark.parametrize(
    "line",
    [
        "predict --memory 40MB --dtype float16",
        "predict --flops 15M --extrapolate",
        "cost resnet18 --widths 8,8,8,8 --width 0.5",
        "cost resnet18 --depths 1,1,1,1",
        "latency resnet18 --sweep resolution --no-measure --classes 10",
        "scale resnet18 --method fast --flops 900M --pure",
    ],
)
def test_options_that_belong_together_are_taken(run, line):
    code, _, err = run(*line.split())
    assert code == 0, err


def every_command():
    for name in COMMANDS:
        command = importlib.import_module(f"planner.commands.{name}").command
        yield from command.commands.values() if isinstance(command, click.Group) else [command]
    yield importlib.import_module("planner.commands.latency").measure


def test_the_rules_name_options_that_there_are():
    known = {option for command in every_command() for one in command.params for option in one.opts}
    assert {*BUDGET_OPTIONS, *RESOURCES, *RULES_OWN} <= known
    for name in (*COMMANDS, "searching"):
        module = importlib.import_module(f"planner.commands.{name}")
        with open(module.__file__, encoding="utf-8") as file:
            rules = re.findall(r"(?:needs|replaces)\(([^)]*)\)", file.read())
        named = {one.split()[0] for rule in rules for one in re.findall(r'"(-[^"]*)"', rule)}
        assert named <= known
