"""The latency file: read back the same, without anything heavy, and every damage refused in one line."""

import copy
import json
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planner import PlannerError
from planner.latency.model import LatencyModel


def test_the_file_is_evaluated_by_twenty_lines_of_plain_python(model, document, made_up):
    new = made_up(5, seed=2)
    for i, expected in enumerate(model.predict(new)):
        row = {name: float(new[name][i]) for name in document["features"]}
        total = document["coefficients"]["fixed"]
        total += sum(document["coefficients"][name] * row[name] for name in ("macs", "activations", "params"))
        macs = row["macs"]
        x = [math.log(one) for one in (macs, row["activations"] / macs, row["params"] / macs, row["resolution"])]
        process, departure = document["departure"], 0.0
        for weight, point in zip(process["alpha"], process["inputs"], strict=True):
            s = math.sqrt(3) * math.dist(x, point) / process["length_scale"]
            departure += weight * process["variance"] * (1 + s) * math.exp(-s)
        assert total * math.exp(departure) == pytest.approx(expected, rel=1e-9)


def test_a_model_survives_the_file(model, tmp_path, made_up):
    model.save(tmp_path / "folder" / "l.json")
    again = LatencyModel.load(tmp_path / "folder" / "l.json")
    assert again.dumps() == model.dumps()
    assert again.predict(made_up()).tolist() == model.predict(made_up()).tolist()


def test_the_text_is_json_with_sorted_keys(document):
    assert list(document) == sorted(document)
    assert document["schema"] == "planner-latency/1"


def test_a_value_that_is_not_finite_is_not_written(model):
    with pytest.raises(ValueError, match="not JSON compliant"):
        replace(model, errors={"rows": math.nan}).dumps()


def with_change(document, place, value):
    changed = copy.deepcopy(document)
    inner = changed
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return changed


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("schema",), "planner-formula/1", "schema 'planner-formula/1' is unknown, 'planner-latency/1' is read"),
        (("per",), "hour", "per is 'hour'; pass or image is wanted"),
        (("features",), ["params"], "features are ['params']"),
        (("features",), ["macs", "colour"], "features are ['macs', 'colour']"),
        (("coefficients", "macs"), -1, "coefficients must not be negative"),
        (("coefficients",), {"fixed": 1}, "coefficients are ['fixed']"),
        (("coefficients", "macs"), None, "coefficient macs is None; a finite number is wanted"),
        (("departure", "kernel"), "rbf", "kernel 'rbf' is unknown; known: matern32"),
        (("departure", "alpha"), [1.0], "inputs of shape (40, 4); finite numbers, 1 x 4, are wanted"),
        (("departure", "inputs"), [[1.0]], "inputs of shape (1, 1)"),
        (("departure", "length_scale"), 0, "must be positive"),
        (("ranges", "macs"), [2, 1], "range of macs is 2 to 1"),
        (("log_residuals",), [], "log_residuals must be at least one number, none negative, rising"),
        (("log_residuals",), [2, 1], "log_residuals must be"),
        (("log_residuals",), [0.0] * 10_001, "a list of at most 10000 numbers"),
        (("measured_on",), {"device": None}, "device of measured_on is None"),
        (("errors",), [], "damaged latency model (AttributeError"),
        (("provenance",), None, "damaged latency model (TypeError"),
        (("departure",), None, "damaged latency model (TypeError"),
    ],
)
def test_one_damaged_place_is_refused_by_name(document, place, value, words, refused):
    message = refused(LatencyModel.loads, json.dumps(with_change(document, place, value)), "l.json")
    assert message.startswith("l.json: ") and words in message
    assert message.endswith("; write it again with `planner latency fit --out`")


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"schema": NaN}', '{"schema": 1e999}', "[" * 5000])
def test_what_is_no_latency_file_is_refused(text, refused):
    assert refused(LatencyModel.loads, text, "l.json").startswith("l.json: ")


def test_a_file_that_cannot_be_read_is_refused(tmp_path, refused):
    assert "No such file" in refused(LatencyModel.load, tmp_path / "none.json")
    assert "Is a directory" in refused(LatencyModel.load, tmp_path)
    (tmp_path / "binary").write_bytes(b"\x80\x04\x95")
    assert "not text" in refused(LatencyModel.load, tmp_path / "binary")


def places(value, path=()):
    """Every place in a parsed document; two of a list, or numbers would outweigh the rest."""
    inner = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, one in inner:
        yield (*path, key)
        yield from places(one, (*path, key))


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 10**400, 1e308, -1e308, 5e-324, "", "macs", [], {}, [[]], "a\nb"]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(st.one_of(st.none(), st.integers(), st.floats(allow_nan=False, allow_infinity=False)), max_size=3),
)


@settings(max_examples=200, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_damage_is_refused_or_harmless(document, data, made_up):
    place = data.draw(st.sampled_from(list(places(document))))
    try:
        read = LatencyModel.loads(json.dumps(with_change(document, place, data.draw(LEAVES))), "l.json")
    except PlannerError as error:
        assert str(error).startswith("l.json: ") and "\n" not in str(error)
        return
    assert LatencyModel.loads(read.dumps()).dumps() == read.dumps()
    with np.errstate(all="ignore"):  # a damaged coefficient may overflow
        assert read.predict(made_up(3)).shape == (3,)


def test_a_prediction_imports_nothing_heavy(model, tmp_path):
    model.save(tmp_path / "l.json")
    code = (
        "import sys; from planner.latency.model import LatencyModel; m = LatencyModel.load(sys.argv[1]);"
        "m.predict(dict.fromkeys(m.features, 1e6));"
        "print([n for n in ('scipy', 'sklearn', 'pandas', 'torch', 'matplotlib') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "l.json"], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[]\n", "")
