"""A study of a declared network keeps it: read without the user's file, trained from the folder, never another one."""

import json
import shutil
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from planner import PlannerError
from planner.study.network import DESCRIPTION, OWN_FILES
from planner.study.opening import open_ledger
from planner.study.settings import read_settings
from planner.study.studies import standings
from planner.training.resources import Resources
from planner.workbench.studies import create_study, load_study
from sampler import architecture_complexity, base
from trainer.declared.loading import load_network, shipped_network
from trainer.network import build

IMAGES = ("--data", "fractal:classes=4,train=40,validation=8")
MADE = ("--study", "mine", "--base", "mine.py:net", "--trials", 3, "--epochs", 1, "--window", "0.05", "2", *IMAGES)


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """A folder for the study, which is made once and copied."""
    return tmp_path_factory.mktemp("once") / "results"


@pytest.fixture
def study(run, declared, once):
    """The folder of a study of `mine.py:net` with three trainings queued, as another process sees it."""
    if once.is_dir():
        shutil.copytree(once, "results")
    else:
        code, _, err = run("sample", *MADE)
        assert code == 0, err
        shutil.copytree("results", once)
        declared()
    return Path("results") / "mine"


def test_the_folder_says_where_the_network_is_from_and_keeps_it(study):
    document = tomllib.loads((study / "study.toml").read_text())
    assert document["base"] == "net"
    assert {name: document["network"][name] for name in ("given", "file", "function")} == {
        "given": "mine.py:net",
        "file": "mine.py",
        "function": "net",
    }
    assert document["space"]["rule"] == "multiples:8:4" and document["space"]["resolution"] == 32
    assert (study / OWN_FILES / "mine.py").read_text() == Path("mine.py").read_text()
    assert json.loads((study / DESCRIPTION).read_text())["widths"] == [16, 32]


def test_a_study_of_a_network_of_ours_has_none_of_it(run):
    run("sample", "--study", "ours", "--trials", 1, "--window", "1M", "2M", *IMAGES)
    assert "network" not in (Path("results") / "ours" / "study.toml").read_text()
    assert not (Path("results") / "ours" / DESCRIPTION).exists()
    training = open_ledger("ours").training(0)
    assert training.network is None and "network" not in training.key() and "network" not in training.facts()


def test_a_study_is_read_without_the_users_file_and_without_torch(study):
    Path("mine.py").unlink()
    program = (
        "import sys; from planner.study.opening import read_ledger; records = read_ledger('mine'); "
        "from sampler import architecture_complexity as cost; "
        "assert cost(records.architecture(0), 4).macs == records.macs_of(0); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=200)
    assert (done.returncode, done.stdout.strip()) == (0, "False"), done.stderr


def test_a_network_is_built_from_the_folders_copy(study):
    Path("mine.py").unlink()
    read_settings(study / "study.toml")
    one = base("net").architecture()
    params = sum(parameter.numel() for parameter in build(one, classes=4).parameters())
    assert params == architecture_complexity(one, 4).params


def test_workers_train_without_the_users_file_and_what_is_trained_says_of_which_network(study, run):
    Path("mine.py").unlink()
    code, out, err = run("train", "--study", "mine", "--workers", 1)
    assert code == 0 and "3 trained" in out, err
    (found, *_) = (study / "observations").glob("*.json")
    asked = json.loads(found.read_text())["asked"]
    assert asked["network"] == open_ledger("mine").training(0).facts()["network"]


def test_the_same_file_may_be_named_again(study, run):
    code, out, err = run("sample", *MADE)
    assert code == 0 and "6 wait" in out, err


def edited(before, after):
    text = Path("mine.py").read_text()
    assert before in text
    Path("mine.py").write_text(text.replace(before, after))


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("nn.ReLU()", "nn.SiLU()", "(width), nn.ReLU()]', became "),
        ("widths=(16, 32)", "widths=(16, 48)", "widths 16 32 became 16 48"),
        ("depths=(1, 2)", "depths=(2, 2)", "depths 1 2 became 2 2"),
        ("resolution=32", "resolution=64", "resolution 32 became 64"),
    ],
)
def test_a_changed_file_that_is_named_again_is_refused_with_the_difference(study, run, before, after, told):
    edited(before, after)
    code, _, err = run("sample", *MADE)
    assert code == 2 and err.startswith("net: closed terms, equal to 2 traces of random sizes; 4 traces, 0.5 s\n")
    (line,) = err.splitlines()[1:]
    assert "is not as it was when study mine was made with it" in line and told in line


