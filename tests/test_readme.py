"""Everything fenced in the README runs."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from planner.formulas.formula import Formula
from sampler import rule_named
from sampler.solve import width_brackets

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
COMMANDS = [line for language, text in BLOCKS if language == "sh" for line in text.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where a user would stand: a folder of photographs, and the published table."""
    here = tmp_path_factory.mktemp("user")
    rng = np.random.default_rng(0)
    for label in ("cat", "dog", "owl"):
        (here / "photos" / label).mkdir(parents=True)
        for index in range(40):
            pixels = rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(here / "photos" / label / f"{index}.png")
    shutil.copytree(ROOT / "results" / "published", here / "results" / "published")
    return here


def planner(arguments, folder):
    program = [sys.executable, "-c", "from planner.cli import main; main()", *arguments]
    return subprocess.run(program, cwd=folder, capture_output=True, text=True, timeout=300)


def test_every_command_is_one_that_this_test_knows_how_to_run():
    assert {shlex.split(command)[0] for command in COMMANDS} == {"planner", "make", "pip"}


def test_every_planner_command_runs(folder):
    for command in COMMANDS:
        program, *arguments = shlex.split(command)
        if program == "planner":
            done = planner(arguments, folder)
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


def test_every_make_target_is_there():
    for command in COMMANDS:
        program, *arguments = shlex.split(command)
        if program == "make":
            subprocess.run(["make", "--dry-run", *arguments], cwd=ROOT, check=True, capture_output=True)
    subprocess.run(["make", "--dry-run", "demo"], cwd=ROOT, check=True, capture_output=True)


def test_the_installation_names_files_that_are_there():
    installs = [shlex.split(command) for command in COMMANDS if command.startswith("pip")]
    assert installs == [["pip", "install", "-c", "constraints.txt", "-e", "."]]
    assert (ROOT / "constraints.txt").is_file()


def test_every_python_block_runs_and_the_plain_reader_agrees_with_the_library(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert planner(["fit", "results/published/efficientnet_b0.csv", "--out", "f.json"], folder).returncode == 0
    blocks = [text for language, text in BLOCKS if language == "python"]
    spaces = []
    for text in blocks:
        space: dict[str, object] = {}
        exec(compile(text.replace('open("f.json")', 'open("f.json", encoding="utf-8")'), "README", "exec"), space)
        spaces.append(space)
    reader = next(space for space in spaces if "curve" in space)
    formula = Formula.load("f.json")
    for budget in np.geomspace(*formula.macs_range, 25):
        c = budget / formula.base_macs
        branch = formula.branch(c)
        written = reader["formula"]["branches"]["shrink" if c <= 1 else "enlarge"]
        r, d = reader["curve"](written["r"], c), reader["curve"](written["d"], c)
        assert r == pytest.approx(branch.r(c)[0], rel=1e-9) and d == pytest.approx(branch.d(c)[0], rel=1e-9)
        rule = rule_named(branch.rule)
        side = int(rule.pixels(224, r)[0])
        low, _ = width_brackets(formula.network, rule, [side], [d], budget, 1000)
        from sampler.complexity import complexity

        ours = complexity("efficientnet_b0", side, low[0], d, rule=branch.rule).macs
        assert reader["macs"](side, d, float(low[0]), written["rule"]) == ours
