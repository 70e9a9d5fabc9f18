"""Which trainings ended well."""

import pandas as pd
import pytest

from planner.tables.status import is_ok, ok_rows
from trainer.observation import STATUSES


@pytest.mark.parametrize("kind", ["object", "string", "category"])
def test_of_a_study_only_ok_is_ok_and_what_is_missing_is_not(kind):
    frame = pd.DataFrame({"status": pd.Series([*STATUSES, None], dtype=kind)})
    assert ok_rows(frame).tolist() == [True] + [False] * len(STATUSES)
    assert [is_ok(row) for row in frame.to_dict("records")] == ok_rows(frame).tolist() and not is_ok({})


def test_from_outside_whatever_word_says_so_is_ok_and_all_are_where_no_column_does():
    frame = pd.DataFrame({"status": ["ok", "FINISHED", "diverged", None, "n.a.", "completed", "OK"]})
    assert ok_rows(frame).tolist() == [True, True, False, False, False, True, True]
    assert ok_rows(frame.drop(columns="status")).tolist() == [True] * 7
