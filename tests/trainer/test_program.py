"""A trainer that is a program: what it is given, what of it is read, how it ends, and that nothing of it is left."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sampler import Architecture, InputError, base
from trainer import keeper, pausing, program
from trainer.command_line import check_command, check_program, command_parts, values_of
from trainer.command_task import CommandTask
from trainer.conformance import SMALL_NETWORK, check_task
from trainer.engines.engine import explained
from trainer.observation import COMMAND, Command, DataSpec, Fidelity, Training
from trainer.protocol import Conditions, Job, TrainerError
from trainer.recipe import Recipe

PYTHON = shlex.quote(sys.executable)
LINE = PYTHON + " -I -S {script} {{epochs}} {{folder}}"
REPORTS = """
for epoch in range(1, int(sys.argv[1]) + 1):
    print(json.dumps({"score": epoch / 10, "epoch": epoch, "loss": 1 / epoch}), flush=True)
    time.sleep(0.1)
"""


@pytest.fixture
def training(tmp_path):
    """A function: a training by a program of this source."""

    def made(source, epochs=3, line=LINE, score_file="", limit=0.0):
        script = tmp_path / "script.py"
        script.write_text(f"import json, os, signal, subprocess, sys, time\n{source}")
        command = Command(line.format(script=shlex.quote(str(script))), score_file)
        asked = Fidelity(epochs), Recipe(), DataSpec("", 32)
        return Training(SMALL_NETWORK, *asked, 1, trainer=COMMAND, classes=10, command=command, limit=limit)

    return made


@pytest.fixture
def observe(tmp_path):
    """A function: what comes of a training, in the folder `job`."""

    def observed(training, on_epoch=lambda _: False):
        return CommandTask().observe(training, Conditions("cpu", 1, on_epoch, tmp_path / "job"))

    return observed


def lives(pid):
    """Whether a process lives: one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(true, seconds=30):
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert true()


def test_a_program_that_tells_its_epochs_keeps_to_the_protocol_of_trainings(training):
    check_task(CommandTask(), training(REPORTS))


def test_every_epoch_is_told_while_the_program_runs_and_other_lines_are_not_scores(training, observe, tmp_path):
    seen = []
    source = 'print("epoch 1: 0.9"); print("{not json"); print(json.dumps({"lr": 0.1})); print("[1]")\n' + REPORTS
    found = observe(training(source), lambda history: seen.append(len(history)) or False)
    assert seen == [1, 2, 3] and found.status == "ok" and found.accuracy == 0.3
    assert [record.loss for record in found.history] == [1, 0.5, 1 / 3]
    assert found.cpu_seconds is None and found.seconds > 0.3  # it slept as long
    assert (tmp_path / "job" / "output.log").read_text().startswith("epoch 1: 0.9\n{not json\n")


@pytest.mark.parametrize(
    ("source", "history"),
    [
        ('print(json.dumps({"score": 0.7}))', [(3, 0.7)]),
        ('print(json.dumps({"accuracy": 0.7}), end="")', [(3, 0.7)]),
        ('print(json.dumps({"score": 0.5, "epoch": 1})); print(json.dumps({"score": 0.7}))', [(1, 0.5), (3, 0.7)]),
        ('print(json.dumps({"score": 0.5, "epoch": 1.0}))', [(1, 0.5), (3, 0.5)]),  # ended early on its own
        ('print(json.dumps({"score": 0.5, "epoch": 3})); print(json.dumps({"score": 0.7}))', [(3, 0.7)]),  # its best
    ],
)
def test_the_last_line_of_json_is_the_score_of_the_last_epoch(training, observe, source, history):
    found = observe(training(source))
    assert (found.status, [(one.epoch, one.accuracy) for one in found.history]) == ("ok", history)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("result.json", '{"score": 0.6}'),
        ("result.json", '[{"score": 0.1}, {"score": 0.6}]'),
        ("result.jsonl", '{"score": 0.1}\n{"score": 0.6}\n'),
        ("result.csv", "epoch,score,loss\n1,0.1,2\n2,0.6,1\n"),
    ],
)
def test_a_file_can_hold_the_score(training, observe, name, text):
    source = f"open(os.path.join(sys.argv[2], {name!r}), 'w').write({text!r}); print(json.dumps({{'score': 0.9}}))"
    assert observe(training(source, score_file=f"{{folder}}/{name}")).accuracy == 0.6


