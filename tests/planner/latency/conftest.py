"""Made-up measurements, a model of them, and how a refusal is read."""

import json

import numpy as np
import pandas as pd
import pytest

from planner import PlannerError
from planner.latency.fit import fit_latency


def measurements(rows=40, noise=0.0, seed=0):
    """Measurements that follow 2 ms + 1 ms per GMAC + 0.5 ms per M activations + 0.1 ms per M params."""
    rng = np.random.default_rng(seed)
    low, high = [1e8, 1e6, 1e6], [1e10, 2e7, 5e7]
    macs, activations, params = np.exp(rng.uniform(np.log(low), np.log(high), (rows, 3))).T
    latency_ms = 2 + macs / 1e9 + 0.5 * activations / 1e6 + 0.1 * params / 1e6
    return pd.DataFrame(
        {
            "model": [f"net{i}" for i in range(rows)],
            "macs": macs,
            "activations": activations,
            "params": params,
            "resolution": rng.integers(4, 9, rows) * 32,
            "latency_ms": latency_ms * np.exp(rng.normal(0, noise, rows) if noise else 0.0),
            "device": "board",
            "batch": 1,
        }
    )


@pytest.fixture(scope="session")
def made_up():
    """A function: measurements that follow a law, of a number of rows, a noise and a seed."""
    return measurements


@pytest.fixture(scope="session")
def model():
    """A model of noisy measurements."""
    return fit_latency(measurements(noise=0.05))


@pytest.fixture(scope="session")
def document(model):
    """The parsed document of that model."""
    return json.loads(model.dumps())


@pytest.fixture
def csv(tmp_path):
    """A function: a frame as a CSV file."""

    def written(frame, name="t.csv"):
        frame.to_csv(tmp_path / name, index=False)
        return tmp_path / name

    return written


@pytest.fixture(scope="session")
def refused():
    """A function: the one line with which a call is refused."""

    def line(call, *arguments):
        with pytest.raises(PlannerError) as error:
            call(*arguments)
        assert "\n" not in str(error.value)
        return str(error.value)

    return line
