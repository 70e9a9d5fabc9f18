"""Network Adjustment: its arithmetic, the pitfalls of its released code, and the search on networks in closed form."""

import json
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from planner.errors import PlannerError
from planner.searches.adjust import AdjustOptions, ProxyProbe, adjust, adjusted_count, rescaled, updated
from planner.searches.widths import width_vector
from sampler import LayeredArchitecture, architecture_complexity, base, scaled

CLASSES = 100
KINDS = ("resnet20_cifar", "efficientnet_b0", "mnasnet_100")
OPTIONS = AdjustOptions()


def vector_of(name, **options):
    return width_vector(base(name).architecture(), CLASSES, **options)


def per_channel(vector, widths):
    """MACs of one channel more of each unit."""
    rows = np.tile(widths, (len(widths), 1))
    for place, width in enumerate(widths):
        rows[place, place] = vector.stepped(place, width, 1)
    return (vector.macs_of(rows) - vector.macs(widths)) / (rows.diagonal() - widths)


class ClosedForm:
    """A network's loss is sum of a_i / c_i; a unit's utilisation is what a MAC's share of its channels is worth."""

    def __init__(self, vector, seed=0):
        self.vector, self.asked = vector, []
        self.weights = np.random.default_rng(seed).uniform(0.2, 3.0, len(vector.initial)) * np.array(vector.initial)
        self.weights /= self.weights.sum()

    def loss(self, widths):
        return float((self.weights / np.array(widths)).sum())

    def __call__(self, widths, label):
        self.asked.append((widths, label))
        per_mac = self.weights / np.array(widths) ** 2 / np.maximum(per_channel(self.vector, widths), 1)
        return ProxyProbe(1 - self.loss(widths), tuple(per_mac.tolist()))


# --- the arithmetic ---


def test_the_number_of_units_adjusted_is_that_of_the_released_code():
    assert [adjusted_count(6, 0.5, t) for t in range(10)] == [6, 6, 5, 4, 4, 4, 3, 2, 2, 2]
    assert [adjusted_count(1, 1.0, t) for t in range(4)] == [1, 0, 0, 0]


def test_steps_are_shares_of_the_initial_widths_and_fall_with_the_rank():
    vector = vector_of("resnet20_cifar")
    now = tuple(width + 4 for width in vector.initial)
    utilisation = list(range(18, 0, -1))  # the first six units are wider, the last six narrower
    after = updated(vector, now, utilisation, 0, OPTIONS)
    shares = [0.15, 0.14, 0.13, 0.12, 0.11, 0.10]
    assert after[:6] == tuple(round(20 + share * 16) for share in shares)
    assert after[6:12] == now[6:12]
    assert after[12:] == tuple(round(68 - share * 64) for share in reversed(shares))


def test_later_adjustments_move_fewer_units():
    vector = vector_of("resnet20_cifar")
    for t in range(12):
        after = updated(vector, vector.initial, range(18), t, OPTIONS)
        moved = np.sign(np.subtract(after, vector.initial))
        assert (moved > 0).sum() == (moved < 0).sum() == adjusted_count(6, 0.5, t)


def test_no_units_to_adjust_change_nothing():
    vector = vector_of("resnet20_cifar")
    assert updated(vector, vector.initial, range(18), 0, replace(OPTIONS, update=0)) == vector.initial
    assert updated(vector, vector.initial, range(18), 12, OPTIONS) == vector.initial


@pytest.mark.parametrize("update", [4, 5, 7, 50])
def test_no_unit_is_both_wider_and_narrower_when_there_are_fewer_than_two_groups_of_units(update):
    vector = vector_of("efficientnet_b0")
    for seed in range(20):
        utilisation = np.random.default_rng(seed).permutation(7)
        after = updated(vector, vector.initial, utilisation, 0, replace(OPTIONS, update=update))
        moved = np.sign(np.subtract(after, vector.initial))
        assert moved.tolist() == [int(np.sign(rank - 3)) for rank in utilisation]


def test_no_unit_becomes_narrower_than_the_fewest_channels():
    vector = width_vector(LayeredArchitecture.of(base("resnet20_cifar"), [5] * 18), CLASSES, smallest=4)
    after = updated(vector, vector.initial, range(18), 0, replace(OPTIONS, rate=0.9))
    assert min(after) == 4


