"""The page about calibration: its commands run, and every part of a proxy that it names is one."""

import json
import re
import shlex
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "calibrate.md").read_text()


@pytest.mark.slow
def test_the_page_s_commands_run(monkeypatch, tmp_path, capsys):
    from planner.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCALING_PLANNER_CACHE", str(tmp_path / "cache"))
    for line in re.search(r"```sh\n(.*?)```", PAGE, re.DOTALL)[1].splitlines():
        inline = ["--engine", "inline", "--device", "cpu"] if "--proxy" in line else []
        monkeypatch.setattr(sys, "argv", [*shlex.split(line), *inline])
        main()
    names = {one["name"] for one in json.loads(capsys.readouterr().out.splitlines()[-1])["scores"]}
    assert {"epochs=2", "few classes", "zen", "macs", "params"} <= names


def test_every_part_of_a_proxy_on_the_page_is_one(tmp_path):
    from planner.scores.proxies import read_proxy
    from planner.study.settings import StudySettings

    space = {"resolution": 64, "r": (0.5, 1.4)}
    settings = StudySettings.model_validate({"data": {"source": "fractal", "side": 90, "classes": 4}, "space": space})
    rows = PAGE.partition("| --- | --- |")[2].partition("\n\n")[0]
    parts = [part for row in rows.splitlines() for part in re.findall(r"`([^`]+)`", row.partition(" | ")[0])]
    assert len(parts) >= 11 and "inherit" in parts
    for part in parts:
        assert read_proxy(f"epochs=1,{part}" if not part.startswith("epochs") else part, settings)
