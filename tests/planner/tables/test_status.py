"""Which trainings ended well."""

import pandas as pd
import pytest

from planner.tables.cells import ok_rows
from planner.tables.status import is_ok
from trainer.observation import STATUSES


@pytest.mark.parametrize("kind", ["object", "string", "category"])
def test_only_ok_is_ok_and_what_is_missing_is_not(kind):
    frame = pd.DataFrame({"status": pd.Series([*STATUSES, None], dtype=kind)})
    assert ok_rows(frame).tolist() == [True] + [False] * len(STATUSES)
    assert [is_ok(row) for row in frame.to_dict("records")] == ok_rows(frame).tolist() and not is_ok({})
