"""The code on the page about trainings of one's own runs, and so does every command on it."""

import io
import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import planner
from planner.cli import main
from planner.training.resources import ENGINES
from trainer.command_line import known_names
from trainer.engines.inline import InlineEngine

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "trainers.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
FILES = {text.split()[1]: text for kind, text in BLOCKS if kind == "python" and re.match(r"# \w+\.py\n", text)}
SCRIPTS = [text for kind, text in BLOCKS if kind == "python" and not re.match(r"# \w+\.py\n", text)]
COMMANDS = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines()]
IMAGES = ROOT.parent / "shared" / "data" / "images" / "imagenet20_128_webp80.npz"


@pytest.fixture
def here(tmp_path, monkeypatch, capsys):
    """A function: what the page's commands for a study print, in a folder with the page's files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)

    def ended(study):
        for command in (one for one in COMMANDS if f"--study {study} " in f"{one} "):
            monkeypatch.setattr(sys, "argv", shlex.split(command))
            with ENGINES.temporarily("local", lambda _, where: InlineEngine(where)):
                try:
                    main()
                except SystemExit as error:
                    assert not error.code, f"{command}\n{capsys.readouterr()}"
        return capsys.readouterr()

    return ended


@pytest.fixture
def photos(tmp_path):
    """A folder of images of three classes: real ones where they are, else noise."""
    for part, n in (("train", 24), ("val", 8)):
        for label in range(3):
            folder = tmp_path / "photos" / part / str(label)
            folder.mkdir(parents=True)
            for index, picture in enumerate(pictures(label, part == "val", n)):
                picture.convert("RGB").save(folder / f"{index}.png")
    return tmp_path / "photos"


def pictures(label, validation, n):
    """So many pictures of a class."""
    if not IMAGES.is_file():
        rng = np.random.default_rng(label)
        return [Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)) for _ in range(n)]
    with np.load(IMAGES) as archive:
        offset, stream = archive["offset"], archive["jpeg"]
        rows = np.flatnonzero((archive["label"] == label) & (archive["split"] == validation))[:n]
    return [Image.open(io.BytesIO(stream[offset[row] : offset[row + 1]].tobytes())) for row in rows]


def test_every_command_belongs_to_a_study_that_is_tested():
    studies = {re.search(r"--study (\w+)", command)[1] for command in COMMANDS}
    assert studies == {"function", "program", "vit", "timm", "mine"}


@pytest.mark.slow
def test_a_function_is_a_trainer(here):
    assert "3 trained, 0 failed" in here("function").out
    assert planner.load_study("function").table()["accuracy"].max() > 0.5


@pytest.mark.slow
def test_a_program_is_a_trainer(here):
    assert "2 trained, 0 failed" in here("program").out
    assert planner.load_study("program").table()["accuracy"].max() > 0.5


def test_what_is_asked_is_told(here):
    printed = here("mine").out
    assert "1 trained, 1 failed" in printed
    assert len(SCRIPTS) == 1
    exec(compile(SCRIPTS[0], "trainers.md", "exec"), {})
    study = planner.load_study("mine")
    assert study.records.counts() == {"ok": 3, "failed": 1, "running": 1, "waiting": 0}


@pytest.mark.slow
def test_a_vit_of_timm_has_the_sizes_and_the_parameters_that_were_asked_for(here, photos):
    assert "3 trained, 0 failed" in here("vit").out
    table = planner.load_study("vit").table()
    assert table["accuracy"].between(0, 1).all() and (table["epochs"] == 2).all()


@pytest.mark.slow
def test_the_training_script_of_timm_is_a_trainer(here, photos, tmp_path):
    script = os.environ.get("TIMM_TRAIN_SCRIPT")
    if not script:
        pytest.skip("needs train.py of timm's repository: its path in TIMM_TRAIN_SCRIPT")
    (tmp_path / "pytorch-image-models").mkdir()
    shutil.copy(script, tmp_path / "pytorch-image-models" / "train.py")
    assert "3 trained, 0 failed" in here("timm").out


def test_reports_come_of_what_the_script_of_timm_writes(here, tmp_path):
    # Its command line is known to be one; a script that writes such a summary stands for timm's.
    (tmp_path / "pytorch-image-models").mkdir()
    (tmp_path / "pytorch-image-models" / "train.py").write_text(
        "import os, sys\n"
        "folder = sys.argv[sys.argv.index('--output') + 1] + '/run'\n"
        "os.makedirs(folder, exist_ok=True)\n"
        "rows = ['epoch,train_loss,eval_loss,eval_top1,eval_top5,lr', '0,2,2,40.0,90,0.1', '1,1,1,60.0,95,0.1']\n"
        "open(folder + '/summary.csv', 'w').write('\\n'.join(rows))\n"
    )
    assert "3 trained, 0 failed" in here("timm").out
    assert planner.load_study("timm").table()["accuracy"].tolist() == [0.6] * 3


def test_the_names_of_the_page_are_those_that_are_filled_in():
    table = PAGE.partition("| name | what it becomes |")[2].partition("\n\n")[0]
    told = set(re.findall(r"`{(\w+)}`", table))
    vit = set(known_names(planner.base("vit_tiny_patch16"))) - {"width_1", "depth_1", "heads_1", "mlp_1"}
    assert told - {"width_1", "depth_2"} == vit
    assert {"width_1", "depth_2"} <= set(known_names(planner.base("resnet18")))
