"""The code on the page for contributors runs, and what its tables name is there."""

import re
from importlib import import_module
from pathlib import Path

import pytest

from planner.proposers.registry import PROPOSERS
from planner.training.conformance import check_listener
from planner.training.progress import LISTENERS

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def names(monkeypatch, tmp_path):
    """Names of the blocks that a test runs, in an empty folder; what they register is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    with PROPOSERS.temporarily("none", len), LISTENERS.temporarily("none", len):
        yield {"__name__": "__main__"}


def test_the_trainer_of_the_page_does_a_study_on_real_digits(names):
    exec(BLOCKS[0], names)
    study = names["study"]
    assert len(study.table()) == 8
    assert study.table()["accuracy"].max() > 0.8 and len(study.front()) >= 1


def test_the_proposer_and_the_listener_of_the_page_keep_to_their_protocols(names, capsys, tmp_path):
    exec(BLOCKS[1], names)
    assert {"cheapest", "shout"} <= {*PROPOSERS, *LISTENERS}
    check_listener(LISTENERS["shout"](tmp_path))
    assert "TRIAL 0 ok" in capsys.readouterr().out


def test_every_check_and_module_that_the_page_names_is_there():
    for name in re.findall(r"`((?:planner|trainer|sampler)(?:\.\w+)+)`", PAGE):
        module, _, last = name.rpartition(".")
        found = import_module(name) if not last.startswith("check_") else getattr(import_module(module), last)
        assert found


def test_every_entry_point_group_is_one_that_is_read():
    groups = set(re.findall(r"`(scaling_planner\.\w+)`", PAGE))
    sources = "".join(
        file.read_text() for package in ("sampler", "trainer", "planner") for file in (ROOT / package).rglob("*.py")
    )
    assert groups == {f"scaling_planner.{name}" for name in re.findall(r'"scaling_planner\.(\w+)"', sources)}
