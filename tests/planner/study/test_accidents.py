"""Accidents: killed anywhere, a study loses no finished training, repeats none, and ends where it would have ended."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

from trainer.faults import POINTS

PROGRAM = Path(__file__).with_name("closed_form_study.py")
ROOT = Path(__file__).resolve().parents[3]
KILLED = -signal.SIGKILL
TRIALS = 4
# Points that only a study reaches that was killed before: it is killed there first.
AFTER_A_KILL = ("requeue.queued", "requeue.annotated", "requeue.told")
# Who trains in them: the image trainer, a function of a job, a program of its own.
KINDS = ("images", "function", "command")
FEW = ("queue.added:2", "file.part:2", "worker.observed:1", "record.annotated:3", "requeue.queued:1")


class Studies:
    """Makes studies in processes that are killed, and says what came of them."""

    def __init__(self, trainer):
        self.trainer = trainer
        # In memory where there is some: ten thousand small commits, of which no disk is to be convinced.
        memory = Path("/dev/shm")
        self.folder = Path(tempfile.mkdtemp(dir=memory if os.access(memory, os.W_OK) else None))
        self.log = (self.folder / "log").open("w")
        self.process = subprocess.Popen(
            [sys.executable, PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True,
            env=environment(),
        )  # fmt: skip
        self.made = self.faults = 0

    def __call__(self, *runs):
        self.made += 1
        one = self.folder / f"study{self.made}"
        asked = {"folder": str(one), "runs": runs, "trials": TRIALS, "trainer": self.trainer}
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        shutil.rmtree(one)
        return answer

    def fault(self, point):
        """A run that is killed at a point, for which a file stands: only one process of a study dies there."""
        self.faults += 1
        self.token = self.folder / f"token{self.faults}"
        return {"fault": f"{point}:{self.token}"}

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self.process.stdout.close()
        self.log.close()
        shutil.rmtree(self.folder)


def environment(**more):
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **more}


@pytest.fixture(scope="module")
def studies(request):
    made = Studies(request.param)
    yield made
    until(lambda: not programs_of(made.folder))  # none outlives its study, whatever was killed
    made.close()


def programs_of(folder):
    """Processes whose command line names a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if str(folder).encode() in path.read_bytes():
                found.append(path.parent.name)
    return found


def until(true, seconds=30):
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert true()


@pytest.fixture(scope="module")
def uninterrupted(studies):
    found = studies({})
    assert found["codes"] == [0] and found["ok"] == TRIALS and found["failed"] and not found["wrong"]
    return found


def check(found, uninterrupted):
    """Every training once, none missing, the same front, nothing left over."""
    assert found.get("error") is None and found["wrong"] == [], found
    assert found["codes"][-1] == 0 and (found["running"], found["waiting"]) == (0, 0), found
    assert found["rows"] == uninterrupted["rows"] and found["front"] == uninterrupted["front"]
    assert found["left"] == []


def killed_at(point, studies):
    """A study killed at a point, and run again."""
    before = [{"fault": "claim.done:2"}] if point.startswith(AFTER_A_KILL) else []
    found = studies(*before, studies.fault(point), {})
    assert studies.token.exists(), f"nothing reached {point}"
    return found


@pytest.mark.parametrize("studies", ["images"], indirect=True)
@pytest.mark.parametrize("point", [FEW[0], *(pytest.param(one, marks=pytest.mark.slow) for one in FEW[1:-1]), FEW[-1]])
def test_a_study_killed_at_a_point_ends_where_it_would_have_ended(studies, uninterrupted, point):
    check(killed_at(point, studies), uninterrupted)


@pytest.mark.parametrize(
    ("studies", "point"),
    [pytest.param("function", "worker.observed:1", marks=pytest.mark.slow), ("command", "file.part:2")],
    indirect=["studies"],
)
def test_so_does_a_study_whose_trainer_is_a_function_or_a_program(studies, uninterrupted, point):
    check(killed_at(point, studies), uninterrupted)


@pytest.mark.slow
@pytest.mark.parametrize("studies", KINDS, indirect=True)
@pytest.mark.parametrize("time", [1, 2, 5])
def test_a_study_killed_at_any_point_ends_where_it_would_have_ended(studies, uninterrupted, time):
    reached = 0
    for point in POINTS:
        before = [{"fault": "claim.done:2"}] if point in AFTER_A_KILL else []
        found = studies(*before, studies.fault(f"{point}:{time}"), {})
        check(found, uninterrupted)
        reached += studies.token.exists()
        assert studies.token.exists() or time > 1, f"nothing reached {point}"
    print(f"killed at {reached} of {len(POINTS)} points, time {time}")


@pytest.mark.slow
@pytest.mark.parametrize("studies", KINDS, indirect=True)
def test_a_study_killed_at_any_time_and_again_ends_where_it_would_have_ended(studies, uninterrupted):
    draw = random.Random(int(os.environ.get("PLANNER_KILL_SEED", "0")))
    kills = {"time": 0, "point": 0}
    while sum(kills.values()) < int(os.environ.get("PLANNER_KILLS", "50")):
        runs = []
        for _ in range(2):
            if draw.random() < 0.6:
                runs.append({"kill_after": draw.uniform(0.0, 0.6 * uninterrupted["seconds"][0])})
            else:
                runs.append(studies.fault(f"{draw.choice(POINTS)}:{draw.randint(1, 8)}"))
        found = studies(*runs, {})
        check(found, uninterrupted)
        for run, code in zip(runs, found["codes"], strict=False):
            kills["time" if "kill_after" in run else "point"] += code == KILLED
        print(f"coordinators killed so far: {kills}", flush=True)
    assert min(kills.values()) > 0


# --- With a command line, workers of their own, and real signals ---