@pytest.mark.parametrize("score", ["NaN", "Infinity", "null"])
def test_a_score_that_is_no_number_is_a_training_that_diverged(training, observe, score):
    found = observe(training(f'print(\'{{"score": {score}, "epoch": 2}}\')'))
    assert found.status == "diverged" and "after epoch 2" in found.message


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("sys.exit('no\\nsuch images')", "ended with exit code 1: such images"),
        ("sys.exit(3)", r"ended with exit code 3$"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", r"ended with signal SIGSEGV$"),
        ("print('done')", 'ended well and told no score: print one as a line: {"score": 0.71}'),
        ("1 / 0", "ended with exit code 1: ZeroDivisionError"),
    ],
)
def test_a_program_that_fails_raised_something_which_is_one_line_and_is_tried_again(training, observe, source, words):
    with pytest.raises(TrainerError, match=words) as error:
        observe(training(source))
    assert explained(0, error.value).kind == "raised" and "\n" not in str(error.value)


def test_a_file_without_a_score_is_named(training, observe):
    with pytest.raises(TrainerError, match="result.json holds none"):
        observe(training("print(json.dumps({'score': 0.9}))", score_file="{folder}/result.json"))


def test_only_what_this_try_said_is_its_error(training, observe):
    with pytest.raises(TrainerError, match="exit code 1: first"):
        observe(training("sys.exit('first')"))
    with pytest.raises(TrainerError, match="exit code 4$"):
        observe(training("sys.exit(4)"))


def test_a_program_without_memory_is_not_tried_again(training, observe):
    found = observe(training("sys.exit('torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB')"))
    assert found.status == "out_of_memory" and "Tried to allocate" in found.message


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ('{"score": 71.5, "epoch": 1}', r"a score is in \[0, 1\]"),
        ('{"score": 0.5, "epoch": 0}', r"told epoch 0; count epochs from 1 to {epochs}: 3"),
        ('{"score": 0.5, "epoch": 4}', r"told epoch 4; count epochs"),
        ('{"score": 0.5, "epoch": "last"}', "epoch 'last' is no whole number"),
        ('{"score": "good"}', "a score is a number"),
    ],
)
def test_a_score_that_cannot_be_is_told_in_one_line(training, observe, told, words):
    with pytest.raises(TrainerError, match=words) as error:
        observe(training(f"print({told!r})"))
    assert "\n" not in str(error.value)


HANGS = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"], start_new_session=True)
open(os.path.join(sys.argv[2], "pids"), "w").write(f"{os.getpid()} {child.pid}")
time.sleep(600)
"""


def pids_in(folder):
    return [int(one) for one in (folder / "pids").read_text().split()]


def test_a_program_that_hangs_is_given_up_when_its_time_is_over_and_ended_with_its_children(
    training, observe, tmp_path, monkeypatch
):
    monkeypatch.setattr(program, "END_GRACE", 0.2)
    found = observe(training(HANGS, limit=1.0))
    assert (found.status, found.message) == ("killed", "it took longer than its limit, 1 s")
    assert not any(map(lives, pids_in(tmp_path / "job")))


def test_a_training_whose_time_was_over_before_is_not_begun_again(training, observe, tmp_path):
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "reports.json").write_text('{"seconds": 5.0, "cpu_seconds": 0.0, "history": []}')
    assert observe(training("1 / 0", limit=4.0)).status == "killed"


def test_a_program_is_ended_where_its_training_stops_early(training, observe, tmp_path):
    source = "open(os.path.join(sys.argv[2], 'pids'), 'w').write(str(os.getpid()))\n" + REPORTS + "time.sleep(600)"
    found = observe(training(source), lambda history: len(history) == 2)
    assert (found.status, found.accuracy) == ("stopped", 0.2)
    assert not any(map(lives, pids_in(tmp_path / "job")))


def test_a_program_that_is_paused_goes_on_in_the_same_folder(training, observe, tmp_path):
    source = """
