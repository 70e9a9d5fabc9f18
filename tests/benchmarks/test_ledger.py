"""A ledger of ten thousand finished trials: every command that reads it answers in seconds, and rightly."""

import json
import os
import platform
import resource
import sqlite3
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest

from planner.study.ledger import Ledger
from planner.study.settings import StudySettings, write_settings
from planner.study.trials import parameters
from sampler import random_design
from sampler.complexity import count

SETTINGS = {"data": {"source": "fractal", "side": 90, "classes": 4}, "space": {"resolution": 64, "r": (0.5, 1.4)}}
ROWS = int(os.environ.get("PLANNER_LEDGER_ROWS", "10000"))
# Of the processor; what the clock on the wall shows on a machine with nothing else to do.
SECONDS = 5.0
BYTES = 600_000_000
COMPLETE = "COMPLETE"


def facts_of(architecture, multipliers, cost, row, accuracy):
    """What the store writes of a finished training."""
    macs = int(cost.macs[row])
    history = [{"epoch": epoch, "training_loss": 1.0, "accuracy": accuracy, "loss": 1.0} for epoch in (1, 2, 3)]
    return {
        "origin": "random", "tries": 1, "seed": 0, "repeat": 0, "rule": "inverse", "architecture": asdict(architecture),
        **{name: float(value) for name, value in zip("rdw", multipliers, strict=True)},
        **{name: int(getattr(cost, name)[row]) for name in ("macs", "params", "activations", "memory")},
        "status": "ok", "accuracy": accuracy, "loss": 1.0 - accuracy, "epochs": 3, "data_share": 1.0, "message": "",
        "seconds": 2 + macs / 1e6, "device": "cpu", "versions": {"torch": "2", "timm": "1"}, "history": history,
    }  # fmt: skip


def fill(folder, rows):
    """Rows of finished trials in the tables that Optuna made, in one transaction; gives their MACs and accuracies."""
    from optuna.distributions import distribution_to_json

    settings = StudySettings.model_validate(SETTINGS)
    write_settings(folder / "study.toml", settings)
    ledger = Ledger(folder, settings)
    space = ledger.space
    design = random_design(space, rows, seed=0)
    cost, rng = count(design, 4), np.random.default_rng(0)
    ranges = {name: distribution_to_json(one) for name, one in ledger.distributions().items()}
    accuracies = 0.9 - 0.5 * (cost.macs / 1e6) ** -0.3 + rng.normal(0, 0.01, rows)
    tables = {"trials": [], "trial_params": [], "trial_values": [], "trial_user_attributes": []}
    for row, one in enumerate(design):
        trial, accuracy = row + 1, float(accuracies[row])
        tables["trials"].append((trial, row, 1, COMPLETE, "2026-01-01 00:00:00", "2026-01-01 00:01:00"))
        for name, value in parameters(one).items():
            tables["trial_params"].append((trial, name, value, ranges[name]))
        for objective, value in enumerate((accuracy, float(cost.macs[row]))):
            tables["trial_values"].append((trial, objective, value, "FINITE"))
        for key, value in facts_of(one, design.multipliers[row], cost, row, accuracy).items():
            tables["trial_user_attributes"].append((trial, key, json.dumps(value)))
    columns = {
        "trials": "trial_id, number, study_id, state, datetime_start, datetime_complete",
        "trial_params": "trial_id, param_name, param_value, distribution_json",
        "trial_values": "trial_id, objective, value, value_type",
        "trial_user_attributes": "trial_id, key, value_json",
    }
    with sqlite3.connect(folder / "ledger.db") as database:
        for table, values in tables.items():
            marks = ", ".join("?" * len(values[0]))
            database.executemany(f"INSERT INTO {table} ({columns[table]}) VALUES ({marks})", values)
    database.close()
    return cost.macs, accuracies


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    return folder, fill(folder / "results" / "big", ROWS)


def timed(folder, *arguments):
    """What a command printed as JSON, its processor seconds and its largest memory."""
    program = "import sys; from planner.cli import main; sys.argv[0] = 'planner'; main()"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", WRAPPED.format(program=program), *arguments],
        cwd=folder, capture_output=True, text=True, env=environment,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(done.stdout), seconds, int(done.stderr.split("peak ")[-1]) * 1024


WRAPPED = """
import atexit, resource, sys
atexit.register(lambda: print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr))
{program}
"""


def report(what, seconds, peak):
    print(json.dumps({"what": f"planner {what}", "rows": ROWS, "cpu_s": round(seconds, 2), "peak_mb": peak // 10**6,
                      "machine": platform.machine(), "numpy": np.__version__}))  # fmt: skip
    assert seconds < SECONDS and peak < BYTES, f"{what}: {seconds:.1f} s, {peak / 1e6:.0f} MB"


@pytest.mark.benchmark
def test_status_of_a_large_ledger(large):
    folder, (macs, accuracies) = large
    answer, seconds, peak = timed(folder, "status", "--study", "big", "--json")
    assert answer["ok"] == ROWS and sum(band["trained"] for band in answer["bands"]) == ROWS
    best = max(band["best"]["accuracy"] for band in answer["bands"])
    assert best == pytest.approx(accuracies.max())
    assert answer["spent_hours"] == pytest.approx(float((2 + macs / 1e6).sum()) / 3600)
    report("status", seconds, peak)


@pytest.mark.benchmark
def test_front_of_a_large_ledger(large):
    folder, (macs, accuracies) = large
    answer, seconds, peak = timed(folder, "front", "--study", "big", "--share", "0.01", "--json")
    order = np.lexsort((-accuracies, macs))
    best, first = -1.0, set()
    for row in order:  # the staircase, by sorting
        if accuracies[row] > best:
            best = accuracies[row]
            first.add(int(row))
    assert first <= {row["trial"] for row in answer["front"]} and answer["rows"] == ROWS
    report("front", seconds, peak)


@pytest.mark.benchmark
def test_fit_of_a_large_ledger(large):
    folder, (macs, _) = large
    answer, seconds, peak = timed(folder, "fit", "--study", "big", "--json")
    assert answer["rows"] == ROWS and answer["points"] >= 8
    assert macs.min() <= answer["macs_range"][0] < answer["macs_range"][1] <= macs.max()
    # Accuracy here depends on MACs alone, and r and d were drawn alike: both rise with c on the front.
    assert 0 < answer["slopes"]["shrink"]["r"] < 1 and 0 < answer["slopes"]["shrink"]["d"] < 1
    report("fit", seconds, peak)


@pytest.mark.benchmark
def test_next_of_a_large_ledger(large):
    folder, _ = large
    answer, seconds, peak = timed(folder, "next", "--study", "big", "--json")
    assert answer["what"] and answer["why"]
    report("next", seconds, peak)
