"""Declared networks on other machines: a training carries enough to build them, and no file of the user is there."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

MADE = ("--study", "mine", "--base", "mine.py:net", "--trials", 2, "--epochs", 1, "--window", "0.05", "1")
IMAGES = ("--data", "fractal:classes=4,train=40,validation=8")
LAYERS = """
from torch import nn


def layer(before, width, stride):
    return [nn.Conv2d(before, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
"""
# A trainer that builds the network itself, as users' own do.
TRAIN = """
import torch


def train(job):
    from trainer.network import build

    model = build(job.architecture, job.classes)
    side = job.architecture.resolution
    return float(model(torch.zeros(2, 3, side, side)).shape == (2, job.classes)) / 2
"""
ENGINES = {
    "local": ("--workers", 1),
    "slurm": ("--engine", "slurm", "--slurm-option", "cluster=local", "--workers", 2),
    "ray": ("--engine", "ray", "--workers", 1),
}


def in_two_files():
    """The network's file imports its layers from another beside it."""
    text = Path("mine.py").read_text()
    line = next(one for one in text.splitlines() if "nn.Conv2d" in one)
    text = text.replace(line, "            layers += layer(before, width, 1 if i else 2)")
    Path("mine.py").write_text(text.replace("import planner", "from mine_layers import layer\n\nimport planner"))
    Path("mine_layers.py").write_text(LAYERS)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("trained", ["images", "by a function"])
def test_a_network_of_two_files_is_trained_where_neither_of_them_is(declared, run, engine, trained):
    if engine != "local" and importlib.util.find_spec({"slurm": "submitit", "ray": "ray"}[engine]) is None:
        pytest.skip(f"needs the extra [{engine}]")
    in_two_files()
    Path("train_mine.py").write_text(TRAIN)
    how = IMAGES if trained == "images" else ("--trainer", "train_mine.py:train", "--classes", 4)
    code, _, err = run("sample", *MADE, *how)
    assert code == 0, err
    for file in ("mine.py", "mine_layers.py"):
        os.unlink(file)
    # In a process of its own, as Ray reads its environment once.
    command = [sys.executable, "-m", "planner", "train", "--study", "mine", *map(str, ENGINES[engine])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0 and "2 trained, 0 failed" in done.stdout, done.stderr