def test_a_rank_decay_beyond_the_rate_never_turns_a_step_around():
    vector = vector_of("resnet20_cifar")
    after = updated(vector, vector.initial, range(18), 0, replace(OPTIONS, update=9, rate_decay=0.05))
    moved = np.subtract(after, vector.initial)
    assert (moved[:9] <= 0).all() and (moved[9:] >= 0).all()
    assert (moved != 0).sum() == 6  # of ranks 0, 1 and 2


def test_a_step_that_rounding_would_undo_goes_to_the_next_width():
    vector = vector_of("mnasnet_100", divisor=8)
    assert vector.initial[0] == 16 and 16 * 1.15 < 20
    after = updated(vector, vector.initial, [9, 0, 1, 2, 3, 4, 5], 0, replace(OPTIONS, update=1))
    assert after[0] == 24 and after[1] == 16


def test_widths_are_rounded_as_python_rounds():
    vector = vector_of("resnet20_cifar")
    numbers = [10.5, 11.5, 12.49, 12.51, 3.2, *range(20, 33)]
    assert vector.nearest(numbers) == (10, 12, 12, 13, 4, *range(20, 33))
    coarse = vector_of("mnasnet_100", divisor=8)
    assert coarse.nearest([20, 28, 35, 37, 43.9, 1, 100_000])[:6] == (16, 32, 32, 40, 40, 8)


# --- back to the budget ---


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("factor", [0.3, 0.9, 0.995, 1.005, 1.3, 2.5])
def test_one_multiplier_brings_the_macs_to_the_budget(name, factor):
    vector = vector_of(name)
    budget = round(factor * vector.macs(vector.initial))
    found = rescaled(vector, vector.initial, budget, OPTIONS)
    assert abs(vector.macs(found) / budget - 1) <= 0.01
    assert architecture_complexity(vector.architecture_of(found), CLASSES).macs == vector.macs(found)
    if abs(factor - 1) < 0.01:
        assert found == vector.initial
    else:
        uniform = [vector.nearest(np.array(vector.initial) * one) for one in np.geomspace(0.3, 3, 2_001)]
        # Layers that were equal become wider at once: where that is too coarse, some are a channel wider than others.
        assert np.abs(np.array(uniform) - found).max(axis=1).min() <= 1


def test_coarse_widths_reach_the_budget_where_one_multiplier_does_not():
    vector = vector_of("efficientnet_b0", divisor=8)
    scaled_by = [vector.nearest(np.array(vector.initial) * one) for one in np.geomspace(0.3, 3, 5_001)]
    macs = vector.macs_of(np.unique(scaled_by, axis=0))
    gap = int(np.argmax(macs[np.argsort(macs)][1:] / macs[np.argsort(macs)][:-1]))
    budget = int(np.sort(macs)[gap : gap + 2].mean())
    assert (np.abs(macs / budget - 1) > 0.01).all()
    found = rescaled(vector, vector.initial, budget, OPTIONS)
    assert abs(vector.macs(found) / budget - 1) <= 0.01 and not np.remainder(found, 8).any()


def test_a_budget_that_no_widths_have_is_refused():
    vector = vector_of("resnet20_cifar")
    with pytest.raises(PlannerError, match="a budget of 1,000 MACs is outside of what can be built"):
        rescaled(vector, vector.initial, 1000, OPTIONS)


# --- the search ---


@pytest.mark.parametrize("name", KINDS)
def test_channels_move_to_where_they_are_worth_most_and_every_network_meets_the_budget(name):
    vector = vector_of(name)
    probe = ClosedForm(vector)
    found = adjust(vector, probe)
    budget = architecture_complexity(base(name).architecture(), CLASSES).macs
    assert len(found.steps) == len(probe.asked) == 11
    assert [step.iteration for step in found.steps] == list(range(1, 12))
    for step, (widths, label) in zip(found.steps, probe.asked, strict=True):
        assert step.architecture == vector.architecture_of(widths) and label == f"iteration {step.iteration}"
        assert step.macs == architecture_complexity(step.architecture, CLASSES).macs
        assert abs(step.macs / budget - 1) <= 0.01 and step.target == budget and step.cost == step.macs
    accuracies = [step.accuracy for step in found.steps]
    assert found.architecture == found.steps[int(np.argmax(accuracies))].architecture
    assert 1 - max(accuracies) < 0.95 * (1 - accuracies[0])
    json.dumps([step.as_row() for step in found.steps], allow_nan=False)


