"""Users' days, each with a trainer of at most 30 lines: trainings, front, fit, an answer, a report."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

TESTS = Path(__file__).parent
TRAINERS = TESTS / "trainers"
TRAINERS_PAGE = (TESTS.parent / "docs" / "trainers.md").read_text()


@dataclass(frozen=True)
class Day:
    """What somebody trains, what is said of it, and what is to be seen.

    Attributes:
        options: What is said of the study.
        best: What the best of 12 trainings reaches: at least and at most.
        score: Name of the score.
        lower: Whether lower is better.
        epochs: Epochs of a training.
        file: The user's file; "" where it stands on the page about trainers.
        beside: Files beside it, from the root of the tests.
    """

    options: str
    best: tuple[float, float]
    score: str = "accuracy"
    lower: bool = False
    epochs: int = 6
    file: str = ""
    beside: tuple[str, ...] = ()

    def text(self, value):
        """A value as people read it."""
        unit = " bits" if "--unit bits" in self.options else ""
        return f"{value:.1%}" if self.score == "accuracy" else f"{value:.4g}{unit}"


DAYS = {
    # A perceptron by scikit-learn alone, and one in plain torch.
    "digits": Day(
        "--base digits_mlp.py:mlp --trainer digits_mlp.py:train --classes 10 --window 1k 60k",
        (0.8, 1.0),
        file="digits_mlp.py",
    ),
    "digits_torch": Day(
        "--base digits_torch.py:perceptron --trainer digits_torch.py:train --classes 10 --window 1k 60k",
        (0.8, 1.0),
        file="digits_torch.py",
    ),
    # A network of the user's in one file, its training in another.
    "shapes": Day(
        "--base unet.py:unet --trainer shapes.py:train --classes 3 --resolution 32 --window 0.3M 15M "
        "--score iou --higher --limit-score 1",
        (0.6, 1.0),
        "iou",
        file="shapes.py",
        beside=("networks/unet.py",),
    ),
    # Who knows only how frequent each character is needs 5.0 bits here.
    "characters": Day(
        "--base characters.py:writer --trainer characters.py:train --classes 96 --window 0.2M 3M "
        "--score bits_per_character --lower --unit bits",
        (2.0, 3.4),
        "bits_per_character",
        lower=True,
        epochs=4,
        file="characters.py",
        beside=("networks/gpt.py",),
    ),
    "waves": Day(
        "--base tcn_regression.py:tcn --trainer tcn_regression.py:train --classes 2 --window 20k 2M "
        "--score rmse --lower",
        (0.02, 0.15),
        "rmse",
        lower=True,
        file="tcn_regression.py",
    ),
    # The page's program: networks of timm, on a folder of images.
    "timm": Day(
        "--base vit_tiny_patch16 --resolution 64 --window 1M 12M --classes 3 "
        + re.search(r"--study vit .*(--command \".*\")", TRAINERS_PAGE)[1],
        (0.6, 1.0),
        epochs=3,
    ),
}
OWN = {name: day for name, day in DAYS.items() if day.file}


@pytest.fixture
def say(monkeypatch, capsys, tmp_path):
    """A function: what `planner ARGS` prints, in a folder with the users' files."""
    from planner.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCALING_PLANNER_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    for path in {one for day in OWN.values() for one in (f"trainers/{day.file}", *day.beside)}:
        shutil.copy(TESTS / path, tmp_path)
    vit = re.search(r"^```python\n(# vit\.py\n.*?)^```$", TRAINERS_PAGE, re.MULTILINE | re.DOTALL)[1]
    (tmp_path / "vit.py").write_text(vit)

    def said(*arguments):
        monkeypatch.setattr(sys, "argv", ["planner", *map(str, arguments)])
        capsys.readouterr()
        main()
        return capsys.readouterr().out

    return said


