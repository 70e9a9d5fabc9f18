"""A study whose trainings are a program: from the command line to the front, and what may go wrong in it."""

import shlex
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from planner.errors import PlannerError
from planner.study.folder import cache_of
from planner.study.opening import open_ledger
from planner.study.options import StudyOptions
from planner.training.loop import train_queued
from planner.training.making import Wanted, queue_in
from planner.training.resources import Resources
from trainer import function_task
from trainer.trainers import TRAINERS, register_trainer

PYTHON = f"{shlex.quote(sys.executable)} -I -S"
LINE = PYTHON + " train.py --size {resolution} --widths {widths} --epochs {epochs} --seed {seed} --out {folder}"
TRAIN = """
import argparse, json, os, sys, time
parser = argparse.ArgumentParser()
for name in ("size", "epochs", "seed"):
    parser.add_argument(f"--{name}", type=int)
parser.add_argument("--widths", type=lambda text: [int(part) for part in text.split(",")])
parser.add_argument("--out")
asked = parser.parse_args()
score = 1 - 1 / (asked.size * sum(asked.widths)) ** 0.2
"""
GOOD = TRAIN + "for epoch in range(1, asked.epochs + 1): print(json.dumps({'score': score, 'epoch': epoch}))\n"
OPTIONS = {"base": "resnet18", "classes": 10, "resolution": 32, "epochs": 3, "command": LINE}


class Notes:
    def __init__(self):
        self.lines, self.epochs = [], []

    def note(self, text):
        self.lines.append(text)

    def epoch(self, *facts):
        self.epochs.append(facts)

    def start(self, *_):
        pass

    done = close = start


def study(trials, **options):
    return queue_in("mine", StudyOptions(**{**OPTIONS, **options}), Wanted(trials))[0]


def train(ledger, notes=None, **asked):
    asked = {"engine": "inline", "device": "cpu", **asked}
    return train_queued(ledger, cache_of(ledger.folder), Resources(**asked), notes or Notes())


def test_the_commands_train_by_a_program_with_two_workers_and_leave_no_files_of_its_jobs(run):
    Path("train.py").write_text(GOOD)
    made = ["--base", "resnet18", "--classes", "10", "--resolution", "32", "--command", LINE]
    assert run("sample", "--trials", "6", *made)[0] == 0
    code, out, err = run("train", "--workers", "2", "--device", "cpu", "--limit", "1h")
    assert (code, out) == (0, "results/study: 6 trained, 0 failed, 0 wait\n"), err
    ledger = open_ledger("study")
    frame = ledger.frame()
    assert frame["accuracy"].between(0.5, 1).all() and frame["accuracy"].nunique() == 6
    assert (frame["epochs"] == 3).all() and "cpu_seconds" not in frame
    assert not list((ledger.folder / "checkpoints").iterdir())
    # What it was made with is known: another command is another study.
    assert run("sample", "--trials", "1", *made)[0] == 0
    code, _, err = run("sample", "--trials", "1", "--command", "python other.py")
    assert code == 2 and "was made with --command" in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"command": "python train.py {size}"}, "--command .*: {size} is unknown; known: base resolution"),
        ({"command": "no-such-program {folder}"}, "the program no-such-program is not there"),
        ({"score_file": "result.json"}, "put it into {folder}, as '{folder}/result.json'"),
        ({"classes": None}, "--command: say how many outputs networks have, such as --classes 10"),
        ({"trainer": "x.py:train"}, "--command and --trainer x.py:train are two trainers; leave one out"),
        ({"data": "fractal"}, "--data has no effect beside --command, which looks after its own data"),
    ],
)
@pytest.mark.usefixtures("run")
def test_a_command_that_cannot_be_is_refused_in_one_line_before_a_study_is_made(options, words):
    with pytest.raises(PlannerError, match=words) as error:
        study(2, **options)
    assert "\n" not in str(error.value) and not Path("results/mine").exists()


