"""Networks with group widths of their own: a study keeps and reads them, and none passes for a point of its space."""

import json

import pytest

from planner import PlannerError
from planner.exports.given import given, read_given
from planner.rules import by_factor
from planner.study.ledger import Ledger
from planner.study.settings import StudySettings
from planner.study.trials import trained, trials_frame
from planner.tables.table import ASKS
from sampler import architecture_complexity, base
from sampler.complexity import count

SETTINGS = {
    "base": "regnetx_002",
    "data": {"source": "fractal", "side": 64, "classes": 4},
    "space": {"resolution": 64},
    "fidelity": {"epochs": 1},
}


@pytest.fixture
def wider():
    """Fast scaling's network at five times the MACs: its groups are not the base network's."""
    network = by_factor("fast", "regnetx_002", 5, resolution=64, classes=4).architecture
    assert network.knob("group_width") == (16,) * 4
    return network


def test_a_study_gives_a_network_with_group_widths_back_and_does_not_take_it_for_its_own(tmp_path, wider):
    ledger = Ledger(tmp_path, StudySettings.model_validate(SETTINGS))
    plain = base("regnetx_002").architecture()
    with ledger.coordinating():
        for network in (plain, wider):
            ledger.ask_for(network, "compare", {})
    again = Ledger(tmp_path, StudySettings.model_validate(SETTINGS))
    assert [again.architecture(number) for number in (0, 1)] == [plain, wider]
    assert again.macs_of(1) == architecture_complexity(wider, 4).macs
    assert list(again.tried()) == [plain]  # the other is no point of the study's space
    assert len(again.pending()) == 2 and (count(again.pending(), 4).macs > 0).all()


def test_a_trained_network_with_group_widths_is_no_row_that_a_formula_is_fitted_to(tmp_path, wider):
    ledger = Ledger(tmp_path, StudySettings.model_validate(SETTINGS))
    with ledger.coordinating():
        for network in (base("regnetx_002").architecture(), wider):
            ledger.ask_for(network, "compare", {})
    frame = trials_frame(ledger._trials(), ledger.settings)
    assert frame[ASKS].isna().tolist() == [True, False] and frame[ASKS][1] == "group_width=16,16,16,16"
    assert len(trained(frame.assign(status="ok"))) == 1


def test_a_file_gives_a_network_with_group_widths_back(tmp_path, wider):
    document = json.loads(json.dumps(by_factor("fast", "regnetx_002", 5, resolution=64, classes=4).as_dict()))
    path = tmp_path / "network.json"
    path.write_text(json.dumps(document))
    assert read_given(path).architecture == wider
    assert read_given(path).macs == document["macs"]
    for wrong, message in (
        ([16], "knobs is .*; an object of whole numbers by name is wanted"),
        ({"group_width": [16, 16]}, "knob group_width has 2 values"),
        ({"heads": [2]}, "regnetx_002 has no knob 'heads'; its knobs: group_width"),
    ):
        with pytest.raises(PlannerError, match=message):
            given({**document, "knobs": wrong})
