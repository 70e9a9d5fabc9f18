"""Trials in TensorBoard, Weights & Biases and MLflow, read with the tools own readers: every epoch once."""

import importlib.util
import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import planner
from planner.errors import PlannerError
from planner.training import tools
from planner.training.conformance import check_listener
from planner.training.run_logs import hyper_parameters
from trainer.observation import Observation

# The tools' own, when they are imported and at work.
pytestmark = pytest.mark.filterwarnings("ignore")
ROOT = Path(__file__).resolve().parents[3]
TOOLS = [
    pytest.param(
        tool, marks=pytest.mark.skipif(importlib.util.find_spec(tool) is None, reason=f"{tool} is not installed")
    )
    for tool in ("tensorboard", "wandb", "mlflow")
]
LOGGED = ("accuracy", "loss", "training_loss")


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


# --- the tools' readers ---


def read_tensorboard(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    def run(place):
        found = EventAccumulator(str(place))
        found.Reload()
        about = {
            tag: HParamsPluginData.FromString(found.SummaryMetadata(tag).plugin_data.content)
            for tag in found.summary_metadata
            if tag.startswith("_hparams_")
        }
        given = about["_hparams_/session_start_info"].session_start_info.hparams
        facts = {name: value.string_value or int(value.number_value) for name, value in given.items()}
        ends = about.get("_hparams_/session_end_info")
        values = {tag: [(one.step, one.value) for one in found.Scalars(tag)] for tag in found.Tags()["scalars"]}
        status = "RUNNING" if ends is None else {1: "FINISHED", 2: "FAILED"}[ends.session_end_info.status]
        return SimpleNamespace(facts=facts, values=values, status=status)

    return {place.name: run(place) for place in sorted((folder / "logs" / "tensorboard").iterdir())}


def wandb_records(file):
    """The records of an offline run: a log as LevelDB's, of 32 KiB blocks, behind a head of 7 bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, place, parts = file.read_bytes(), 7, []
    assert content[:4] == b":W&B"
    while place + 7 <= len(content):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768
            continue
        _, size, kind = struct.unpack("<IHB", content[place : place + 7])
        parts.append(content[place + 7 : place + 7 + size])
        place += 7 + size
        if kind in (1, 4):  # whole, or the last part
            yield Record.FromString(b"".join(parts))
            parts = []


def read_wandb(folder):
    found = {}
    for file in sorted((folder / "logs" / "wandb").glob("offline-run-*/*.wandb")):
        run, name = SimpleNamespace(facts={}, values={}, status="RUNNING"), file.parent.name[-10:]
        for record in wandb_records(file):
            kind = record.WhichOneof("record_type")
            if kind == "run":
                assert record.run.project == folder.name
                assert record.run.display_name == record.run.run_id == name
                run.facts |= {one.key: json.loads(one.value_json) for one in record.run.config.update}
                run.facts.pop("_wandb", None)
            elif kind == "history":
                row = {one.key or one.nested_key[0]: json.loads(one.value_json) for one in record.history.item}
                for key in row.keys() & {*LOGGED}:
                    run.values.setdefault(key, []).append((row["epoch"], row[key]))
            elif kind == "summary":
                row = {one.key or one.nested_key[0]: json.loads(one.value_json) for one in record.summary.update}
                run.values |= {key: [(0, row[key])] for key in row.keys() & {"macs", "seconds"}}
            elif kind == "exit":
                run.status = "FAILED" if record.exit.exit_code else "FINISHED"
        assert name not in found
        found[name] = run
    return {name: found[name] for name in sorted(found)}


def read_mlflow(folder, uri=None):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(uri or f"sqlite:///{folder.absolute() / 'logs' / 'mlflow.db'}")
    [experiment] = client.search_experiments(filter_string=f"name = '{folder.name}'")

    def run(one):
        facts = {name: int(value) if value.isdecimal() else value for name, value in one.data.params.items()}
        values = {
            name: [(point.step, point.value) for point in client.get_metric_history(one.info.run_id, name)]
            for name in one.data.metrics
        }
        return SimpleNamespace(facts=facts, values=values, status=one.info.status)

    found = sorted(client.search_runs([experiment.experiment_id]), key=lambda one: one.info.run_name)
    assert len({one.info.run_name for one in found}) == len(found)
    return {one.info.run_name: run(one) for one in found}


READ = {"tensorboard": read_tensorboard, "wandb": read_wandb, "mlflow": read_mlflow}

# --- what is trained ---


def scores(job):
    return [round(0.1 * epoch + job.architecture.resolution / 1000, 6) for epoch in range(1, job.epochs + 1)]


def train(job):
    for epoch, score in enumerate(scores(job), start=1):
        job.report(epoch, score)


def make_study(trainer=train, name="mine"):
    sizes = {"classes": 10, "resolution": 64, "window": ("1M", "30M")}
    return planner.create_study(name, trainer=trainer, epochs=3, **sizes)


def check_runs(study, tool, failed=()):
    """Compares what a tool shows with the study's own table, number by number."""
    found, table = READ[tool](study.folder), study.table()
    assert list(found) == [f"trial-{number:04d}" for number in table["trial"]]
    for run, (_, row) in zip(found.values(), table.iterrows(), strict=True):
        number = int(row["trial"])
        if row["status"] == "killed":
            assert run.status in ("RUNNING", "KILLED")
            continue
        architecture = study.records.architecture(number)
        assert run.facts == hyper_parameters(architecture, 3, int(row["seed"]))
        assert run.facts["resolution"] == row["resolution"] and run.facts["width_2"] == row["width_2"]
        assert run.values["macs"][0][1] == pytest.approx(row["macs"], rel=1e-6) and len(run.values["macs"]) == 1
        assert run.status == ("FAILED" if number in failed else "FINISHED")
        if number not in failed:
            expected = [(epoch, 0.1 * epoch + row["resolution"] / 1000) for epoch in (1, 2, 3)]
            assert [epoch for epoch, _ in run.values["accuracy"]] == [1, 2, 3]
            assert [value for _, value in run.values["accuracy"]] == pytest.approx([one for _, one in expected])


# --- tests ---


@pytest.mark.parametrize("tool", TOOLS)
def test_each_trial_is_a_run_with_its_sizes_and_its_score_in_each_epoch(tool, capfd):
    study = make_study().run(trials=3, log=(tool, "jsonl"))
    assert capfd.readouterr() == ("", "3 trainings to do, 0 done before\n")
    check_runs(study, tool)
    assert not [path.name for path in Path.cwd().iterdir() if path.name != "results"]
    events = [json.loads(line)["event"] for line in (study.folder / "trainings.jsonl").read_text().splitlines()]
    assert events == ["start", *["begin", *["epoch"] * 3, "done"] * 3]


@pytest.mark.parametrize("tool", TOOLS)
def test_a_training_without_a_score_is_a_run_that_failed(tool):
    seen = []

    def diverges(job):
        seen.append(job.architecture)
        for epoch, score in enumerate(scores(job), start=1):
            job.report(epoch, float("nan") if job.architecture == seen[0] else score)

    study = make_study(diverges).run(trials=2, log=(tool,))
    failed = study.table().query("status == 'diverged'")["trial"].tolist()
    assert failed
    check_runs(study, tool, failed)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_study_that_was_not_logged_is_logged_once(tool):
    study = make_study().run(trials=2)
    for _ in range(2):
        study.run(log=(tool,))  # nothing waits
        check_runs(study, tool)
    study.run(trials=3, log=(tool,))
    check_runs(study, tool)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_run_that_was_interrupted_is_gone_on_with(tool):
    """A listener dies in the midst of a training, as its process would; another one goes on."""
    study = make_study().run(trials=2)
    folder, records = study.folder, study.records
    observations = {}
    for number in (0, 1):
        file = folder / "observations" / f"{number:06d}.json"
        observations[number] = Observation.from_json(file.read_text())
        file.rename(folder / f"{number}.json")
    first = tools.named_listener(tool)(folder)
    training = records_training(study, 0)
    first.begun(0, training)
    first.scored(0, observations[0].history[:1], 3)
    first.scored(0, observations[0].history[:2], 3)
    if tool == "wandb":
        first.close()  # the tool's process outlives a listener, but not its own
    second = tools.named_listener(tool)(folder)
    second.begun(0, training)
    second.scored(0, observations[0].history[:2], 3)  # an epoch that was trained again
    second.scored(0, observations[0].history, 3)
    second.close()
    for number in (0, 1):
        (folder / f"{number}.json").rename(folder / "observations" / f"{number:06d}.json")
    third = tools.named_listener(tool)(folder)
    third.done(0, observations[0])
    third.close()
    check_runs(study, tool)
    assert records.counts()["ok"] == 2


def records_training(study, number):
    return study.ledger().training(number)


SCRIPT = """
import os, sys, planner

def dies(study, trial):
    if str(trial.number) == sys.argv[2]:
        os._exit(9)

def train(job):
    for epoch in range(1, job.epochs + 1):
        job.report(epoch, round(0.1 * epoch + job.architecture.resolution / 1000, 6))
        if epoch == 2 and os.path.exists("die"):
            os.remove("die")
            os._exit(9)

sizes = {"classes": 10, "resolution": 64, "window": ("1M", "30M"), "load_if_exists": True}
study = planner.create_study("mine", trainer=train, epochs=3, **sizes)
study.run(trials=4, log=(sys.argv[1],), callbacks=[dies])
"""


@pytest.mark.slow
@pytest.mark.parametrize("tool", TOOLS)
def test_processes_that_die_lose_and_double_nothing(tool, tmp_path):
    (tmp_path / "go.py").write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    environment.pop("WANDB_SERVICE", None)  # of these tests' own process, which would not know that a run's has died
    for place in ("1", "within", "-1"):
        if place == "within":
            (tmp_path / "die").touch()
        command = [sys.executable, "go.py", tool, place]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == (0 if place == "-1" else 9), done.stderr
    study = planner.load_study("mine")
    assert study.table()["status"].value_counts().to_dict() == {"ok": 4, "killed": 1}
    check_runs(study, tool)


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_that_fails_is_one_line_and_is_caught_up_with_later(tool, monkeypatch, capsys):
    store = {"tensorboard": tools.EventFiles, "wandb": tools.OfflineRuns, "mlflow": tools.MlflowRuns}[tool]

    def full(*_):
        raise OSError("no space left\non device")

    with monkeypatch.context() as patch:
        patch.setattr(store, "epoch", full)
        study = make_study().run(trials=3, log=(tool,))
    said = [line for line in capsys.readouterr().err.splitlines() if "listener" in line]
    assert said == [f"listener {tool} failed and is told nothing more (OSError: no space left on device)"]
    assert study.records.counts()["ok"] == 3
    study.run(trials=4, log=(tool,))
    check_runs(study, tool)


def test_a_tool_that_cannot_begin_is_one_line(monkeypatch, capsys):
    def away(folder):
        raise ConnectionError("no route to host")

    with tools.LISTENERS.temporarily("cloud", away):
        study = make_study().run(trials=1, log=("cloud",))
    assert (
        "listener cloud failed and is told nothing more (ConnectionError: no route to host)" in capsys.readouterr().err
    )
    assert study.records.counts()["ok"] == 1


@pytest.mark.parametrize(
    ("tool", "module"),
    [("tensorboard", "tensorboard.compat.proto.event_pb2"), ("wandb", "wandb"), ("mlflow", "mlflow.entities")],
)
def test_a_tool_that_is_not_installed_is_said_before_anything_is_trained(tool, module, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, module, None)
    study = make_study()
    with pytest.raises(
        PlannerError, match=rf"^--log {tool} needs {tool} \(.*\): pip install 'scaling-planner\[log\]'$"
    ):
        study.run(trials=1, log=(tool,))
    assert study.records.counts() == {"ok": 0, "failed": 0, "running": 0, "waiting": 1}


@pytest.mark.parametrize("tool", TOOLS)
def test_they_conform(tool, tmp_path):
    (tmp_path / "study").mkdir()
    check_listener(tools.named_listener(tool)(tmp_path / "study"))


@pytest.mark.skipif(importlib.util.find_spec("mlflow") is None, reason="mlflow is not installed")
def test_mlflow_goes_where_its_variable_says(monkeypatch, tmp_path):
    uri = f"sqlite:///{tmp_path / 'all.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.chdir(tmp_path)
    names = ("one", "two")
    for name in names:
        make_study(name=name).run(trials=2, log=("mlflow",))
    for name in names:
        folder = tmp_path / "results" / name
        assert list(read_mlflow(folder, uri)) == ["trial-0000", "trial-0001"]
        assert not (folder / "logs").exists()
