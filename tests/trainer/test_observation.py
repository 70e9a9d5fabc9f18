"""Observations are records: whole, finite and readable again."""

import json
from dataclasses import replace

import pytest

from sampler import base
from trainer.files import write_atomically
from trainer.observation import EpochRecord, Fidelity, Observation

FINE = Observation(
    base("efficientnet_b0").architecture(),
    Fidelity(3, 0.5),
    0,
    "ok",
    0.5,
    1.5,
    10,
    20,
    30,
    4.2,
    "cpu",
    {"torch": "2"},
    history=(EpochRecord(1, 3.0), EpochRecord(2, 2.0, 0.5, 1.5)),
    memory=40,
)


def test_an_observation_survives_its_json():
    assert Observation.from_json(FINE.to_json()) == FINE


def test_a_record_from_before_there_was_a_history_still_reads():
    document = json.loads(FINE.to_json())
    del document["history"], document["memory"]
    assert Observation.from_json(json.dumps(document)) == replace(FINE, history=(), memory=None)


@pytest.mark.parametrize(
    ("field", "value"),
    [("accuracy", None), *((name, float(value)) for name in ("accuracy", "loss") for value in ("nan", "inf"))],
)
def test_an_ok_observation_needs_finite_numbers(field, value):
    with pytest.raises(ValueError, match=f"needs a finite {field}"):
        replace(FINE, **{field: value})


def test_an_unknown_status_is_refused():
    with pytest.raises(ValueError, match="status 'fine' is unknown; known: ok, stopped, diverged"):
        replace(FINE, status="fine")


@pytest.mark.parametrize(
    "damage",
    [lambda d: d.pop("macs"), lambda d: d.update(extra=1), lambda d: d.clear(), lambda d: d["history"][0].pop("epoch")],
)
def test_a_damaged_record_is_refused(damage):
    document = json.loads(FINE.to_json())
    damage(document)
    with pytest.raises(ValueError, match="not an observation"):
        Observation.from_json(json.dumps(document))


def test_half_a_record_is_refused():
    with pytest.raises(ValueError):
        Observation.from_json(FINE.to_json()[:-20])


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "a.json"
    write_atomically(path, "old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, "new")
    assert path.read_text() == "old" and list(path.parent.iterdir()) == [path]