def test_widths_are_per_layer_where_the_family_can_build_it_and_per_stage_elsewhere():
    per_layer, per_stage = (vector_of(name) for name in ("resnet20_cifar", "mnasnet_100"))
    assert isinstance(per_layer.architecture_of(per_layer.initial), LayeredArchitecture)
    assert per_layer.names[0] == "layer1.0.conv1" and per_layer.names[-1] == "layer3.2.conv2"
    assert per_stage.names == tuple(f"stage{number}" for number in range(1, 8))
    assert per_stage.architecture_of(per_stage.initial) == base("mnasnet_100").architecture()
    deeper = scaled("resnet20_cifar", depths=(3, 4, 3))
    assert width_vector(deeper, CLASSES).architecture_of((16, 32, 64)) == deeper


@pytest.mark.parametrize("name", ["regnety_002", "ghostnet_100", "convnext_atto", "resnet50"])
def test_every_family_can_be_adjusted_by_the_stage(name):
    found = adjust(vector_of(name), ClosedForm(vector_of(name)), AdjustOptions(iterations=3))
    assert all(abs(step.macs / found.steps[0].macs - 1) <= 0.01 for step in found.steps)
    assert len({step.architecture for step in found.steps}) == 4


def test_the_network_of_the_last_adjustment_is_trained_and_may_win():
    vector = vector_of("efficientnet_b0")
    found = adjust(vector, lambda widths, label: ProxyProbe(int(label.split()[1]) / 100, tuple(range(7))))
    assert found.steps[-1].accuracy == 0.11 and found.architecture == found.steps[-1].architecture


def test_of_equally_accurate_networks_the_earliest_is_kept():
    vector = vector_of("efficientnet_b0")
    found = adjust(vector, lambda widths, label: ProxyProbe(0.5, tuple(range(7))))
    assert found.architecture == vector.architecture_of(vector.initial)


def test_steps_and_budget_are_those_of_the_network_given_and_not_of_the_base():
    given = scaled("efficientnet_b0", width=0.5)
    vector = width_vector(given, CLASSES)
    found = adjust(vector, ClosedForm(vector), AdjustOptions(iterations=2))
    macs = architecture_complexity(given, CLASSES).macs
    assert found.steps[0].architecture == given
    assert all(step.target == macs and abs(step.macs / macs - 1) <= 0.01 for step in found.steps)
    after = updated(vector, vector.initial, range(7), 0, OPTIONS)
    assert after[-1] - vector.initial[-1] == round(0.15 * given.widths[-1])


def test_a_budget_is_met_from_the_first_network_on():
    vector = width_vector(scaled("resnet20_cifar", width=0.75, rule="free"), CLASSES)
    assert set(vector.initial) == {12, 24, 48}
    budget = 22_700_000  # of the paper's ResNet-20 at 0.75 of the width, in Table 1
    found = adjust(vector, ClosedForm(vector), AdjustOptions(iterations=2), budget=budget)
    assert all(abs(step.macs / budget - 1) <= 0.01 and step.target == budget for step in found.steps)
    assert np.abs(np.subtract(found.steps[0].architecture.layers, vector.initial)).max() <= 1


@pytest.mark.parametrize("seeds", [1, 3])
def test_how_sure_the_choice_is_stands_beside_it(seeds):
    vector = vector_of("resnet20_cifar")
    inner = ClosedForm(vector)

    def probe(widths, label):
        probed = inner(widths, label)
        place = len(inner.asked) - 1
        each = tuple(0.5 + 0.01 * place + 0.001 * seed * place for seed in range(seeds))
        return replace(probed, accuracy=sum(each) / seeds, each=each)

    found = adjust(vector, probe, replace(OPTIONS, iterations=2))
    if seeds == 1:
        assert found.notes[-1].startswith("chosen as the best of 3 single trainings")
    else:  # gains of 2, 2.2 and 2.4 points
        assert "+2.20 points, standard error 0.12 over 3 seeds; flattered, as the best of 3" in found.notes[-1]


