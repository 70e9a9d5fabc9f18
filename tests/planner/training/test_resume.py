"""A study that is killed loses no finished training and repeats none."""

import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

COMMAND = [sys.executable, "-c", "from planner.cli import main; main()"]
RUN = "run --study s --data fractal:classes=2,train=60,validation=4 --trials 12 --epochs 3 --window 1M 4M".split()


def finished(folder):
    return sorted(path.name for path in (folder / "results/s/observations").glob("*.json"))


@pytest.mark.slow
def test_a_run_killed_in_the_middle_goes_on_where_it_was(tmp_path):
    first = subprocess.Popen([*COMMAND, *RUN], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(finished(tmp_path)) < 3 and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    time.sleep(1)  # the workers end with their coordinator
    before = {name: (tmp_path / "results/s/observations" / name).read_bytes() for name in finished(tmp_path)}
    assert 3 <= len(before) < 12

    again = subprocess.run([*COMMAND, *RUN], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert again.returncode == 0, again.stderr
    assert "resumed:" in again.stderr and "Prediction" in again.stdout

    trials = pd.read_csv(tmp_path / "results/s/trials.csv")
    done = trials[trials["status"] == "ok"]
    integers = [name for name in trials if name.startswith(("width_", "depth_"))] + ["resolution", "stem", "head"]
    assert len(done) == 12 and not done.duplicated(subset=integers).any()
    assert {int(name[:6]) for name in before} <= set(done["trial"])
    for name, content in before.items():
        assert (tmp_path / "results/s/observations" / name).read_bytes() == content


def test_a_study_keeps_the_settings_it_was_made_with(run, refused):
    sample = "sample --study s --data fractal:classes=2,train=60,validation=4 --trials 2".split()
    assert run(*sample)[0] == 0
    assert refused("sample", "--study", "s", "--trials", "2", "--epochs", "9") == (
        "planner: study s was made with --epochs 3, not 9; leave the option out, or take another --study\n"
    )
