"""The script that measures GPUs runs to its end on the CPU as well, and writes what it says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("throughput.py")
SMALL = "--device cpu --images 64 --epochs 1 --batch 16 --networks resnet20_cifar --packed 1 2".split()


@pytest.mark.slow
def test_the_script_writes_one_document(tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(SCRIPT.parents[2]), *sys.path])}
    command = [sys.executable, str(SCRIPT), "--out", str(tmp_path / "out.json"), *SMALL]
    subprocess.run(command, check=True, env=environment, capture_output=True, timeout=300)
    found = json.loads((tmp_path / "out.json").read_text())
    (row,) = found["throughput"]
    assert row["network"] == "resnet20_cifar" and row["images_per_s"] > 0 and row["plain_images_per_s"] > 0
    assert {count: one["trainings_per_hour"] > 0 for count, one in found["packed"].items()} == {"1": True, "2": True}


def test_the_shell_script_runs_the_marked_tests_and_this_script():
    text = (SCRIPT.parents[1] / "gpu.sh").read_text()
    assert "-m gpu" in text and "tests/gpu/throughput.py --out" in text
    assert subprocess.run(["bash", "-n", str(SCRIPT.parents[1] / "gpu.sh")], check=False).returncode == 0
