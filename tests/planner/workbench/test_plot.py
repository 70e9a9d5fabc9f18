"""Pictures of a study: what is drawn is what the report says."""

import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest

import planner
from planner import PlannerError
from planner.report.answers import front_accuracy
from planner.report.curves import bands_of

mpl.use("Agg")


@pytest.fixture
def axes():
    """Where to draw: no window, and nothing that stays."""
    from matplotlib.figure import Figure

    return Figure().subplots()


def drawn(axes, label):
    """The points of what is drawn under a label."""
    line = next(line for line in axes.lines if line.get_label() == label)
    return np.column_stack(line.get_data())


def test_the_front_is_drawn_over_the_trainings_and_its_curve(told, axes):
    assert planner.plot.front(told, ax=axes) is axes
    table, front = told.records.table().frame, told.front()
    points = drawn(axes, "training")
    assert sorted(map(tuple, points)) == sorted(zip(table["macs"], 100 * table["accuracy"], strict=True))
    assert drawn(axes, "front").tolist() == np.column_stack([front["macs"], 100 * front["accuracy"]]).tolist()
    assert len(drawn(axes, "selected for the fit")) == len(told.formula.front)
    curve = front_accuracy(told.formula)
    assert drawn(axes, "expected on the front, 90 %")[:, 1].tolist() == [100 * one["mean"] for one in curve]
    assert axes.get_xscale() == "log" and axes.get_ylabel() == "top-1 accuracy (%)"
    assert "compound" in [text.get_text() for text in axes.get_legend().get_texts()]
    axes.figure.canvas.draw()
    assert "10M" in [label.get_text() for label in axes.get_xticklabels()]


@pytest.mark.parametrize("name", ["r", "d", "w"])
def test_a_multiplier_is_drawn_with_its_curve_and_the_trainings(told, axes, name):
    planner.plot.growth(told, name, ax=axes)
    (band,) = bands_of(told.formula)[name]
    learned = drawn(axes, "learned, 90 %")
    assert learned[:, 0].tolist() == band.c.tolist()
    assert np.array_equal(learned[:, 1], band.mean, equal_nan=True)
    table = told.records.table().frame
    others = drawn(axes, "training")
    points = np.concatenate([others, drawn(axes, "selected for the fit")])
    assert sorted(map(tuple, points)) == sorted(zip(table["c"], table[name], strict=True))
    assert len(points) - len(others) == len(told.formula.front)
    copied = drawn(axes, "compound scaling")
    assert np.ptp(copied[:, 1]) > 0 and not np.allclose(copied[:, 1], learned[:, 1])


def test_a_stage_is_drawn_in_its_channels_and_blocks(told, axes):
    planner.plot.stage_growth(told, 7, "width", ax=axes)
    table = told.records.table().frame.set_index("trial")
    chosen = table.loc[[one["trial"] for one in told.formula.front]]
    assert set(map(tuple, drawn(axes, "selected for the fit"))) == set(zip(chosen["c"], chosen["width_7"], strict=True))
    assert axes.get_ylabel() == "stage 7: width (channels)"
    assert planner.plot.stage_growth(told, 1, "depth").get_ylabel() == "stage 1: depth (blocks)"


def test_shares_of_the_macs_are_of_every_part_and_sum_up_to_one(told, axes):
    planner.plot.stage_shares(told, ax=axes)
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        "stem",
        *(f"stage {i}" for i in range(1, 8)),
        "head",
    ]
    assert len(axes.containers) >= 5
    for bars in axes.containers:
        assert sum(bar.get_height() for bar in bars) == pytest.approx(1)


def test_blocks_and_channels_are_those_of_the_formulas_networks(told, axes):
    depths = planner.plot.stage_shares(told, "depth", ax=axes)
    answer = told.formula.predict(told.formula.macs_range[0], extrapolate=True)
    assert [bar.get_height() for bar in depths.containers[0]] == list(answer.architecture.depths)


def test_expected_accuracies_are_drawn_beside_the_measured(told, axes):
    planner.plot.accuracy_check(told, ax=axes)
    measured = 100 * told.records.table().frame["accuracy"]
    labels = [line.get_label() for line in axes.lines]
    points = [drawn(axes, label) for label in labels if not label.startswith("_")]
    assert sorted(np.concatenate(points)[:, 1]) == pytest.approx(sorted(measured))


def test_hours_are_those_of_the_table(told, axes):
    planner.plot.time_spent(told, ax=axes)
    assert [bar.get_width() for bar in axes.patches] == [pytest.approx(told.table()["seconds"].sum() / 3600)]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["stratified, ok"]


def test_a_picture_goes_into_a_figure_of_its_own_by_default(told, tmp_path):
    import matplotlib.pyplot as plt

    axes = planner.plot.time_spent(told)
    axes.figure.savefig(tmp_path / "time.png")
    assert (tmp_path / "time.png").stat().st_size > 1000
    plt.close("all")


def test_matplotlib_is_imported_when_something_is_drawn(tmp_path):
    program = "import sys, planner; planner.plot.front; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout == "False\n"


def test_what_cannot_be_drawn_is_one_line(told, study):
    for call, words in (
        (lambda: planner.plot.front("forms"), "'forms' is no study; give one of planner.load_study"),
        (lambda: planner.plot.growth(told, "x"), "multiplier 'x' is unknown; known: r, d, w"),
        (lambda: planner.plot.stage_growth(told, 8), "stage must be between 1 and 7"),
        (lambda: planner.plot.stage_growth(told, 1, "macs"), "size 'macs' is unknown; known: width, depth"),
        (lambda: planner.plot.stage_shares(told, "params"), "what 'params' is unknown; known: macs, width, depth"),
    ):
        with pytest.raises(PlannerError, match=words):
            call()


def test_a_study_without_trainings_has_no_pictures(study):
    for draw in (planner.plot.front, planner.plot.growth, planner.plot.accuracy_check, planner.plot.time_spent):
        with pytest.raises(PlannerError):
            draw(study)
