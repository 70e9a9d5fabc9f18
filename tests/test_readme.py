"""Everything fenced in the README runs."""

import ast
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from planner.answers.formula import Formula
from planner.cli import main
from planner.training.resources import ENGINES
from trainer.engines.inline import InlineEngine

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
PROSE = re.sub(r"^```.*?^```$", "", README, flags=re.MULTILINE | re.DOTALL)
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


# In processes of their own: the first study, with its workers, and a cluster, which outlives what began it. Whatever
# else is read in this one imports torch, timm and BoTorch once instead of fifty times.
APART = ("planner run ", " --engine ")


@pytest.fixture
def here(folder, monkeypatch, capsys):
    """A function: the exit code and the output of a command of the README, run in this process."""
    monkeypatch.chdir(folder)

    def ended(command):
        monkeypatch.setattr(sys, "argv", shlex.split(command))
        capsys.readouterr()
        code = None
        with warnings.catch_warnings(), ENGINES.temporarily("local", lambda _, where: InlineEngine(where)):
            warnings.simplefilter("default")
            try:
                main()
            except SystemExit as error:
                code = error.code
        return code or 0, "\n".join(capsys.readouterr())

    return ended


def test_every_command_is_one_that_this_test_knows_how_to_run():
    assert {shlex.split(command)[0] for command in COMMANDS} == {"planner", "make", "pip"}


def test_every_planner_command_runs(folder, here):
    for command in COMMANDS:
        program, *arguments = shlex.split(command)
        if program == "planner" and any(word in command for word in APART):
            done = planner(arguments, folder)
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        elif program == "planner":
            code, printed = here(command)
            assert code == 0, f"{command}\n{printed}"


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


def test_every_python_block_runs(here, capsys):
    assert here("planner fit results/published/efficientnet_b0.csv --out f.json")[0] == 0
    space: dict[str, object] = {}
    for text in (text for language, text in BLOCKS if language == "python"):
        capsys.readouterr()
        exec(compile(text.replace('open("f.json")', 'open("f.json", encoding="utf-8")'), "README", "exec"), space)
    printed = ast.literal_eval(capsys.readouterr().out)  # of the last block, the formula without the planner
    ours = Formula.load("f.json").predict(200e6)
    assert 0.9 * 200e6 < printed["macs"] <= 200e6
    assert printed["d"] == pytest.approx(ours.d, rel=1e-9) and printed["depths"] == list(ours.architecture.depths)
    assert abs(printed["resolution"] - ours.architecture.resolution) == abs(ours.pixels_nudged)


def test_every_file_that_the_readme_links_is_there():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", PROSE) if "://" not in link]
    assert len(links) >= 3
    for link in links:
        assert (ROOT / link).is_file(), link