def test_options_without_what_they_are_for_are_refused(refused):
    assert "--score-file has no effect without --command" in refused(
        "sample", "--trials", "1", "--score-file", "{folder}/x.json"
    )
    assert "'2' is not a duration; write one with its unit, such as 2h" in refused("train", "--limit", "2")


@pytest.mark.usefixtures("run")
def test_a_program_that_is_gone_is_one_line_before_any_training():
    ledger = study(1)
    text = (ledger.folder / "study.toml").read_text()
    (ledger.folder / "study.toml").write_text(text.replace(shlex.quote(sys.executable), "gone-since"))
    with pytest.raises(PlannerError, match="the program gone-since is not there"):
        train(open_ledger("mine"))
    assert open_ledger("mine").counts()["waiting"] == 1


@pytest.mark.usefixtures("run")
def test_a_table_of_a_command_that_nothing_names_is_refused():
    ledger = study(1)
    text = (ledger.folder / "study.toml").read_text()
    (ledger.folder / "study.toml").write_text(text.replace('trainer = "command"', 'trainer = ""'))
    with pytest.raises(PlannerError, match=r"goes with a table \[command\]"):
        open_ledger("mine")


@pytest.mark.usefixtures("run")
def test_failures_are_recorded_with_their_reason_and_never_end_a_study_that_works():
    # Every fourth number of channels fails for good, another one the first time only.
    Path("train.py").write_text(
        TRAIN + "first = asked.out + '/../' + str(asked.widths[0])\n"
        "kind = len([name for name in os.listdir('kinds')])\n"
        "if not os.path.exists(f'kinds/{asked.widths}{asked.size}'):\n"
        "    open(f'kinds/{asked.widths}{asked.size}', 'w').write(str(kind))\n"
        "kind = int(open(f'kinds/{asked.widths}{asked.size}').read())\n"
        "if kind == 1: sys.exit('no such layer')\n"
        "if kind == 2: sys.exit(0)\n"
        "if kind == 3: sys.exit('RuntimeError: CUDA out of memory')\n"
        "if kind == 4 and asked.seed < 1000: score = float('nan')\n"
        "print(json.dumps({'score': score}))\n"
    )
    Path("kinds").mkdir()
    ledger, notes = study(7), Notes()
    train(ledger, notes)
    assert ledger.counts() == {"ok": 4, "failed": 8, "running": 0, "waiting": 0}
    table = ledger.frame()[["status", "message"]].drop_duplicates()
    reasons = {message.partition(" ended ")[2] or message: status for status, message in table.to_numpy()}
    assert reasons == {
        "": "ok",
        "with exit code 1: no such layer": "killed",
        'well and told no score: print one as a line: {"score": 0.71}': "killed",
        "RuntimeError: CUDA out of memory": "out_of_memory",
        "the score is nan after epoch 3": "diverged",
    }
    assert sum(line.endswith("given up after several tries") for line in notes.lines) == 2


@pytest.mark.usefixtures("run")
def test_a_program_that_never_works_ends_the_run_in_one_line_and_loses_nothing():
    Path("train.py").write_text("import sys; sys.exit('no data here')")
    ledger = study(4)
    with pytest.raises(PlannerError, match="exit code 1: no data here; 3 trainings in a row ended so") as error:
        train(ledger)
    assert "\n" not in str(error.value) and ledger.counts()["waiting"] == 4
    Path("train.py").write_text(GOOD)
    assert train(open_ledger("mine")) == 4


@pytest.mark.slow
@pytest.mark.usefixtures("run")
def test_a_program_over_its_limit_is_given_up_with_the_reason_and_the_study_goes_on():
    Path("train.py").write_text(GOOD.replace("for epoch", "if asked.out[-1] in '02468ace': time.sleep(600)\nfor epoch"))
    ledger = study(4)
    slow = sum(one.name[-1] in "02468ace" for one in map(lambda number: path_of(ledger, number), range(4)))
    assert 0 < slow < 4, "a design with both kinds is wanted"
    assert train(ledger, engine="local", workers=2, limit=1.5) == 4
    frame = ledger.frame()
    assert (frame["status"] == "killed").sum() == slow and ledger.counts()["waiting"] == 0
    assert set(frame["message"][frame["status"] == "killed"]) == {"it took longer than its limit, 1.5 s"}


