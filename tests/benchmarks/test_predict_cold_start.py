"""How long first answers take, as whole processes, beside a process that only imports numpy."""

import json
import os
import platform
import resource
import subprocess
import sys
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import pytest

BUDGET = 200e6
REPEATS = 7
ANSWER = [Path(sys.executable).with_name("planner"), "predict", "--flops", "200M"]
HELP = [ANSWER[0], "--help"]
NUMPY = [sys.executable, "-c", "import numpy"]


def timed(command, folder):
    """Wall seconds of one process, and what it printed."""
    start = perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return perf_counter() - start, done.stdout


@pytest.mark.benchmark
def test_the_first_answer_takes_little_longer_than_importing_numpy(tmp_path):
    for command in (ANSWER, NUMPY):
        timed(command, tmp_path)  # warm up: the disk's cache, and bytecode
    answers, imports = [], []
    for _ in range(REPEATS):  # alternating, so that a busy moment meets both
        seconds, printed = timed(ANSWER, tmp_path)
        answers.append(seconds)
        imports.append(timed(NUMPY, tmp_path)[0])
        # A fast wrong answer is not a result.
        macs = int(next(line for line in printed.splitlines() if "MACs  " in line).split()[1].replace(",", ""))
        assert abs(macs / BUDGET - 1) <= 0.01

    print(
        json.dumps(
            {
                "what": "predict_cold_start",
                "command": "planner predict --flops 200M",
                "repeats": REPEATS,
                "median_s": round(median(answers), 4),
                "import_numpy_s": round(median(imports), 4),
                "over_import_numpy": round(median(answers) / median(imports), 2),
                "macs": macs,
                "machine": platform.machine(),
                "cores": os.cpu_count(),
                "load": round(os.getloadavg()[0], 2),
                "python": platform.python_version(),
                "numpy": np.__version__,
            }
        )
    )
    assert median(answers) < 2


def cpu_seconds(command, folder):
    """User and system seconds of one process: what others do meanwhile does not count."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.benchmark
def test_help_takes_little_more_than_python_itself(tmp_path):
    cpu_seconds(HELP, tmp_path)  # warm up
    pairs = [(cpu_seconds(HELP, tmp_path), cpu_seconds(NUMPY, tmp_path)) for _ in range(REPEATS)]
    helps, imports = (median(column) for column in zip(*pairs, strict=True))
    facts = {"what": "help_cpu", "command": "planner --help", "repeats": REPEATS, "median_cpu_s": round(helps, 4)}
    facts |= {"import_numpy_cpu_s": round(imports, 4), "load": round(os.getloadavg()[0], 2)}
    print(json.dumps(facts))
    assert helps < 0.25
