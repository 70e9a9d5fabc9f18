"""A small space of networks with made-up accuracies, some of which were measured."""

import pandas as pd
import pytest

from planner.surrogates.answer_model import answer_model

INPUTS = ["width", "depth"]


@pytest.fixture(scope="session")
def accuracy():
    """A function: the true accuracies of networks."""
    return lambda frame: 0.9 - 0.5 * frame["width"] ** -0.7 - 0.2 * frame["depth"] ** -1.0


@pytest.fixture(scope="session")
def pool():
    """All networks of a small space, with made-up but exact costs."""
    frame = pd.DataFrame([(w, d) for w in range(1, 13) for d in range(1, 7)], columns=INPUTS)
    frame.index = [f"net{i}" for i in range(len(frame))]
    return frame.assign(macs=frame["width"] ** 2 * frame["depth"] * 1000)


@pytest.fixture(scope="session")
def observed(pool, accuracy):
    """Twenty-four of them, measured."""
    some = pool.sample(24, random_state=0)
    return some.assign(accuracy=accuracy(some))


@pytest.fixture(scope="session")
def model(observed):
    """What those teach."""
    return answer_model(observed, INPUTS)


@pytest.fixture(scope="session")
def matrix_of():
    """A function: inputs and cost of networks, as arrays."""
    return lambda frame: frame[[*INPUTS, "macs"]].to_numpy(dtype=float)
