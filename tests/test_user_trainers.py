"""A user's day with a trainer of at most 30 lines: trainings, front, fit, an answer, a report."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TRAINERS = Path(__file__).parent / "trainers"
# The file, and what is said of the study: a perceptron by scikit-learn alone; a regression by convolutions of torch.
DIGITS = ("digits_mlp.py", "mlp", "--classes", 10, "--window", "1k", "60k")
WAVES = ("tcn_regression.py", "tcn", "--classes", 2, "--window", "20k", "2M", "--score", "rmse", "--lower")


@pytest.fixture
def say(monkeypatch, capsys, tmp_path):
    """A function: what `planner ARGS` prints, in a folder with the users' files."""
    from planner.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCALING_PLANNER_CACHE", str(tmp_path / "cache"))
    for name in (DIGITS[0], WAVES[0]):
        shutil.copy(TRAINERS / name, tmp_path)

    def said(*arguments):
        monkeypatch.setattr(sys, "argv", ["planner", *map(str, arguments)])
        capsys.readouterr()
        main()
        return capsys.readouterr().out

    return said


def trained(say, task, trials, epochs):
    """Trains a task's study in this process."""
    file, base, *options = task
    say(
        "sample",
        "--study",
        "mine",
        "--base",
        f"{file}:{base}",
        "--trainer",
        f"{file}:train",
        *options,
        "--trials",
        trials,
        "--epochs",
        epochs,
    )
    say("train", "--study", "mine", "--engine", "inline", "--device", "cpu")
    return json.loads(say("front", "--study", "mine", "--json"))


@pytest.mark.parametrize("name", [DIGITS[0], WAVES[0]])
def test_a_user_writes_at_most_thirty_lines(name):
    code = (TRAINERS / name).read_text().partition('"""\n')[2]
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 30


@pytest.mark.parametrize(("task", "score"), [pytest.param(DIGITS, "accuracy", marks=pytest.mark.slow), (WAVES, "rmse")])
def test_three_trainings_and_their_front(say, task, score):
    front = trained(say, task, 3, 1)["front"]
    values = [row[score] for row in front]
    assert values == sorted(values, reverse=score == "rmse") and 1 <= len(front) <= 3
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
@pytest.mark.parametrize(
    ("task", "score", "best"),
    [(DIGITS, "accuracy", (0.8, 1.0)), (WAVES, "rmse", (0.02, 0.15))],
    ids=["digits", "waves"],
)
def test_the_whole_day(say, task, score, best):
    found = trained(say, task, 12, 6)
    lower = score == "rmse"
    values = [row[score] for row in found["front"]]
    reached = min(values) if lower else max(values)
    assert best[0] < reached < best[1]
    points = [(row["macs"], row[score]) for row in found["front"]]
    assert sorted(points) == sorted(points, key=lambda one: -one[1] if lower else one[1])
    fitted = json.loads(say("fit", "--study", "mine", "--json"))
    low, high = fitted["macs_range"]
    middle = round((low * high) ** 0.5)
    answer = json.loads(say("predict", "--study", "mine", "--flops", middle, "--json"))
    assert answer["macs"] == pytest.approx(middle, rel=0.01)
    expected = answer[score]
    assert expected["lower"] <= expected["mean"] <= expected["upper"]
    # The front's own trainings stand on both sides of what is expected of it.
    assert min(values) * 0.8 < expected["mean"] < max(values) * 1.2
    text = say("predict", "--study", "mine", "--flops", middle)
    shown = f"{expected['mean']:.1%}" if score == "accuracy" else f"{expected['mean']:.4g}"
    assert re.search(rf"expected {score} of the best trainings here: {re.escape(shown)} \(", text)
    page = Path("results/mine/report.html") if say("report", "--study", "mine") else None
    drawn = page.read_text()
    assert ("rmse (lower is better)" in drawn) == lower and ("top-1 accuracy (%)" in drawn) == (not lower)
