"""Fixtures of the planner's tests."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

B0_MACS = 385_814_752  # exact, at 224 px and 1000 classes


@pytest.fixture(scope="session")
def published():
    """The table that ships: TinyNets and EfficientNets."""
    return Path(__file__).parents[2] / "results" / "published" / "efficientnet_b0.csv"


@pytest.fixture(scope="session")
def shipped():
    """The formula that ships for EfficientNet-B0."""
    from planner.formulas.codec import loads
    from planner.resources import shipped_formula

    return loads(shipped_formula("efficientnet_b0"), "the shipped formula")


@pytest.fixture(scope="session")
def compound_frame():
    """A function: trainings that follow r = c^a, d = c^b to the digit, all of them on the front."""

    def frame(a, b, lowest, highest, rows=20):
        c = np.geomspace(lowest, highest, rows)
        macs = np.rint(c * B0_MACS)
        # Accuracy rises with MACs, so that no training dominates another.
        return pd.DataFrame({"accuracy": np.linspace(0.5, 0.8, rows), "macs": macs, "r": c**a, "d": c**b})

    return frame


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """A function: `planner ARGS` in an empty folder, as (exit code, stdout, stderr)."""
    from planner.cli import main

    monkeypatch.chdir(tmp_path)

    def planner(*arguments):
        monkeypatch.setattr(sys, "argv", ["planner", *map(str, arguments)])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as error:
            code = error.code
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return planner
