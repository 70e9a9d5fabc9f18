"""The surrogate's record: read back the same, by numpy alone, and every damage refused."""

import copy
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import planner
from planner import PlannerError, Surrogate


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"c1": rng.integers(1, 9, 40) * 8, "c2": rng.integers(1, 9, 40) * 8, "size": 32})
    frame["macs"] = frame["c1"] * frame["c2"] * 1000
    return frame.assign(accuracy=0.9 - frame["c1"] ** -0.6 + rng.normal(0, 0.003, 40))


@pytest.fixture(scope="module")
def surrogate(frame):
    return planner.fit_surrogate(frame, inputs=["c1", "c2", "size"])


@pytest.fixture(scope="module")
def document(surrogate):
    return json.loads(json.dumps(surrogate.as_dict(), allow_nan=False))


def test_a_record_is_read_back_to_the_last_bit(surrogate, document, frame):
    again = Surrogate.from_dict(document)
    assert again.predict(frame, 0.8).equals(surrogate.predict(frame, 0.8))
    assert np.array_equal(again.noise_std(frame), surrogate.noise_std(frame))
    assert again.errors == surrogate.errors
    assert again.as_dict() == document


def test_a_record_predicts_with_numpy_alone(document, surrogate, frame, tmp_path):
    (tmp_path / "record.json").write_text(json.dumps(document))
    program = (
        "import json, sys\n"
        "import numpy as np\n"
        "from planner import Surrogate\n"
        "surrogate = Surrogate.from_dict(json.load(open('record.json')))\n"
        "mean, std = surrogate.posterior_of([[8, 64, 32], [64, 8, 32]], [1e6, 2e6])\n"
        "heavy = {'torch', 'gpytorch', 'botorch', 'sklearn', 'scipy', 'pandas', 'linear_operator'}\n"
        "print(json.dumps([mean.tolist(), std.tolist(), sorted(heavy & set(sys.modules))]))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    mean, std, heavy = json.loads(done.stdout)
    assert not heavy
    wanted = surrogate.posterior_of([[8, 64, 32], [64, 8, 32]], [1e6, 2e6])
    assert np.allclose([mean, std], wanted, rtol=1e-9)


def without(key):
    def change(document):
        del document[key]

    return change


def put(path, value):
    def change(document):
        *way, last = path
        for step in way:
            document = document[step]
        document[last] = value

    return change


DAMAGE = {
    "schema": (put(["schema"], "planner-surrogate/9"), "'planner-surrogate/9' is unknown, 'planner-surrogate/1' is"),
    "no inputs": (put(["inputs"], []), "different names are wanted"),
    "equal inputs": (put(["inputs"], ["c1", "c1", "size"]), "different names are wanted"),
    "input no text": (put(["inputs"], ["c1", 3, "size"]), "inputs holds 3; a text is wanted"),
    "no members": (put(["members"], []), "weights are"),
    "too many members": (lambda d: d["members"].extend(d["members"] * 4), "members must be a list of at most 10"),
    "weights": (put(["members", 0, "weight"], 0.9), "their sum must be 1"),
    "negative weight": (put(["members", 0, "weight"], -0.1), "none may be negative"),
    "form": (put(["members", 1, "form"], "cubic"), "form 'cubic' is unknown"),
    "groups": (put(["members", 1, "groups"], [0]), r"groups of joint are \[0\]"),
    "groups with a gap": (put(["members", 1, "groups"], [0, 2, 2]), "counted from 0"),
    "groups no numbers": (put(["members", 1, "groups"], ["a", "b", "c"]), "whole numbers"),
    "groups no list": (put(["members", 1, "groups"], 5), "whole numbers"),
    "hyper-parameters": (put(["members", 0, "log_hyperparameters"], [0.0]), "holds 1 numbers; 2 are wanted"),
    "huge hyper-parameter": (put(["members", 0, "log_hyperparameters", 0], 800.0), "at most 20 is wanted"),
    "scale": (put(["features", "scales", 0], "sqrt"), "one of raw, log, log1p, constant"),
    "scales": (put(["features", "scales"], ["log"]), "is wanted for each of 4"),
    "spread": (put(["features", "spreads", 0], 0.0), "units and spreads must be positive"),
    "centres": (put(["features", "centres"], [0.0]), "centres holds 1 numbers; 4 are wanted"),
    "warp": (put(["warp", "kind"], "tanh"), "warp 'tanh' is unknown"),
    "warp's spread": (put(["warp", "spread"], -1.0), "spread is -1; a positive number"),
    "limit": (put(["warp", "limit"], float("nan")), "limit is nan; a finite number"),
    "rows": (lambda d: d["seen"]["x"].pop(), "39 rows x and 40 values w"),
    "short row": (lambda d: d["seen"]["x"][3].pop(), "x holds 2 numbers; 3 are wanted"),
    "row's number": (put(["seen", "x", 3, 0], "wide"), "x is 'wide'; a finite number is wanted"),
    "far row": (put(["seen", "x", 3, 0], 1e300), "beyond 10000; they should be standardised"),
    "infinite target": (put(["seen", "w", 0], float("inf")), "w is inf"),
    "negative noise": (put(["seen", "noise", 0], -1.0), "no negative noise"),
    "too many rows": (lambda d: d["seen"].update(w=[0.0] * 6000), "w must be a list of at most 5000"),
    "no residuals": (put(["residuals"], []), "residuals must be at least one number"),
    "falling residuals": (put(["residuals", 0], 99.0), "none negative, rising"),
    "errors": (put(["errors", "rmse"], "small"), "rmse is 'small'"),
    **{f"no {key}": (without(key), f"damaged surrogate .KeyError: '{key}'.") for key in ("inputs", "seen", "warp")},
}


@pytest.mark.parametrize(("change", "words"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_record_is_refused_in_one_line(document, change, words):
    damaged = copy.deepcopy(document)
    change(damaged)
    with pytest.raises(PlannerError, match=words) as refused:
        Surrogate.from_dict(damaged)
    assert "\n" not in str(refused.value) and str(refused.value).endswith("fit the surrogate again")


@pytest.mark.parametrize("document", [None, [], "text", 3, {}])
def test_what_is_no_record_is_refused(document):
    with pytest.raises(PlannerError, match="surrogate: schema .* is unknown"):
        Surrogate.from_dict(document)