def photos():
    """A folder of images of three classes: handwritten digits."""
    pictures, labels = load_digits(return_X_y=True)
    for label in range(3):
        for index, picture in enumerate(pictures[labels == label][:45]):
            folder = Path("photos", "val" if index % 3 == 0 else "train", str(label))
            folder.mkdir(parents=True, exist_ok=True)
            small = Image.fromarray((picture.reshape(8, 8) * 15).astype(np.uint8))
            small.resize((64, 64)).convert("RGB").save(folder / f"{index}.png")


def trained(say, day, trials, epochs):
    """Trains a day's study in this process, and gives its front."""
    options = re.findall(r'"[^"]*"|\S+', day.options)
    made = [option.strip('"') for option in options]
    say("sample", "--study", "mine", *made, "--trials", trials, "--epochs", epochs)
    say("train", "--study", "mine", "--engine", "inline", "--device", "cpu")
    return json.loads(say("front", "--study", "mine", "--json"))["front"]


@pytest.mark.parametrize("day", OWN.values(), ids=OWN)
def test_a_user_writes_at_most_thirty_lines(day):
    code = (TRAINERS / day.file).read_text().partition('"""\n')[2]
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 30


def test_all_trainers_have_their_day():
    assert {path.name for path in TRAINERS.glob("*.py")} - {"conftest.py"} == {day.file for day in OWN.values()}


@pytest.mark.parametrize("name", [pytest.param("digits", marks=pytest.mark.slow), "waves"])
def test_three_trainings_and_their_front(say, name):
    day = DAYS[name]
    front = trained(say, day, 3, 1)
    values = [row[day.score] for row in front]
    assert values == sorted(values, reverse=day.lower) and 1 <= len(front) <= 3
    assert all(0 < value < 1 for value in values)


def test_a_training_by_scikit_learn_needs_no_torch(tmp_path):
    code = (
        "import sys, digits_mlp\nfrom types import SimpleNamespace as N\n"
        "network = N(resolution=8, widths=(32,), depths=(1,)); scores = []\n"
        "job = N(architecture=network, seed=0, epochs=2, report=lambda epoch, score, **facts: scores.append(score))\n"
        "digits_mlp.train(job); print(scores[-1] * ('torch' not in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=TRAINERS, check=False)
    assert done.returncode == 0, done.stderr
    assert 0.5 < float(done.stdout) < 1


@pytest.mark.slow
@pytest.mark.parametrize("day", DAYS.values(), ids=DAYS)
def test_the_whole_day(say, day):
    photos()
    front = trained(say, day, 12, day.epochs)
    values = [row[day.score] for row in front]
    reached = min(values) if day.lower else max(values)
    assert day.best[0] < reached < day.best[1]
    points = [(row["macs"], row[day.score]) for row in front]
    assert sorted(points) == sorted(points, key=lambda one: -one[1] if day.lower else one[1])
    fitted = json.loads(say("fit", "--study", "mine", "--json"))
    low, high = fitted["macs_range"]
    middle = round((low * high) ** 0.5)
    answer = json.loads(say("predict", "--study", "mine", "--flops", middle, "--json"))
    assert 0.75 * middle < answer["macs"] <= 1.01 * middle  # widths and pixels go in steps
    expected = answer[day.score]
    assert expected["lower"] <= expected["mean"] <= expected["upper"]
    # The front's own trainings stand on both sides of what is expected of it.
    assert min(values) * 0.8 < expected["mean"] < max(values) * 1.2
    text = say("predict", "--study", "mine", "--flops", middle)
    shown = re.escape(day.text(expected["mean"]))
    assert re.search(rf"expected {day.score} of the best trainings here: {shown} \(", text)
    best = re.search(rf"trial {answer['best_training']['trial']}, (\S+( bits)?) measured", text)[1]
    assert best == day.text(answer["best_training"][day.score])
    say("report", "--study", "mine")
    drawn = Path("results/mine/report.html").read_text()
    title = rf"{day.score} \(([^)]*, )?lower is better\)" if day.lower else rf"{day.score}\b"
    assert re.search(title, drawn) and bool(re.search(rf"{day.score} \([^)]*lower", drawn)) == day.lower
    assert ("top-1 accuracy (%)" in drawn) == (day.score == "accuracy")