def test_a_diverged_training_ends_the_search_with_the_best_so_far():
    vector = vector_of("efficientnet_b0")
    form = ClosedForm(vector)

    def probe(widths, label):
        return ProxyProbe(None) if label == "iteration 4" else form(widths, label)

    found = adjust(vector, probe)
    assert len(found.steps) == 4 and found.steps[-1].accuracy is None and found.steps[-1].scored == 0
    assert found.architecture in [step.architecture for step in found.steps[:3]]
    assert "iteration 4: its training diverged" in found.notes[-1]


def test_a_first_training_that_diverged_is_refused_in_words():
    with pytest.raises(PlannerError, match="the initial network's training diverged; lower the recipe's learning"):
        adjust(vector_of("efficientnet_b0"), lambda widths, label: ProxyProbe(None))


def test_a_utilisation_that_is_not_a_number_ends_the_search():
    found = adjust(vector_of("efficientnet_b0"), lambda widths, label: ProxyProbe(0.4, (float("nan"),) * 7))
    assert len(found.steps) == 1 and "not a number" in found.notes[0]


def test_units_whose_drop_rate_was_capped_are_reported():
    vector, lines = vector_of("efficientnet_b0"), []
    found = adjust(
        vector, lambda *_: ProxyProbe(0.5, tuple(range(7)), ("stage1",)), AdjustOptions(iterations=1), lines.append
    )
    assert found.notes[0] == "iteration 1: drop rate capped at 0.5, utilisation too low: stage1"
    assert found.notes[0] in lines


def test_a_search_with_nothing_to_adjust_ends():
    vector = vector_of("efficientnet_b0")
    found = adjust(vector, ClosedForm(vector), replace(OPTIONS, update=1, decay=1.0))
    assert len(found.steps) == 2 and "changes nothing" in found.notes[-1]


@pytest.mark.parametrize(
    ("name", "value"), [("iterations", 0), ("rate", 0), ("cap", 1.0), ("times", 1), ("padding", "both"), ("update", -1)]
)
def test_impossible_numbers_are_refused(name, value):
    with pytest.raises(PlannerError, match=f"^{name}="):
        replace(OPTIONS, **{name: value})


# --- killed and started anew ---

SEARCH = """
import json, sys, time
from pathlib import Path
import numpy as np
from planner.searches.adjust import ProxyProbe, adjust
from planner.searches.widths import width_vector
from sampler import base

log, result, pause = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
vector = width_vector(base("resnet20_cifar").architecture(), 100)
lines = log.read_text().split("\\n")[:-1] if log.exists() else []
log.write_text("".join(line + "\\n" for line in lines))
known = {tuple(one["widths"]): one for one in map(json.loads, lines)}

def probe(widths, label):
    if widths not in known:
        time.sleep(pause)
        numbers = np.random.default_rng(widths).uniform(size=1 + len(widths)).tolist()
        known[widths] = {"widths": widths, "accuracy": numbers[0], "increases": numbers[1:]}
        with log.open("a") as file:
            file.write(json.dumps(known[widths]) + "\\n")
    return ProxyProbe(known[widths]["accuracy"], tuple(known[widths]["increases"]))

found = adjust(vector, probe)
result.write_text(json.dumps([found.architecture.layers, found.notes, [one.as_row() for one in found.steps]]))
"""


def test_a_search_that_is_killed_at_any_moment_ends_like_one_that_is_not(tmp_path):
    def start(name, pause):
        files = [str(tmp_path / f"{name}.{kind}") for kind in ("jsonl", "json")]
        return subprocess.Popen([sys.executable, "-c", SEARCH, *files, str(pause)], cwd=Path(__file__).parents[3])

    assert start("whole", 0).wait() == 0
    draw, progress = random.Random(0), []
    for kill in range(5):
        process, log = start("killed", pause=0.1), tmp_path / "killed.jsonl"
        deadline = time.monotonic() + 20
        while process.poll() is None and time.monotonic() < deadline:
            done = log.read_text().count("\n") if log.exists() else 0
            if done >= min(2 * kill, 8):
                break
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 0.15))
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        progress.append(log.read_text().count("\n") if log.exists() else 0)
    assert 0 < progress[-1] < 11 and progress == sorted(progress)
    assert start("killed", 0).wait() == 0
    assert (tmp_path / "killed.json").read_text() == (tmp_path / "whole.json").read_text()
