"""Trainings as Slurm's jobs, by submitit's own stand-in for Slurm: processes of this machine."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from sampler import Architecture, InputError
from trainer.engines.engine import observation_path
from trainer.engines.remote import SHARED_MARK, Desk, Outcome
from trainer.engines.slurm import SlurmEngine, _parsed, has_gpus
from trainer.observation import DataSpec, Fidelity, Observation, Recipe, Training

SMALL = Architecture("efficientnet_b0", 32, 8, (8, 8, 8, 8, 8, 8, 8), (1, 1, 1, 1, 1, 1, 1), 16)


@pytest.fixture
def training(tmp_path):
    def made(epochs=1, keep=""):
        data = DataSpec("fractal:classes=2,train=20,validation=4", 32, cache=str(tmp_path / "cache"))
        return Training(SMALL, Fidelity(epochs), Recipe(batch_size=8), data, keep=keep)

    return made


@pytest.fixture
def engine(tmp_path):
    """A function: the engine, of jobs on this machine."""
    pytest.importorskip("submitit", reason="needs the extra [slurm]")

    def made(stops=None, options=("cluster=local",)):
        observations, jobs, checkpoints = (tmp_path / name for name in ("observations", "jobs", "checkpoints"))
        return SlurmEngine(observations, jobs, checkpoints, stops, workers=2, options=options)

    return made


def jobs(*trainings):
    queue = list(enumerate(trainings))
    return lambda: queue.pop(0) if queue else None


@pytest.mark.slow
def test_jobs_report_epochs_and_leave_observations_and_nothing_else(tmp_path, engine, training):
    keep = tmp_path / "networks" / "kept.safetensors"
    with engine(stops=lambda event: event.key == 1) as running:
        events = list(running.run(jobs(training(keep=str(keep)), training(epochs=400))))
    assert sorted(event.key for event in events if event.kind == "done") == [0, 1]
    found = [Observation.from_json(observation_path(tmp_path / "observations", key).read_text()) for key in (0, 1)]
    assert found[0].status == "ok" and len(found[0].history) == 1
    assert found[1].status == "stopped" and 2 <= len(found[1].history) < 400
    assert keep.stat().st_size > 1000
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == [SHARED_MARK]
    assert list((tmp_path / "jobs").iterdir()) == []


def test_options_go_where_submitit_or_sbatch_knows_them(engine):
    options = ("cluster=local", "partition=gpu", "timeout_min=90", "--clusters=big", "mem_gb=8")
    with engine(options=options) as made:
        assert made._parameters() == {
            **{"name": "planner", "cpus_per_task": 1, "timeout_min": 90, "mem_gb": 8},
            **{"slurm_partition": "gpu", "slurm_additional_parameters": {"clusters": "big"}},
        }
    with pytest.raises(InputError, match="--engine slurm: .*mem_gb.*mend --slurm-option"):
        with engine(options=("cluster=local", "mem_gb=much")):
            pass


@pytest.mark.slow
def test_a_job_that_is_killed_is_one_event(tmp_path, engine, training):
    events = []
    with engine() as running:
        for event in running.run(jobs(training(epochs=500))):
            if event.kind == "epoch" and not events:
                controller = running.running[0][0]._process.pid
                for child in Path(f"/proc/{controller}/task/{controller}/children").read_text().split():
                    os.kill(int(child), signal.SIGKILL)
            events.append(event)
    assert [event.kind for event in events if event.kind != "epoch"] == ["died"]
    assert "was lost" in events[-1].text and "\n" not in events[-1].text
    assert not observation_path(tmp_path / "observations", 0).exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # submitit waits for no process it ends
def test_a_pause_ends_the_jobs(tmp_path, engine, training):
    with engine() as running:
        events = []
        for event in running.run(jobs(training(epochs=500))):
            events.append(event)
            running.pause()
    assert {event.kind for event in events} == {"epoch"} and len(events) < 50
    assert not list((tmp_path / "observations").glob("*.json"))


def test_without_slurm_it_says_so_in_one_line(engine):
    if shutil.which("srun"):
        pytest.skip("there is Slurm here")
    with pytest.raises(InputError, match="--engine slurm: .*srun.*; run it where sbatch is") as error:
        with engine(options=()):
            pass
    assert "\n" not in str(error.value)


def test_options_are_pairs_and_what_begins_with_dashes_is_the_same():
    assert _parsed(["partition=gpu", "--mem-per-cpu=4G", "timeout_min=90"]) == {
        "partition": "gpu",
        "mem_per_cpu": "4G",
        "timeout_min": 90,
    }
    for wrong in ("partition", "=gpu", "a b=c"):
        with pytest.raises(InputError, match="is no NAME=VALUE such as partition=gpu"):
            _parsed([wrong])
    with pytest.raises(InputError, match="Slurm gives whole GPUs"):
        SlurmEngine(Path("x"), Path("x"), gpus=0.5)


def test_a_machine_without_the_images_is_named(tmp_path, training):
    desk = Desk(tmp_path, None, 1, "cpu")
    event = desk.filed(desk.assignment(3, training()), Outcome("unseen", "node7"))
    assert (event.kind, event.key) == ("refused", 3)
    assert "machine node7 does not see it" in event.text and str(tmp_path / "cache") in event.text


@pytest.mark.parametrize(
    ("answer", "code", "expected"), [("(null)\ngpu:a100:4(S:0-1)", 0, True), ("(null)", 0, False), ("gpu", 1, False)]
)
def test_slurm_is_asked_whether_there_are_gpus(monkeypatch, tmp_path, answer, code, expected):
    program = tmp_path / "sinfo"
    program.write_text(f"#!/bin/sh\necho \"$@\" > {tmp_path}/asked\necho '{answer}'\nexit {code}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert has_gpus({"partition": "fast"}) is expected
    assert (tmp_path / "asked").read_text() == "--noheader --format=%G --partition=fast\n"


def test_without_slurm_there_are_no_gpus_of_its(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not has_gpus({})


def test_gpus_that_a_user_asks_for_by_options_are_used(engine):
    with engine(options=("cluster=local", "gres=gpu:1")) as made:
        assert made.desk.device == "cuda" and made.gpus == 0
    with engine() as made:
        assert made.desk.device == "cpu"
