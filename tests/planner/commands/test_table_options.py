"""`planner fit --dims` and `planner predict --cost`."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

import planner
from planner.cli import cli

WIDTH = np.array([8, 12, 16, 20, 24, 32, 40, 48, 64, 96])
FIT = ["fit", "t.csv", "--dims", "width,side", "--score", "map", "--cost", "ms"]


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A table of ten rows in the working folder, one dimension of which never varies."""
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame({"width": WIDTH, "side": 64, "ms": WIDTH / 4, "map": 1 - 2 / WIDTH, "kind": "a"})
    frame.to_csv("t.csv", index=False)
    return frame


def said(*arguments):
    done = CliRunner().invoke(cli, list(arguments))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


def refused(*arguments):
    done = CliRunner().invoke(cli, list(arguments))
    assert done.exit_code, done.output
    return str(done.exception) if isinstance(done.exception, planner.PlannerError) else done.output


def test_a_table_is_fitted_and_asked(table):
    printed = said(*FIT, "--out", "f.json")
    assert "fitted width, side to 10 rows: ms 2 to 24, map to be large" in printed
    assert "side is 64 in every row: kept as a constant" in printed
    assert "for twice the ms, on average over the range: width x" in printed
    assert "next: `planner predict --formula f.json --cost" in printed
    printed = said("predict", "--formula", "f.json", "--cost", "9")
    assert "answer: width 32, side 64" in printed and "why: of 10 rows" in printed
    assert "curves alone: width" in printed and "best trained row: width 32, side 64, ms 8" in printed


def test_several_costs_as_json(table):
    fitted = json.loads(said(*FIT, "--json"))
    assert fitted["out"] == "formula.json" and fitted["constants"] == {"side": 64.0}
    told = json.loads(said("predict", "--formula", "formula.json", "--cost", "9,5.5", "--json"))
    assert [one["budget"] for one in told["answers"]] == [9, 5.5]
    assert told["cost"] == "ms" and told["score"] == "map" and told["lower"] is False
    assert told["answers"][1]["answer"] == {
        "dims": {"width": 20.0, "side": 64.0}, "cost": 5.0, "cost_upper": None, "score": pytest.approx(0.9)
    }  # fmt: skip
    formula = planner.TableFormula.load("formula.json")
    assert told["answers"] == json.loads(json.dumps([one.as_dict() for one in formula.predict([9, 5.5])]))


def test_outside_the_range_it_says_so(table):
    said(*FIT, "--out", "f.json")
    assert "a ms of 40 is outside the 2 to 24" in refused("predict", "--formula", "f.json", "--cost", "40")
    printed = said("predict", "--formula", "f.json", "--cost", "40", "--extrapolate")
    assert "OUTSIDE that range: an extrapolation" in printed


REFUSED = {
    "--flops of a table's formula": (["predict", "--formula", "f.json", "--flops", "3M"], "ask it by --cost"),
    "--cost without a formula": (["predict", "--cost", "4"], "--cost has no effect without --formula"),
    "--cost with --flops": (
        ["predict", "--formula", "f.json", "--cost", "4", "--flops", "3M"],
        "--flops has no effect beside --cost",
    ),
    "--cost of words": (["predict", "--formula", "f.json", "--cost", "4ms"], "no list of plain numbers"),
    "a cost of NaN": (["predict", "--formula", "f.json", "--cost", "nan"], "the cost is nan"),
    "--extrapolate alone": (["predict", "--extrapolate"], "--extrapolate has no effect without --flops or --cost"),
    "--score alone": (["fit", "t.csv", "--score", "map"], "--score has no effect without --dims"),
    "--dims alone": (["fit", "--dims", "width"], "--dims has no effect without TABLE"),
    "no --score": (["fit", "t.csv", "--dims", "width", "--cost", "ms"], "--dims needs --score and --cost"),
    "--kind": ([*FIT, "--kind", "tinynet"], "--kind has no effect beside --dims"),
    "a bad --where": ([*FIT, "--where", "kind"], "'kind' is no COLUMN=VALUE"),
    "--where twice": ([*FIT, "--where", "kind=a", "--where", "kind=b"], "kind is given twice"),
    "no such row": ([*FIT, "--where", "kind=b"], "no row has kind=b; kind is a"),
    "an empty name": ([*FIT[:2], "--dims", "width,", *FIT[4:]], "names of 1 to 50 columns"),
    "--lower": ([*FIT, "--lower"], "the cheapest row has the smallest map"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_go_together_is_refused(table, name):
    arguments, words = REFUSED[name]
    if "f.json" in arguments:
        said(*FIT, "--out", "f.json")
    assert words in " ".join(refused(*arguments).split())


def test_an_answer_imports_nothing_slow(table):
    said(*FIT, "--out", "f.json")
    program = (
        "import sys; sys.argv = ['planner', 'predict', '--formula', 'f.json', '--cost', '9']\n"
        "from planner.cli import main\nmain()\n"
        "slow = {'torch', 'timm', 'botorch', 'sklearn', 'pandas', 'scipy', 'pymoo', 'optuna'} & set(sys.modules)\n"
        "assert not slow, slow"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "answer: width 32" in done.stdout