def test_to_train_with_a_changed_file_is_refused_with_the_first_line_that_differs(study, refused):
    edited("    layers, before = [], 3", "    layers, before = list(), 3")
    line = refused("train", "--study", "mine")
    assert "mine.py: line 9" not in line  # the name is told once
    assert "line 9 of mine.py, 'layers, before = [], 3', became 'layers, before = list(), 3'" in line


def test_a_changed_file_does_not_keep_anybody_from_reading(study, run):
    edited("nn.ReLU()", "nn.SiLU()")
    code, out, _ = run("status", "--study", "mine")
    assert code == 0 and "3 wait" in out


def test_an_edited_copy_is_refused(study, refused):
    copy = study / OWN_FILES / "mine.py"
    copy.write_text(copy.read_text() + "\n# one more line\n")
    assert "not the files that the study was made with" in refused("train", "--study", "mine")


@pytest.mark.parametrize("text", ["", "{}", '{"schema": "planner-network/1"}', "[" * 100_000])
def test_a_damaged_description_is_told_in_one_line(study, refused, text):
    (study / DESCRIPTION).write_text(text)
    assert f"{study / DESCRIPTION}: " in refused("status", "--study", "mine")


def test_studies_of_different_networks_of_one_name_are_listed_together(study, run, declared):
    edited("widths=(16, 32)", "widths=(24, 32)")
    code, _, err = run("sample", *MADE[2:], "--study", "other")
    assert code == 0, err
    declared()
    assert {one.name: (one.base, one.waiting) for one in standings()} == {"mine": ("net", 3), "other": ("net", 3)}
    assert shipped_network("net") is None


def test_a_function_in_python_makes_a_study(declared):
    load_network("mine.py:net")
    from_file = create_study("a", base="mine.py:net", data=IMAGES[1], epochs=1)
    assert from_file.settings.network.given == "mine.py:net"
    again = create_study("a", base="mine.py:net", load_if_exists=True)
    assert again.settings == from_file.settings


def test_a_function_of_a_program_alone_is_trained_in_its_process(declared):
    space = {"__name__": "__main__"}
    exec(Path("mine.py").read_text(), space)
    study = create_study("b", base=space["net"], data=IMAGES[1], epochs=1, window=("0.05", "2"))
    assert study.settings.network.file == "" and not (study.folder / OWN_FILES).exists()
    study.run(1, resources=Resources(engine="inline", device="cpu"))
    assert study.records.counts()["ok"] == 1
    assert load_study("b").settings.network == study.settings.network


def test_other_images_than_the_image_trainers_are_refused_before_anything_is_made(declared, run):
    edited("step=4)", "step=4, channels=5)")
    assert "its images have 5 channels" in run("sample", *MADE)[2]
    declared()
    edited("channels=5)", "input=lambda r: __import__('torch').zeros(1, 3, r, r))")
    code, _, err = run("sample", *MADE)
    assert code == 2
    assert "the image trainer wants (n, classes) scores of (n, 3, r, r) images, and its input is its own" in err
    assert not (Path("results") / "mine").exists()


def test_an_observation_of_another_file_is_not_of_this_training(study):
    training = open_ledger("mine").training(0)
    other = replace(training, network=replace(training.network, beside=(("mine.py", "another"),)))
    assert training.facts() != other.facts() and training.key() != other.key()


def test_a_study_that_is_there_refuses_another_network_in_python(declared):
    create_study("a", base="mine.py:net", data=IMAGES[1])
    edited("nn.ReLU()", "nn.SiLU()")
    with pytest.raises(PlannerError, match=r"line 12 of mine\.py"):
        create_study("a", base="mine.py:net", load_if_exists=True)
