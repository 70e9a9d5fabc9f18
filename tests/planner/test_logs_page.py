"""What docs/logs.md says is so: its commands run, and files are where it says."""

import importlib.util
import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

import planner
from planner.training.progress import LISTENERS
from planner.training.resources import Resources
from planner.training.tools import named_listener

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "logs.md").read_text()
BLOCKS = re.findall(r"```(sh|python)\n(.*?)```", PAGE, re.DOTALL)
TABLES = [block.splitlines()[2:] for block in re.findall(r"(?:^\|.*\n)+", PAGE, re.MULTILINE)]
TRAINER = """
def train(job):
    for epoch in range(1, job.epochs + 1):
        job.report(epoch, 0.1 * epoch)
"""
# Those that are no tools, or are not installed, are left out of the page's command.
TOOLS = ("tensorboard", "wandb", "mlflow")
MISSING = [tool for tool in TOOLS if importlib.util.find_spec(tool) is None]


@pytest.fixture
def digits(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    Path("digits.py").write_text(TRAINER)
    study = planner.create_study(
        "digits", trainer="digits.py:train", epochs=2, classes=10, resolution=64, window=("1M", "30M")
    )
    study.run(trials=2, resources=Resources(engine="inline", device="cpu"))
    return study


def test_the_names_are_those_of_the_command():
    assert [re.findall(r"`(\w+)`", row)[0] for row in TABLES[0]] == [*TOOLS, "jsonl"]
    assert {named_listener(name) for name in (*TOOLS, "jsonl")} <= {make for _, make in LISTENERS.items()}


@pytest.mark.filterwarnings("ignore")
def test_the_commands_and_the_code_run_one_after_the_other(digits, made, in_process, capsys):
    folder = digits.folder
    (kind, command), (python, code), (_, tail) = BLOCKS
    assert (kind, python) == ("sh", "python")
    words = shlex.split(command)
    for tool in MISSING:
        place = words.index(tool)
        del words[place - 1 : place + 1]
    made(Path.cwd(), *words[1:])  # two are trained, and nothing waits
    for row in TABLES[0]:
        name, place = re.findall(r"`([^`]+)`", row)[:2]
        if name not in MISSING:
            written = place.partition("offline-run")[0].replace("trial-0007", "trial-0001")
            assert (folder / written).exists(), written
    exec(code, {"__name__": "__main__"})
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in said] == [[str(number), "ok", "0.2"] for number in (2, 3, 4, 5)]
    lines = subprocess.run(shlex.split(tail), capture_output=True, text=True, check=True).stdout.splitlines()
    assert json.loads(lines[-1])["event"] == "done" and json.loads(lines[-1])["trial"] == 5


def test_the_events_have_the_keys_of_the_page(digits):
    digits.run(trials=3, log=["jsonl"], resources=Resources(engine="inline", device="cpu"))
    known = {}
    for row in TABLES[1]:
        event, keys = (re.findall(r"`(\w+)`", cell) for cell in row.split("|")[1:3])
        known[event[0]] = {"time", "event", "accuracy", *keys}
    lines = [json.loads(line) for line in (digits.folder / "trainings.jsonl").read_text().splitlines()]
    assert {line["event"] for line in lines} == {"done", "start", "begin", "epoch"}
    for line in lines:
        assert line.keys() <= known[line["event"]], line
