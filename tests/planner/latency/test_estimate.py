"""The sum of times and the departure from it do not depend on the order of rows."""

import numpy as np
import pytest

from planner.latency import estimate
from planner.latency.features import coordinates

COUNTS = ["macs", "activations", "params", "resolution"]


def test_the_order_of_rows_and_names_do_not_matter_to_the_estimate(made_up):
    table = made_up(noise=0.05)
    columns = {name: table[name].to_numpy(dtype=float) for name in COUNTS}
    order = np.random.default_rng(0).permutation(len(table))
    latency = table["latency_ms"].to_numpy()
    first = estimate.estimate(columns, latency)
    second = estimate.estimate({name: values[order] for name, values in columns.items()}, latency[order])
    assert first[0] == pytest.approx(second[0], rel=1e-6)
    np.testing.assert_allclose(first[1](coordinates(columns)), second[1](coordinates(columns)), atol=1e-4)
