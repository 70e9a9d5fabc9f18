"""The page about published systems: its commands run, its options and recipes exist, and its counts are exact."""

import re
import sys
from pathlib import Path

import pytest

from planner.searches.record import read_found
from sampler import architecture_complexity, scaled
from trainer.recipe import RECIPES

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "published_systems.md").read_text()
COMMANDS = re.search(r"```sh\n(.*?)```", PAGE, re.DOTALL)[1].splitlines()


@pytest.mark.slow
def test_the_commands_of_the_page_run(monkeypatch, tmp_path, capsys):
    from planner.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCALING_PLANNER_CACHE", str(tmp_path / "cache"))
    for line in COMMANDS:
        trains = re.search(r"--method (greedy|rbis|adjust)", line)
        here = ["--engine", "inline", "--device", "cpu"] if trains else []
        monkeypatch.setattr(sys, "argv", [*line.split(), *here])
        main()
    assert [one.method for one in read_found(Path("results/grown/searches"))] == ["greedy", "rbis"]
    (moved,) = read_found(Path("results/moved/searches"))
    assert moved.method == "adjust" and "MACs" in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.parametrize("option", sorted(set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE)) - {"--kind", "--sweep"}))
def test_the_options_of_the_page_are_those_of_commands(option):
    from planner.commands.compare import command as compare
    from planner.commands.sample import command as sample
    from planner.commands.scale import command as scale

    known = {name for one in (compare, sample, scale) for each in one.params for name in each.opts}
    assert option in known


@pytest.mark.parametrize(
    ("name", "width", "classes", "free", "inverse"),
    [
        ("resnet20_cifar", 0.75, 100, "22.9M", "29.4M"),
        ("resnet110_cifar", 0.7, 100, "121.4M", "179.8M"),
        ("resnet18", 0.8, 1000, "1,176M", "1,150M"),
        ("resnet20_cifar", 2, 100, "161.3M", "161.3M"),
    ],
)
def test_the_counts_of_the_page_are_exact(name, width, classes, free, inverse):
    for rule, told in (("free", free), ("inverse", inverse)):
        millions = architecture_complexity(scaled(name, width=width, rule=rule), classes).macs / 1e6
        digits = 0 if "," in told else 1
        assert told in PAGE and f"{millions:,.{digits}f}M" == told


def test_the_numbers_of_the_imagenet_recipe_are_the_pages():
    recipe = RECIPES["adjust-imagenet"]
    assert (recipe.learning_rate, recipe.reference_batch, recipe.weight_decay) == (0.2, 512, 4e-5)
    assert "0.2 at batches of 512, decay 4e-5" in PAGE
