"""What docs/data.md says is so: its commands run, on data made here, and its tables are those of the code."""

import importlib.util
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import planner
from trainer import cifar, hub_datasets
from trainer.image_folders import ROLES, split_role
from trainer.images import SOURCES, load_images

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "data.md").read_text()
COMMANDS = [
    shlex.split(line) for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()
]
# Our folder of that name is no module with a file.
WITHOUT = getattr(importlib.util.find_spec("datasets"), "origin", None) is None
needs_library = pytest.mark.skipif(WITHOUT, reason="the extra [hf] is not installed")


def pixels(number, side=40):
    return np.random.default_rng(number).integers(0, 256, (side, side, 3), dtype=np.uint8)


def make_photos(root):
    for split, count in (("train", 4), ("valid", 2)):
        for name in ("cat", "dog"):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                Image.fromarray(pixels(number)).save(root / split / name / f"{number}.png")


def make_cifar(root):
    import pickle

    form = cifar.PYTHON_FORMS["cifar10"]
    root.mkdir()
    for name in form.wanted[:-1]:
        data = np.random.default_rng(0).integers(0, 256, (20, 3072), dtype=np.uint8)
        (root / name).write_bytes(pickle.dumps({"labels": [*range(10)] * 2, "data": data}, 2))
    (root / form.names).write_bytes(pickle.dumps({"label_names": [f"class{number}" for number in range(10)]}, 2))


def make_birds(root):
    import datasets

    def rows(count):
        made = {
            "image": [Image.fromarray(pixels(number)) for number in range(count)],
            "kind": [number % 3 for number in range(count)],
            "colour": ["brown", "grey"] * (count // 2),
        }
        kinds = datasets.ClassLabel(names=["finch", "heron", "wren"])
        features = {"image": datasets.Image(), "kind": kinds, "colour": datasets.Value("string")}
        return datasets.Dataset.from_dict(made, features=datasets.Features(features))

    datasets.disable_progress_bars()
    datasets.DatasetDict(train=rows(120), test=rows(12), extra=rows(6)).save_to_disk(root)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    make_photos(folder / "photos")
    make_cifar(folder / "cifar-10-batches-py")
    if not WITHOUT:
        make_birds(folder / "birds")
    return folder


def of_library(command):
    marks = [needs_library] if any(word.startswith("hf:") for word in command) else []
    marks += [pytest.mark.slow] if command[1] == "run" else []
    return pytest.param(command, marks=marks, id=" ".join(command[1:4]))


@pytest.mark.parametrize("command", [of_library(command) for command in COMMANDS])
def test_the_commands_run(command, place, made, monkeypatch):
    monkeypatch.setenv("SCALING_PLANNER_CACHE", str(place / "cache"))
    assert command[0] == "planner"
    made(place, *command[1:], *(["--json"] if command[1] == "data" else ["--workers", "1", "--device", "cpu"]))


@pytest.mark.parametrize("held", ["valid", "test"])
def test_photos_in_valid_or_test_validate(tmp_path, held):
    make_photos(tmp_path)
    (tmp_path / "valid").rename(tmp_path / held)
    found = load_images(f"imagefolder:{tmp_path}", 8)
    assert (len(found.train), len(found.validation)) == (8, 4)
    assert found.notes == (f"read as splits: train trains, {held} validates",)


@needs_library
def test_the_code_runs(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    [code] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(code, {"__name__": "__main__"})
    assert capsys.readouterr().out.splitlines()[-1] == "2"
    assert planner.load_study("wings").settings.data.source == "hf:birds,label=colour"


def words_of(row):
    return re.findall(r"`([^`]+)`", row)


def test_the_tables_are_those_of_the_code():
    tables = [block.splitlines() for block in re.findall(r"(?:^\|.*\n)+", PAGE, re.MULTILINE)]
    sources, splits, options = (table[2:] for table in tables)
    named = [word.partition(":")[0] for row in sources for word in words_of(row.split("|")[1])]
    assert named == list(dict.fromkeys(named)) and set(named) <= set(SOURCES.names())
    for row, role in zip(splits, ("train", "validation", "test"), strict=True):
        assert words_of(row) == [word for word, of in ROLES.items() if of == role]
    assert [word for row in options for word in words_of(row.split("|")[1])] == [
        *("config", "revision", "image", "label", "train", "validation")
    ]
    assert set(hub_datasets.OPTIONS) == {word for row in options for word in words_of(row.split("|")[1])}
    assert split_role("Valid") == ("validation", ())
