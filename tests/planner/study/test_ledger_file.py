"""A study in which dimensions are held: every command works, and the formula holds them too."""

import json

import pytest

from planner.study.ledger import Ledger
from planner.study.settings import StudySettings, write_settings
from sampler import stratified_design


@pytest.mark.slow
def test_every_command_works_where_resolution_and_depth_are_held(run, train, tmp_path):
    folder = tmp_path / "results" / "s"
    folder.mkdir(parents=True)
    space = {"resolution": 64, "r": (1.0, 1.0), "d": (1.0, 1.0), "window": (0.02, 1.4)}
    settings = StudySettings.model_validate({"data": {"side": 90, "classes": 4}, "space": space})
    write_settings(folder / "study.toml", settings)
    ledger = Ledger(folder, settings)
    ledger.enqueue(stratified_design(ledger.space, 10, 0), "stratified")
    train(ledger)

    def done(*line):
        code, out, err = run(*line, "--study", "s")
        assert code == 0, (line, err)
        return out

    for line in (("front",), ("fit",), ("report",)):
        done(*line)
    answer = json.loads(done("predict", "--flops", "10M", "--json"))
    assert (answer["r"], answer["d"], answer["resolution"]) == (1.0, 1.0, 64)
    done("propose", "-n", "2", "--pool", "200")
    waiting = Ledger(folder, settings).pending()
    assert set(waiting.resolution.tolist()) == {64} and len({row.tobytes() for row in waiting.depths}) == 1
