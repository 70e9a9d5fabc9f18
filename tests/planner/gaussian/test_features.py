"""Raw columns to features."""

import numpy as np

from planner.gaussian.features import Features


def test_columns_whose_names_differ_in_a_number_share_a_group():
    names = ["c1", "c2", "width_1", "resolution", "width_12", "constant", "n_3"]
    scales = ["raw"] * 5 + ["constant", "raw"]
    found = Features(tuple(names), tuple(scales), np.ones(7), np.zeros(7), np.ones(7))
    assert found.groups == (0, 0, 1, 2, 1, 3)
