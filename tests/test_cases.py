"""The shared cases: small inputs that once failed, each a program that ends with 0 where its defect is gone."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CASES = sorted((ROOT.parent / "shared" / "cases").glob("*/run.sh"))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=[case.parent.name for case in CASES])
def test_a_shared_case_is_mended(case, tmp_path):
    planner = Path(sys.executable).with_name("planner")
    if not planner.exists() or shutil.which("bash") is None:
        pytest.skip("needs bash and the installed `planner`")
    environment = {**os.environ, "PLANNER": str(planner), "PYTHON": sys.executable}
    done = subprocess.run(["bash", case], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=590)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