def path_of(ledger, number):
    from trainer.engines.engine import checkpoint_path

    return checkpoint_path(ledger.folder / "checkpoints", ledger.training(number))


@pytest.mark.usefixtures("run")
def test_a_function_over_its_limit_is_given_up_at_its_next_report():
    import time

    def slow(job):
        for epoch in range(1, job.epochs + 1):
            time.sleep(0.3)
            job.report(epoch, 0.5)

    with TRAINERS.temporarily("here", slow):
        ledger = study(1, command=None, trainer="here", epochs=5)
        assert train(ledger, limit=0.5) == 1
    assert ledger.frame()["message"].tolist() == ["it took longer than its limit, 0.5 s"]
    assert ledger.frame()["status"].tolist() == ["killed"]


@pytest.mark.usefixtures("run")
def test_a_function_that_hangs_is_ended_with_its_worker_once_and_given_up(tmp_path, monkeypatch):
    # Workers are spawned: what they shall find otherwise they must import themselves.
    Path("hangs.py").write_text(
        "import time\nfrom trainer import function_task\nfunction_task.OVERTIME = 0.2\n"
        "def train(job):\n    (job.folder / 'begun').touch()\n    time.sleep(600)\n"
    )
    assert function_task.OVERTIME > 1
    ledger, notes = study(1, command=None, trainer="hangs.py:train"), Notes()
    assert train(ledger, notes, engine="local", workers=1, limit=0.5) == 1
    assert notes.lines == ["trial 0: its process ended with exit code 124; queued again"]
    assert ledger.frame()["message"].tolist()[-1] == "it took longer than its limit, 0.5 s"
    assert ledger.counts() == {"ok": 0, "failed": 2, "running": 0, "waiting": 0}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("engine", "package"), [("slurm", "submitit"), ("ray", "ray")])
@pytest.mark.usefixtures("run")
def test_clusters_run_the_same_program(engine, package):
    if find_spec(package) is None:
        pytest.skip(f"needs the extra [{engine}]")
    Path("train.py").write_text(GOOD)
    ledger = study(3, command=LINE.replace("train.py", str(Path("train.py").absolute())))
    options = {"slurm_option": ("cluster=local",)} if engine == "slurm" else {}
    assert train(ledger, engine=engine, workers=1, **options) == 3
    assert ledger.counts()["ok"] == 3 and ledger.frame()["accuracy"].between(0.5, 1).all()


def test_a_limit_is_not_for_the_image_trainer(refused, run):
    assert run("sample", "--trials", "1", "--data", "fractal:classes=2,train=20,validation=4")[0] == 0
    assert "--limit is for trainings by --trainer or --command; --hours bounds those" in refused(
        "train", "--limit", "2h"
    )


def test_the_name_of_commands_is_nobodys():
    with pytest.raises(PlannerError, match="trainer 'command' is the name of --command; choose another"):
        register_trainer("command")


@pytest.mark.usefixtures("run")
def test_a_study_in_python_trains_by_a_program():
    import planner

    Path("train.py").write_text(
        TRAIN + "json.dump({'score': score}, open(os.path.join(asked.out, 'result.json'), 'w'))\n"
    )
    options = {name: value for name, value in OPTIONS.items() if name != "command"}
    made = planner.create_study("mine", **options, command=LINE, score_file="{folder}/result.json")
    made.run(trials=3, resources=Resources(engine="inline", device="cpu"))
    assert len(made.table()) == 3 and made.table()["accuracy"].between(0.5, 1).all()
    assert LINE in made._repr_html_().replace("&#x27;", "'")
