"""The page about scores: its trainer trains, its commands run, and what it says of them is so."""

import re
import sys
from pathlib import Path

import pandas as pd
import pytest

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "scores.md").read_text()


@pytest.mark.slow
def test_the_page_s_commands_run_and_show_the_error(monkeypatch, tmp_path, capsys):
    from planner.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCALING_PLANNER_CACHE", str(tmp_path / "cache"))
    Path("diabetes.py").write_text(re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1])
    said = {}
    for line in re.search(r"```sh\n(.*?)```", PAGE, re.DOTALL)[1].splitlines():
        inline = ["--engine", "inline", "--device", "cpu"] if line.startswith("planner train") else []
        monkeypatch.setattr(sys, "argv", [*line.split(), *inline])
        main()
        said[line.split()[1]] = capsys.readouterr().out
    table = pd.read_csv("results/diabetes/trials.csv")
    assert len(table) == 12 and table["rmse"].between(40, 170).all() and table["fitted_error"].gt(0).all()
    best = table["rmse"].min()
    # The mean of the others' progression is off by the standard deviation: whoever learned anything is nearer.
    assert best < 77
    assert f"{best:.4g}" in said["front"] and "best rmse" in said["status"]


@pytest.mark.parametrize("option", re.findall(r"`(--[a-z-]+)", PAGE.partition("| option |")[2].partition("\n\n")[0]))
def test_the_options_of_the_page_are_those_of_the_command(option):
    from planner.commands.sample import command

    assert any(option in [*one.opts, *one.secondary_opts] for one in command.params)