done = os.path.join(sys.argv[2], "done")
first = int(open(done).read()) + 1 if os.path.exists(done) else 1
for epoch in range(first, int(sys.argv[1]) + 1):
    open(done, "w").write(str(epoch))
    print(json.dumps({"score": epoch / 10 + first / 100, "epoch": epoch}), flush=True)
    time.sleep(0.3)
"""
    reported = []
    pausing.listen(lambda: bool(reported), lambda: None)
    try:
        with pytest.raises(pausing.PausedError):
            observe(training(source), lambda history: reported.append(1))
    finally:
        pausing.listen(lambda: False, lambda: None)
    found = observe(training(source))
    scores = [record.accuracy for record in found.history]
    assert scores[0] == 0.11 and scores[-1] > 0.3 + 0.02 - 1e-9 and len(scores) == 3


@pytest.mark.parametrize("read", [0, 1, 3])
def test_what_a_program_told_before_it_was_killed_is_not_lost_whether_we_had_read_it_or_not(
    training, observe, tmp_path, read
):
    folder = tmp_path / "job"
    folder.mkdir()
    told = [{"epoch": epoch, "score": epoch / 10} for epoch in (1, 2, 3)]
    (folder / "output.log").write_text("".join(f"{json.dumps(one)}\n" for one in told) + '{"epoch": 3, "sco')
    known = [{"epoch": one["epoch"], "training_loss": None, "accuracy": one["score"], "loss": None} for one in told]
    spent = {"seconds": 1.0, "cpu_seconds": 0.0, "history": known[:read]}
    (folder / "reports.json").write_text(json.dumps(spent))
    found = observe(training("print('nothing is left to do')"))  # by its checkpoint
    assert [record.accuracy for record in found.history] == [0.1, 0.2, 0.3] and found.status == "ok"
    assert (folder / "output.log").read_text().endswith('"sco\nnothing is left to do\n')


WORKER = """
import sys
from pathlib import Path
from trainer.command_task import CommandTask
from trainer.conformance import SMALL_NETWORK
from trainer.observation import COMMAND, Command, DataSpec, Fidelity, Training
from trainer.protocol import Conditions
from trainer.recipe import Recipe
line, folder = sys.argv[1:]
asked = Fidelity(3), Recipe(), DataSpec("", 32)
training = Training(SMALL_NETWORK, *asked, 1, trainer=COMMAND, classes=10, command=Command(line))
CommandTask().observe(training, Conditions("cpu", 1, lambda _: False, Path(folder)))
"""


def test_a_program_ends_with_its_children_where_its_worker_is_killed(training, tmp_path):
    line = training(HANGS.replace("signal.SIG_IGN", "signal.SIG_DFL")).command.line
    folder = tmp_path / "job"
    worker = subprocess.Popen([sys.executable, "-c", WORKER, line, str(folder)], cwd=tmp_path)
    until(lambda: (folder / "pids").is_file() and len(pids_in(folder)) == 2)
    running = pids_in(folder)
    assert all(map(lives, running))
    worker.kill()
    worker.wait()
    until(lambda: not any(map(lives, running)))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a program that its parent died")
def test_a_program_ends_where_even_its_keeper_is_killed(tmp_path):
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    command = [sys.executable, "-I", "-S", keeper.__file__, "5", sys.executable, "-I", "-S", "-c", code]
    kept = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    running = int(kept.stdout.readline())
    os.kill(kept.pid, signal.SIGKILL)
    kept.communicate()
    until(lambda: not lives(running))


def test_the_keeper_passes_what_its_program_ended_with_and_lets_no_child_live(tmp_path):
    code = (
        "import subprocess, sys, os\n"
        "child = subprocess.Popen([sys.executable, '-I', '-S', '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid, flush=True); os._exit(7)"
    )
    command = [sys.executable, "-I", "-S", keeper.__file__, "5", sys.executable, "-I", "-S", "-c", code]
    ended = subprocess.run(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    # An empty input is at its end at once: the program may get SIGTERM before it is done.
    assert ended.returncode in (7, 143)
    kept = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    child = int(kept.stdout.readline())
    assert kept.wait(30) == 7 and not lives(child)
    kept.stdin.close()
    kept.stdout.close()


def test_a_program_that_is_not_there_is_found_out_where_it_shall_run(training, observe):
    with pytest.raises(TrainerError, match="no-such-program ended with exit code 127: no-such-program: No such file"):
        observe(training("", line="no-such-program {{folder}}"))


def test_names_are_filled_with_what_the_job_is(tmp_path):
    architecture = Architecture("efficientnet_b0", 48, 8, (8, 16, 24, 32, 40, 48, 56), (1, 2, 3, 1, 1, 1, 1), 16)
    job = Job(architecture, 10, 5, 0.5, 7, "cuda:1", 2, Path("job"))
    values = values_of(job)
    assert values["resolution"] == "48" and values["widths"] == "8,16,24,32,40,48,56" and values["width_2"] == "16"
    assert values["depths"] == "1,2,3,1,1,1,1" and values["depth_3"] == "3"
    assert values["folder"] == str(Path.cwd() / "job")
    told = [values[name] for name in ("classes", "epochs", "share", "seed", "device", "threads", "stem", "head")]
    assert told == ["10", "5", "0.5", "7", "cuda:1", "2", "8", "16"] and int(values["macs"]) > 0


def test_knobs_are_filled_with_their_numbers_even_where_their_rules_give_them():
    vit = base("vit_tiny_patch16").architecture()
    values = values_of(Job(vit, 10, 1, 1.0, 0, "cpu", 1, Path("job")))
    knobs = json.loads(values["knobs"])
    assert knobs and all(values[name] == ",".join(map(str, numbers)) for name, numbers in knobs.items())


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("python t.py {size}", r"{size} is unknown; known: base resolution widths"),
        ("python t.py {width_9}", r"{width_9} is unknown"),
        ("python t.py {epochs:03d}", r"{epochs:03d} is unknown"),
        ("python t.py {}", r"{} is unknown"),
        ("python t.py {seed.real}", r"{seed.real} is unknown"),
        ("python t.py '{epochs", "No closing quotation; close the quotes"),
        ("python t.py {epochs", "write {{ and }} for braces that are meant as such"),
        ("  ", "--command is empty; give a program"),
    ],
)
def test_a_command_line_that_cannot_be_filled_is_refused_in_one_line(line, words):
    with pytest.raises(InputError, match=words) as error:
        check_command(line, "", base("resnet18"))
    assert str(error.value).startswith("--command") and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("result.json", "put it into {folder}, as '{folder}/result.json'"),
        ("{folder}/result.txt", r"a name that ends in .json, .jsonl, .csv is wanted"),
        ("{folder}/{run}.csv", "{run} is unknown"),
    ],
)
def test_a_score_file_that_cannot_be_one_is_refused_in_one_line(path, words):
    with pytest.raises(InputError, match=words):
        check_command("python t.py", path, base("resnet18"))


def test_no_value_is_split_and_no_shell_reads_them(training, observe, tmp_path):
    assert command_parts("a 'b c' \"{folder}\"") == ["a", "b c", "{folder}"]
    line = PYTHON + " -I -S {script} {{epochs}} {{folder}} '$HOME; {{{{x}}}}'"
    observe(training("print(json.dumps({'score': 0.5, 'told': sys.argv[3:]}))", line=line))
    said = json.loads((tmp_path / "job" / "output.log").read_text())
    assert said["told"] == ["$HOME; {x}"]


def test_a_program_that_is_not_there_is_refused(tmp_path):
    check_program(f"{PYTHON} t.py")
    with pytest.raises(InputError, match="the program no-such-program is not there, and not on PATH"):
        check_program("no-such-program {folder}")
    (tmp_path / "mine.sh").write_text("echo")
    with pytest.raises(InputError, match=r"mine.sh may not be run \(chmod \+x\)"):
        check_program(str(tmp_path / "mine.sh"))
