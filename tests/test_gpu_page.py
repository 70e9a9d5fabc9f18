"""The page about GPUs: its commands run, and what it says of columns and statuses is so."""

import re
import sys
from pathlib import Path

import pandas as pd
import pytest

from trainer.devices import _BFLOAT16_FROM
from trainer.engines.placement import MOST_PER_DEVICE, USABLE
from trainer.observation import STATUSES
from trainer.proxy import CHECKPOINT_SECONDS, CHECKPOINTS_APART
from trainer.recipe import Recipe

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "gpu.md").read_text()


@pytest.mark.slow
def test_the_page_s_commands_run_and_the_table_says_how_memory_was(monkeypatch, tmp_path, capsys):
    from planner.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCALING_PLANNER_CACHE", str(tmp_path / "cache"))
    for line in re.search(r"```sh\n(.*?)```", PAGE, re.DOTALL)[1].splitlines():
        inline = ["--engine", "inline"] if line.startswith("planner train") else []
        monkeypatch.setattr(sys, "argv", [*line.split(), *inline])
        main()
        assert capsys.readouterr().out
    table = pd.read_csv("results/small/trials.csv")
    assert table["status"].tolist() == ["ok", "ok"]
    assert table["micro_batches"].tolist() == [1, 1] and table["alone"].all()


def test_the_page_s_numbers_are_those_of_the_program():
    assert f"{Recipe().margin:g} times its own resolution" in PAGE and f"never more than {MOST_PER_DEVICE}" in PAGE
    assert "a tenth of the free memory" in PAGE and USABLE == 0.9
    assert "every minute" in PAGE and CHECKPOINT_SECONDS == 60
    assert "less than a twentieth" in PAGE and CHECKPOINTS_APART == 20
    assert "From Ampere on" in PAGE and _BFLOAT16_FROM == (8, 0)
    assert {"out_of_memory", "killed"} <= set(STATUSES)
