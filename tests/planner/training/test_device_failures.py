"""Errors of eight kinds that CUDA raises, in workers that pretend: the study goes on, the right thing is recorded."""

import pytest

from planner.study.folder import cache_of
from planner.study.opening import open_ledger
from planner.study.options import StudyOptions
from planner.training.loop import train_queued
from planner.training.making import Wanted, queue_in
from planner.training.resources import Resources
from trainer.tasks import task_named

# Errors that end once the training is alone or tried again: its folder is the same, its process is another one.
PRETENDS = """
import os, time

class OutOfMemoryError(RuntimeError): pass
class AcceleratorError(RuntimeError): pass

ERRORS = [
    OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
    AcceleratorError("CUDA error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("GET was unable to find an engine to execute this computation"),
    AcceleratorError("CUDA error: an illegal memory access was encountered"),
    AcceleratorError("CUDA error: device-side assert triggered"),
    RuntimeError("CUDA error: unspecified launch failure"),
]
FAILED = []

def train(job):
    number = int(open(os.path.join(BESIDE, str(job.architecture.resolution) + "-" + str(sum(job.architecture.widths)))
        ).read())
    with open(os.path.join(BESIDE, "processes"), "a") as file:
        file.write(f"{number} {os.getpid()}\\n")
    if FAILED:
        raise RuntimeError("CUDA error: " + FAILED[0] + ", said once more by the same process")
    known = job.folder / "failed"
    if number < 8 and not known.exists():
        known.write_text("once")
        if number >= 5:
            FAILED.append(str(ERRORS[number]))
        raise ERRORS[number]
    if number == 8:
        raise ERRORS[0]
    if number == 9:
        FAILED.append("again")
        raise ERRORS[6]
    time.sleep(0.05)
    return 0.5
"""
OPTIONS = {"base": "resnet18", "classes": 10, "resolution": 32, "epochs": 1}


class Notes:
    def __init__(self):
        self.lines = []

    def note(self, text):
        self.lines.append(text)

    def start(self, *_):
        pass

    epoch = done = close = start


@pytest.fixture
def ended(tmp_path, monkeypatch):
    """The study's rows by the number of their error, what was said, and the processes that did each."""
    monkeypatch.chdir(tmp_path)
    (beside := tmp_path / "beside").mkdir()
    (tmp_path / "own.py").write_text(f"BESIDE = {str(beside)!r}\n{PRETENDS}")
    ledger, added = queue_in("mine", StudyOptions(**OPTIONS, trainer="own.py:train"), Wanted(10))
    assert added == 10
    for number, one in enumerate(ledger.pending_trainings()):
        own = f"{one.architecture.resolution}-{sum(one.architecture.widths)}"
        assert not (beside / own).exists(), "two networks that this test takes for one"
        (beside / own).write_text(str(number))
    notes = Notes()
    train_queued(ledger, cache_of(ledger.folder), Resources(device="cpu", workers=3, threads=1), notes)
    frame = open_ledger("mine").frame()
    frame["error"] = [
        int((beside / f"{row.resolution}-{sum(row[f'width_{i}'] for i in range(1, 5))}").read_text())
        for _, row in frame.iterrows()
    ]
    processes = [tuple(map(int, line.split())) for line in (beside / "processes").read_text().splitlines()]
    return frame, notes.lines, processes


@pytest.mark.slow
def test_the_study_goes_on_and_records_what_was_tried_alone(ended):
    frame, lines, processes = ended
    statuses = {number: rows["status"].tolist() for number, rows in frame.groupby("error")}
    for number in range(5):  # memory: once beside others, once alone, and no trial is lost for it
        assert statuses[number] == ["ok"]
        (alone,) = frame[frame["error"] == number]["alone"]
        assert alone
        assert len([one for one, _ in processes if one == number]) == 2
    for number in (5, 6, 7):  # a failed device: a new process, a further try
        assert statuses[number] == ["killed", "ok"]
        first, second = (process for one, process in processes if one == number)
        assert first != second
    assert statuses[8] == ["out_of_memory"]
    (alone,) = frame[frame["error"] == 8]["alone"]
    assert alone and len([one for one, _ in processes if one == 8]) == 2
    assert set(statuses[9]) == {"killed"} and any("given up after several tries" in line for line in lines)
    told = frame["message"].dropna().str.cat()
    assert "said once more" not in told, "a process whose device had failed was given another training"
    assert any("begins again when it has cpu for itself" in line for line in lines)


def test_memory_is_planned_for_each_kind_of_what_waits(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = "fractal:classes=2,train=20,validation=10"
    asked = {"base": "resnet18", "resolution": 32, "data": source, "epochs": 1}
    ledger, _ = queue_in("mine", StudyOptions(**asked), Wanted(3))
    network = ledger.pending_trainings()[0].architecture
    ledger.ask_for(network, "again", {"epochs": 2})
    ledger.ask_for(network, "again", {"holdout": 0.0})
    kinds = ledger.pending_kinds()
    assert sorted(len(networks.resolution) for _, networks in kinds) == [1, 1, 3]
    task = task_named("")
    settings = ledger.settings
    task.prepare(settings.data_spec(cache_of(ledger.folder)), settings.data.fingerprint, "mine")
    needed = {
        (one := ledger.training(number)).data.holdout: task.bytes_needed(networks, 2, one)
        for number, networks in kinds
        if len(networks.resolution) == 1
    }
    # Of 40 images all are fitted and the 20 of validation score, or 32 are fitted and 8 held out score.
    assert sorted(needed) == [0.0, 0.2]
    side = network.resolution
    kept = min(ledger.settings.data.side, -(-5 * side // 4))
    assert needed[0.0] - needed[0.2] == 3 * (8 * kept**2 + 12 * side**2)
