"""A comparison in one call: rules looked up in a table, and the file of their rows."""

import pandas as pd
import pytest

from planner.compare.background import table_background
from planner.compare.comparison import Comparison, compare_in
from planner.compare.measuring import LookedUp
from planner.compare.rows import read_table, rows_in
from planner.rules import at_budget
from planner.tables.table import as_table
from sampler.moves import column_names

BUDGET, METHODS = 300e6, ["compound", "width", "depth"]


@pytest.fixture
def table():
    """What three rules give for a budget, as if it had been trained twice."""
    answers = [at_budget(name, "efficientnet_b0", BUDGET) for name in METHODS for _ in range(2)]
    networks = [answer.architecture for answer in answers]
    rows = [[one.resolution, one.stem, *one.widths, *one.depths, one.head] for one in networks]
    frame = pd.DataFrame(rows, columns=list(column_names(7))).assign(accuracy=[0.7, 0.71, 0.6, 0.62, 0.65, 0.66])
    frame = frame.assign(seed=[0, 1] * 3, base="efficientnet_b0", macs=[answer.macs for answer in answers])
    return as_table(frame, "efficientnet_b0")


def test_rows_are_written_and_read_again_to_the_same_comparison(table, tmp_path):
    measure = LookedUp(table.every, "table")
    found = compare_in(table_background("table", table, 0), measure, [BUDGET], METHODS, tmp_path / "c.csv")
    compound, width, _ = found.as_dict()["budgets"][0]["methods"]
    assert compound["accuracy"]["mean"] == pytest.approx(0.705) and width["accuracy"]["n"] == 2
    assert width["difference_to_compound"]["mean"] == pytest.approx(-0.095)
    assert all(row.error is not None and abs(row.error) <= 0.01 for row in found.rows)
    again = Comparison(rows_in(read_table(found.file)))
    assert again.as_dict() == found.as_dict()


def test_without_a_file_nothing_is_written_and_what_has_no_answer_is_left_out(table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = compare_in(table_background("table", table, 0), LookedUp(table.every, "table"), [BUDGET])
    assert found.file is None and not list(tmp_path.iterdir())
    assert {"regnet", "formula", "random"} <= set(found.left_out)