class Command:
    """`planner train` of a closed form, started in a process group of its own as a terminal does."""

    def __init__(self, folder, *arguments, seconds="0.01", **more):
        self.folder = folder / "results" / "s"
        command = [sys.executable, PROGRAM, *arguments]
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment(CLOSED_FORM_SECONDS=seconds, **more), start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def wait_for(self, pattern, seconds=120):
        deadline = time.monotonic() + seconds
        while not list(self.folder.glob(pattern)) and self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert list(self.folder.glob(pattern)), self.process.communicate(timeout=10)

    def interrupt(self):
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self):
        out, err = self.process.communicate(timeout=180)
        return self.process.returncode, out, err


TRAIN = ("train", "--study", "s", "--device", "cpu", "--workers", "1")


@pytest.fixture(scope="module")
def queued_once(tmp_path_factory):
    from planner.study.ledger import Ledger
    from planner.study.settings import StudySettings, write_settings
    from sampler import random_design

    folder = tmp_path_factory.mktemp("queued") / "s"
    space = {"resolution": 64, "r": (0.5, 1.4)}
    settings = StudySettings.model_validate({"data": {"source": "fractal", "side": 90, "classes": 4}, "space": space})
    write_settings(folder / "study.toml", settings)
    ledger = Ledger(folder, settings)
    ledger.enqueue(random_design(ledger.space, TRIALS, seed=0), "random")
    return folder


@pytest.fixture
def queued(queued_once, tmp_path):
    """A folder with a study in which a few trainings wait."""
    shutil.copytree(queued_once, tmp_path / "results" / "s")
    return tmp_path


def ledger_in(folder):
    from planner.study.ledger import Ledger
    from planner.study.settings import read_settings

    return Ledger(folder / "results" / "s", read_settings(folder / "results" / "s" / "study.toml"))


def goes_on(folder):
    """Runs the same command again; everything is trained then, each once."""
    code, _, err = Command(folder, *TRAIN).end()
    assert code == 0, err
    counts = ledger_in(folder).counts()
    assert (counts["ok"], counts["running"], counts["waiting"]) == (TRIALS, 0, 0)
    return err


def test_ctrl_c_begins_nothing_more_and_keeps_checkpoints_and_the_tries(queued):
    command = Command(queued, *TRAIN, seconds="0.4")
    command.wait_for("checkpoints/*.pt")
    command.interrupt()
    code, _, err = command.end()
    assert code == 130 and err.endswith("stopped; the same command goes on from here\n"), err
    assert "stopping: running trainings write their checkpoints; once more to stop at once" in err
    assert "Traceback" not in err
    assert len(list(command.folder.glob("checkpoints/*.pt"))) == 1
    counts = ledger_in(queued).counts()
    assert counts["running"] == 0 and counts["waiting"] == TRIALS
    assert "resumed" not in goes_on(queued)  # nothing was left in disorder
    assert {trial.user_attrs["tries"] for trial in ledger_in(queued).study.get_trials()} == {1}


def test_ctrl_c_twice_ends_at_once(queued):
    command = Command(queued, *TRAIN, seconds="600")
    line = ""
    while "trainings to do" not in line:
        line = command.process.stderr.readline()
    deadline = time.monotonic() + 60
    while not ledger_in(queued).counts()["running"] and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(0.5)
    command.interrupt()
    first = command.process.stderr.readline()
    assert "stopping" in first, first + command.process.stderr.read()
    command.interrupt()
    code, _, err = command.end()  # which gives up long before an epoch's 600 s, and after one Ctrl-C that is waited for
    assert code == 130 and "Traceback" not in err
    counts = ledger_in(queued).counts()
    assert counts["running"] == 0 and counts["waiting"] == TRIALS


def test_hours_are_a_hard_stop_even_for_a_training_that_does_not_pause(queued):
    command = Command(queued, *TRAIN, "--hours", "0.0005", seconds="600")
    code, out, err = command.end()
    assert code == 0, err
    assert "the hours are over" in err and "4 wait" in out
    assert ledger_in(queued).counts()["waiting"] == TRIALS


@pytest.mark.slow
def test_a_defect_stops_the_study_with_its_traceback_and_everything_recorded(queued):
    code, _, err = Command(queued, *TRAIN, CLOSED_FORM_DEFECT="2").end()
    assert code == 1 and "ZeroDivisionError: a defect on purpose" in err and "which is a defect" in err
    ledger = ledger_in(queued)
    assert ledger.counts()["waiting"] + ledger.counts()["failed"] >= TRIALS and not ledger.counts()["running"]
    assert any("a defect on purpose" in one.user_attrs.get("message", "") for one in ledger.study.get_trials())
    goes_on(queued)


def test_a_whole_study_needs_no_torch(queued):
    assert "torch was imported" not in goes_on(queued)


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4M", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_disk_filled_during_training_is_one_line_and_loses_nothing(queued_once, small_disk):
    shutil.copytree(queued_once, small_disk / "results" / "s")
    command = Command(small_disk, *TRAIN, seconds="0.3")
    command.wait_for("observations/*.json")
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 4096):
                pass
        except OSError:
            pass
    code, _, err = command.end()
    assert code == 2 and "Traceback" not in err, err
    assert err.splitlines()[-1].startswith("planner: ") and "free space" in err.splitlines()[-1]
    kept = {path.name: path.read_bytes() for path in command.folder.glob("observations/*.json")}
    assert kept
    again = Command(small_disk, *TRAIN).end()  # still full: still one line
    assert again[0] == 2 and "Traceback" not in again[2], again
    filler.unlink()
    goes_on(small_disk)
    assert all((command.folder / "observations" / name).read_bytes() == text for name, text in kept.items())
