"""The page about recipes: its commands run with the settings that it shows, and its names are those that there are."""

import re
import sys
from dataclasses import fields
from pathlib import Path

import pandas as pd

from trainer.recipe import RECIPES, Recipe

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "recipes.md").read_text()


def test_the_page_s_commands_run_with_its_settings(monkeypatch, tmp_path):
    from planner.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCALING_PLANNER_CACHE", str(tmp_path / "cache"))
    make, train = re.search(r"```sh\n(.*?)```", PAGE, re.DOTALL)[1].splitlines()
    shown = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)[1]
    monkeypatch.setattr(sys, "argv", make.split())
    main()
    path = tmp_path / "results" / "mixed" / "study.toml"
    text = path.read_text()
    written = re.search(r"\[recipe\]\n(?:\w+ = .*\n)+", text)[0]
    assert written == '[recipe]\nname = "fast"\nedition = 2\n' and shown.startswith(written)
    path.write_text(text.replace(written, shown))
    monkeypatch.setattr(sys, "argv", [*train.split(), "--engine", "inline"])
    main()
    assert pd.read_csv(path.parent / "trials.csv")["status"].tolist() == ["ok"]


def test_every_recipe_has_its_row_and_every_field_is_one():
    assert re.findall(r"^\| `([\w-]+)` \|", PAGE, re.MULTILINE) == list(RECIPES)
    meant = PAGE.partition("## What the fields mean")[2].partition("Top-5")[0]
    named = set(re.findall(r"^- `(\w+)`", meant, re.MULTILINE))
    assert named <= {one.name for one in fields(Recipe)} and len(named) == 6
