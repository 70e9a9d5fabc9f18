"""Efficient MACs allocation against its definition, and against numbers that were counted by hand."""

import json
import math
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

from planner.compare.measuring import LookedUp
from planner.errors import PlannerError
from planner.searches.greedy import GreedyOptions, greedy, ladder_candidates, targets
from planner.searches.growth import by_resolution
from planner.tables.table import as_table
from sampler import base, stack
from sampler.complexity import architecture_complexity
from sampler.moves import column_names
from sampler.scaling import buildable

B0 = base("efficientnet_b0").architecture()
B0_MACS, B1_MACS = 385_814_752, 686_802_832
ROOT = __file__.rsplit("/tests/", 1)[0]


@cache
def macs_of(architecture, classes=1000):
    return architecture_complexity(architecture, classes).macs


def changed(values, stage, by):
    return (*values[:stage], values[stage] + by, *values[stage + 1 :])


def by_definition(parent, target, tolerance, literal=False, width_step=8, classes=1000):
    """Candidates of one parent, loop by loop as METHODS and the paper's Algorithms 1 and 2 have them."""
    found, start = set(), macs_of(parent, classes)
    one = parent
    while macs_of(one, classes) < target:
        one = replace(one, resolution=one.resolution + 8)
    if abs(macs_of(one, classes) - target) <= tolerance:
        found.add(one)
    for stage in range(len(parent.widths) if start < target else 0):
        for tenths in range(11):
            p, one = tenths / 10, parent
            share = p * target if literal else start + p * (target - start)
            while macs_of(one, classes) < share:
                one = replace(one, depths=changed(one.depths, stage, 1))
            if not literal and macs_of(one, classes) > target + tolerance:
                one = replace(one, depths=changed(one.depths, stage, -1))
            while macs_of(one, classes) < target:
                one = replace(one, widths=changed(one.widths, stage, width_step))
            if abs(macs_of(one, classes) - target) <= tolerance:
                found.add(one)
    return found - {parent}


def concave(architecture):
    """A made-up accuracy that favours deep middle stages and wide late ones, with diminishing returns."""
    depths = sum(
        weight * math.log(depth) for weight, depth in zip((1, 1, 2, 4, 3, 2, 1), architecture.depths, strict=True)
    )
    widths = sum(
        weight * math.log(width) for weight, width in zip((1, 1, 1, 2, 3, 4, 2), architecture.widths, strict=True)
    )
    return 1 - 1 / (1 + 0.02 * depths + 0.03 * widths + 0.5 * math.log(architecture.resolution))


def scorer_of(function, asked=None):
    def scorer(offered):
        if asked is not None:
            asked.extend(offered)
        return [function(one.architecture) for one in offered]

    return scorer


def grow(function, budget=B1_MACS, start=B0, rank=None, asked=None, **options):
    options = {"width_step": 8} | options
    return greedy(start, budget, scorer_of(function, asked), GreedyOptions(**options), 1000, lambda line: None, rank)


@pytest.fixture
def whole_hidden_channels(monkeypatch):
    """Counts hidden channels as expansion times width, where timm's blocks round them to multiples of 8."""
    monkeypatch.setattr("sampler.families.mbconv.rounded_to_8", lambda channels, ratio: (channels * ratio).astype(int))


def test_ladder_from_b0_to_b1_is_the_published_one():
    millions = [round(target / 1e6, 1) for target in targets(B0_MACS, B1_MACS, 3)]
    assert millions == [467.6, 566.7, 686.8]
    millions = [round(target / 1e6, 1) for target in targets(B0_MACS, B1_MACS, 6)]
    assert millions == [424.7, 467.6, 514.8, 566.7, 623.9, 686.8]
    assert targets(B0_MACS, B1_MACS, 7)[-1] == B1_MACS


@pytest.mark.parametrize(
    ("reading", "iterations", "distinct", "deeper"),
    [
        ("literal", 6, 9, 2),
        ("literal", 3, 14, 8),
        ("literal", 10, 10, 3),
        ("increment", 6, 18, 11),
        ("increment", 3, 26, 20),
        ("increment", 10, 14, 7),
    ],
)
def test_first_iteration_to_b1_has_as_many_candidates_as_methods_counts(
    whole_hidden_channels, reading, iterations, distinct, deeper
):
    target = targets(B0_MACS, B1_MACS, iterations)[0]
    found = ladder_candidates([B0], target, B1_MACS, GreedyOptions(iterations, reading=reading), 1000)
    assert len({one.architecture for one in found}) == len(found) == distinct
    assert sum(one.architecture.depths != B0.depths for one in found) == deeper


@pytest.mark.parametrize(
    ("reading", "iterations", "distinct", "deeper"),
    [
        ("literal", 6, 9, 2),
        ("literal", 3, 15, 8),
        ("literal", 10, 10, 3),
        ("increment", 6, 20, 13),
        ("increment", 3, 26, 19),
        ("increment", 10, 14, 7),
    ],
)
def test_rounded_hidden_channels_move_a_candidate_or_two_across_the_tolerance(reading, iterations, distinct, deeper):
    target = targets(B0_MACS, B1_MACS, iterations)[0]
    found = ladder_candidates([B0], target, B1_MACS, GreedyOptions(iterations, reading=reading), 1000)
    assert (len(found), sum(one.architecture.depths != B0.depths for one in found)) == (distinct, deeper)
    expected = by_definition(B0, target, 0.01 * B1_MACS, reading == "literal", width_step=2)
    assert {one.architecture for one in found} == expected


@pytest.mark.parametrize(("iterations", "adding"), [(6, {1.0}), (10, {1.0}), (3, {0.9, 1.0})])
def test_literal_reading_adds_blocks_for_the_largest_shares_only(iterations, adding):
    target = targets(B0_MACS, B1_MACS, iterations)[0]
    found = set()
    for p in (tenths / 10 for tenths in range(11)):
        options = GreedyOptions(iterations, reading="literal", ratios=(p,))
        if any(one.architecture.depths != B0.depths for one in ladder_candidates([B0], target, B1_MACS, options, 1000)):
            found.add(p)
    assert found == adding


@pytest.mark.parametrize(
    ("to", "hits"),
    [
        ("efficientnet_b1", {5: 0, 10: 2, 20: 4}),
        ("efficientnet_b2", {5: 0, 10: 1, 20: 6}),
        ("efficientnet_b4", {5: 4, 10: 8, 20: 14}),
    ],
)
def test_resolution_alone_hits_as_few_targets_as_methods_counts(to, hits):
    budget = macs_of(base(to).architecture())
    growth, rows = GreedyOptions().growth(B0, 1000), stack([B0]).integers()
    for iterations, expected in hits.items():
        options, ladder = GreedyOptions(iterations), targets(B0_MACS, budget, iterations)
        made = [by_resolution(growth, rows, target)[0].macs[0] for target in ladder]
        met = [abs(macs - target) <= options.slack(target, budget) for macs, target in zip(made, ladder, strict=True)]
        assert sum(met) == expected


@pytest.mark.parametrize("literal", [False, True])
@pytest.mark.parametrize("name", ["efficientnet_b0", "resnet18", "ghostnet_100"])
def test_candidates_are_those_of_the_definition(name, literal):
    start = base(name).architecture()
    deeper = replace(start, depths=changed(start.depths, 2, 1))
    lowest = macs_of(start, 10)
    options = GreedyOptions(reading="literal" if literal else "increment", width_step=8)
    target, budget = 1.3 * lowest, 1.4 * lowest
    found = ladder_candidates([start, deeper], target, budget, options, 10)
    tolerance = 0.01 * budget
    expected = [by_definition(one, target, tolerance, literal, 8, 10) for one in (start, deeper)]
    assert {one.architecture for one in found} == set.union(*expected) - {start, deeper}
    assert len(found) == len({one.architecture for one in found})
    for one in found:  # what both grow into is the last one's
        assert one.parent == (deeper if one.architecture in expected[1] else start)


def test_stem_and_head_stay_and_one_stage_or_the_resolution_changes():
    found = ladder_candidates([B0], macs_of(replace(B0, resolution=240)), B1_MACS, GreedyOptions(), 1000)
    assert any(one.architecture.resolution > 224 for one in found)
    for one in found:
        new = one.architecture
        assert (new.stem, new.head) == (32, 1280)
        stages = {k for k in range(7) if (new.widths[k], new.depths[k]) != (B0.widths[k], B0.depths[k])}
        assert len(stages) + (new.resolution != 224) == 1
        words = f"resolution +{new.resolution - 224} px" if not stages else f"stage {min(stages) + 1} +"
        assert one.label.startswith(words)


def test_every_winner_is_the_best_of_all_candidates_of_all_earlier_networks():
    found = grow(concave, iterations=2)
    parents = [B0]
    for step, target in zip(found.steps, targets(B0_MACS, B1_MACS, 2), strict=True):
        offered = set.union(*(by_definition(one, target, 0.01 * B1_MACS) for one in parents)) - set(parents)
        best = max(offered, key=concave)
        assert (step.architecture, step.accuracy, step.macs) == (best, concave(best), macs_of(best))
        assert (step.candidates, step.scored) == (len(offered), len(offered))
        parents.append(best)
    assert found.architecture == parents[-1]


def test_stages_of_one_spatial_size_move_together():
    options = GreedyOptions(width_step=8, parts="size")
    together = ((0,), (1,), (2,), (3, 4), (5, 6))  # B0's are of 112, 56, 28, 14 and 7 px
    made = [one.architecture for one in ladder_candidates([B0], B1_MACS, B1_MACS, options, 1000)]
    found = set()
    for one in made:
        deeper = [a - b for a, b in zip(one.depths, B0.depths, strict=True)]
        wider = [a - b for a, b in zip(one.widths, B0.widths, strict=True)]
        moved = tuple(k for k in range(7) if deeper[k] or wider[k])
        assert moved in {*together, ()} and len({(deeper[k], wider[k]) for k in moved}) <= 1
        assert abs(macs_of(one) - B1_MACS) <= 0.01 * B1_MACS
        found.add(moved)
    assert {(3, 4), (5, 6)} <= found


def test_stages_that_have_their_own_sizes_move_as_without_groups():
    start = base("resnet18").architecture()
    budget = 1.6 * macs_of(start)
    apart, together = (
        ladder_candidates([start], budget, budget, GreedyOptions(parts=parts), 1000) for parts in ("stage", "size")
    )
    assert apart == together and len(apart) > 4


def test_an_earlier_network_can_be_the_parent_of_a_winner():
    # Two moves alone are worth anything, and the second is worth it on the base network only.
    def either(architecture):
        wide, untouched = architecture.widths[3] > 80, architecture.widths[:3] == B0.widths[:3]
        if macs_of(architecture) < 480e6:
            return 0.5 + 0.1 * (architecture.widths[0] > 16)
        return 0.5 + 0.2 * (wide and untouched)

    found = grow(either, iterations=3)
    assert "stage 1" in found.steps[0].move
    assert "stage 4" in found.steps[1].move and found.steps[1].move.endswith("from the base network")
    assert found.steps[1].architecture.widths[0] == 16


def test_all_macs_go_to_the_one_width_that_pays():
    found = grow(lambda architecture: math.log(architecture.widths[3]) / 10, iterations=4, width_step=2)
    assert replace(found.architecture, widths=B0.widths) == B0
    assert [k for k in range(7) if found.architecture.widths[k] != B0.widths[k]] == [3]
    assert abs(macs_of(found.architecture) / B1_MACS - 1) <= 0.01


def test_the_base_network_is_scored_first_and_parents_before_their_children():
    asked = []
    found = grow(concave, iterations=2, asked=asked)
    assert (asked[0].architecture, asked[0].parent) == (B0, None)
    assert {one.parent for one in asked[1:]} == {B0, found.steps[0].architecture}
    seen = set()
    for one in asked:
        assert one.parent is None or one.parent in seen
        seen.add(one.architecture)


class Ageing:
    """A scorer of networks whose every fine-tune adds to a merit that is their own, as much as each other's."""

    def __init__(self, merit, each):
        self.merit, self.each = merit, each
        self.ages, self.asked = {}, []

    def __call__(self, offered):
        self.asked.append(offered)
        born = {one: 0 if one.parent is None else self.ages[one.parent] + 1 for one in offered}
        self.ages.update({one.architecture: age for one, age in born.items()})
        return [self.merit(one.architecture) + self.each * age for one, age in born.items()]


def aged(merit, each=0.05, **options):
    scorer = Ageing(merit, each)
    found = greedy(B0, B1_MACS, scorer, GreedyOptions(width_step=8, **options), 1000, lambda line: None)
    return found, scorer


def test_all_that_an_iteration_scores_have_the_same_age():
    found, scorer = aged(concave, iterations=3)
    ages = {}
    for iteration, offered in enumerate(scorer.asked):
        born = {one.architecture: ages[one.parent] + 1 if one.parent else 0 for one in offered}
        assert set(born.values()) == {iteration}
        ages |= born
    parents = [B0, *(step.architecture for step in found.steps)]
    for iteration, offered in enumerate(scorer.asked[1:], start=1):  # every parent is among them, unchanged
        assert [one.architecture for one in offered if one.parent == one.architecture] == parents[:iteration]


def test_without_controls_age_wins_and_with_them_merit_does():
    # As in the literal procedure's fault: of equal age, the children of the base network win in iteration 2.
    def merit(one):
        return 0.5 + 0.02 * (one.widths[:3] == B0.widths[:3] and macs_of(one) > 480e6)

    with_controls, _ = aged(merit, iterations=3)
    assert all(step.move.endswith("from the base network") for step in with_controls.steps[1:2])
    without, _ = aged(merit, iterations=3, controls=False, ratios=(0,))
    assert without.steps[1].move.endswith("from iteration 1's network") and without.gain is None
    assert {step.control for step in without.steps} == {None}


def test_growing_that_gains_nothing_over_the_control_is_said():
    found, _ = aged(lambda one: 0.3 if one == B0 else 0.25, iterations=2)
    assert [step.control for step in found.steps] == pytest.approx([0.35, 0.4])
    assert (found.gain.start, found.gain.control, found.gain.found) == pytest.approx((0.3, 0.4, 0.35))
    assert found.gain.over_control == pytest.approx(-0.05)
    said = "growing gained nothing: the start, unchanged and trained as long, goes from 0.3 to 0.4, the network found "
    assert said + "reaches 0.35" in found.notes
    assert any(note.startswith("iteration 2: growing gained nothing: 0.35, and the parent") for note in found.notes)


def test_what_growing_gains_is_told_apart_from_what_training_longer_gains():
    found, _ = aged(lambda one: 0.3 if one == B0 else 0.32, iterations=2)
    assert found.gain.over_control == pytest.approx(0.02)
    assert any(note.endswith("the network found reaches 0.42: growing itself gained 0.02") for note in found.notes)
    assert not any("nothing" in note for note in found.notes)


def test_a_control_without_a_score_is_said():
    def scorer(offered):
        return [None if one.parent == one.architecture else concave(one.architecture) for one in offered]

    found = greedy(B0, B1_MACS, scorer, GreedyOptions(iterations=1, width_step=8), 1000, lambda line: None)
    assert found.gain is None and "iteration 1: 1 of 1 controls had no score" in found.notes


def test_equal_scores_are_won_by_the_fewest_macs():
    found = grow(lambda architecture: 0.5, iterations=1)
    assert found.steps[0].macs == min(macs_of(one) for one in by_definition(B0, B1_MACS, 0.01 * B1_MACS))


@pytest.mark.parametrize("nothing", [None, math.nan])
def test_a_candidate_without_a_score_never_wins(nothing):
    best = grow(concave, iterations=1).architecture
    found = grow(lambda one: nothing if one == best else concave(one), iterations=1)
    others = by_definition(B0, B1_MACS, 0.01 * B1_MACS) - {best}
    assert found.architecture == max(others, key=concave)
    assert any("iteration 1: 1 of" in note for note in found.notes)


def test_an_iteration_without_any_score_is_an_error_that_says_what_to_do():
    with pytest.raises(PlannerError, match=r"none of the \d+ candidates of iteration 2 has a score; train them"):
        grow(lambda one: concave(one) if macs_of(one) < 550e6 else None, iterations=2)


@pytest.mark.parametrize("budget", [200e6, B0_MACS, math.nan])
def test_shrinking_is_refused(budget):
    with pytest.raises(PlannerError, match=r"only enlarges.*must exceed the base network's 385.8M"):
        grow(concave, budget=budget)


def test_a_perfect_ranking_finds_the_same_network_with_few_trainings():
    asked = []
    whole = grow(concave, iterations=3)
    found = grow(concave, iterations=3, shortlist=4, rank=lambda many: [concave(one) for one in many], asked=asked)
    assert found.architecture == whole.architecture
    assert [step.scored for step in found.steps] == [4, 4, 4]
    assert [step.candidates for step in found.steps] == [step.candidates for step in whole.steps]
    trained = len({one.architecture for one in asked[1:] if one.parent != one.architecture})
    assert trained <= 12 < sum(step.candidates for step in found.steps)
    note = next(note for note in found.notes if "trainings saved" in note)
    assert note.startswith(f"the ranking left {trained} of ")


def test_a_shortlist_holds_the_best_ranked_only():
    asked = []
    grow(concave, iterations=1, shortlist=3, rank=lambda many: [-concave(one) for one in many], asked=asked)
    worst = sorted(by_definition(B0, B1_MACS, 0.01 * B1_MACS), key=concave)[:3]
    assert {one.architecture for one in asked[1:]} == {*worst, B0}  # and the control


def test_where_nothing_is_within_the_tolerance_the_nearest_below_are_taken():
    found = grow(concave, iterations=4, tolerance=1e-6)
    for step, target in zip(found.steps, targets(B0_MACS, B1_MACS, 4), strict=True):
        assert 0.98 * target < step.macs < target
    assert all(before.macs < after.macs for before, after in zip(found.steps, found.steps[1:], strict=False))
    assert sum("took the nearest below" in note for note in found.notes) == 4


def test_the_nearest_below_are_as_near_as_a_doubled_tolerance():
    several = 0
    for target in np.linspace(430e6, 600e6, 12):
        offered = ladder_candidates([B0], target, B1_MACS, GreedyOptions(tolerance=1e-7), 1000)
        found = [macs_of(one.architecture) for one in offered]
        slack = 1e-7 * B1_MACS
        while target - slack > max(found):
            slack *= 2
        assert all(target - slack <= macs < target for macs in found)
        several += len(found) > 1
    assert several


def test_the_nearest_below_cost_more_than_every_parent():
    target, options = 467_587_880.0, GreedyOptions(tolerance=1e-7, width_step=64)
    best = max((one.architecture for one in ladder_candidates([B0], target, B1_MACS, options, 1000)), key=macs_of)
    others = [macs_of(one.architecture) for one in ladder_candidates([B0, best], target, B1_MACS, options, 1000)]
    assert all(macs_of(best) < macs < target for macs in others)


def test_resolution_takes_finer_steps_where_no_step_fits():
    coarse = GreedyOptions(1, tolerance=1e-3, resolution_step=64, width_step=1024, depth_step=60)
    budget = macs_of(replace(B0, resolution=240))
    found = greedy(B0, budget, scorer_of(concave), coarse, 1000, lambda line: None)
    assert found.architecture == replace(B0, resolution=240)
    assert any("finer steps of resolution" in note for note in found.notes)


def test_an_iteration_that_no_step_fits_is_an_error_that_says_what_to_do():
    with pytest.raises(PlannerError, match="iteration 1 has no candidate.*fewer iterations, a larger tolerance"):
        grow(concave, budget=B0_MACS * 1.001, iterations=1, tolerance=1e-6, width_step=64)


def test_widths_of_a_regnet_stay_buildable():
    network = base("regnety_008")
    start = network.architecture()
    found = grow(lambda one: 0.5 + 0.01 * math.log(sum(one.widths)), 1.5 * macs_of(start), start, iterations=3)
    assert found.architecture.widths != start.widths
    for step in found.steps:
        widths = np.array([step.architecture.widths])
        assert (buildable(network, widths) == widths).all()
        assert abs(step.macs - step.target) <= 0.01 * 1.5 * macs_of(start)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"iterations": 0}, "iterations must be at least 1"),
        ({"width_step": 0}, "width_step must be at least 1"),
        ({"tolerance": 0.0}, "tolerance must lie between 0 and 1"),
        ({"ratios": (0.5, 1.5)}, "ratios must be numbers from 0 to 1"),
        ({"reading": "loose"}, "reading is 'loose'; known: increment, literal"),
        ({"shortlist": 3}, "a shortlist needs a ranking"),
    ],
)
def test_impossible_options_are_refused(options, words):
    with pytest.raises(PlannerError, match=words):
        grow(concave, **options)


def test_large_base_networks_take_wider_steps():
    large = base("resnet50").architecture()
    assert GreedyOptions().growth(large, 1000).width_step == 4
    assert GreedyOptions().growth(B0, 1000).width_step == 2
    assert GreedyOptions(width_step=8).growth(B0, 1000).width_step == 8


def test_steps_are_rows_of_json():
    found = grow(concave, iterations=1)
    row = json.loads(json.dumps(found.steps[0].as_row(), allow_nan=False))
    assert row["macs"] == row["cost"] == macs_of(found.architecture)
    assert row["widths"] == list(found.architecture.widths)


# What a subprocess runs: every answer is in the file before the search hears of it.
RESUMED = """
import json, math, sys, time
from pathlib import Path
from planner.searches.greedy import GreedyOptions, greedy
from sampler import base

memo, result = Path(sys.argv[1]), Path(sys.argv[2])
known = {}
if memo.exists():
    whole = memo.read_text().rpartition("\\n")[0]  # a line that was cut is of no training
    memo.write_text(whole + "\\n" if whole else "")
    known = dict(map(json.loads, whole.splitlines()))

def scorer(offered):
    answers = []
    for one in offered:
        key = repr(one.architecture)
        if key not in known:
            time.sleep(0.002)
            a = one.architecture
            known[key] = sum(map(math.log, a.widths)) / 100 + sum(map(math.log, a.depths)) / 60 + a.resolution / 2000
            with memo.open("a") as file:
                file.write(json.dumps([key, known[key]]) + "\\n")
        answers.append(known[key])
    return answers

found = greedy(base("efficientnet_b0").architecture(), 686802832, scorer, GreedyOptions(4), 1000, lambda line: None)
result.write_text(json.dumps([step.as_row() for step in found.steps]))
"""


def test_a_search_killed_at_any_moment_ends_where_an_uninterrupted_one_does(tmp_path):
    script = tmp_path / "resumed.py"
    script.write_text(RESUMED)

    def started(name):
        arguments = [sys.executable, str(script), str(tmp_path / f"{name}.jsonl"), str(tmp_path / f"{name}.json")]
        return subprocess.Popen(arguments, env={"PYTHONPATH": ROOT, "OMP_NUM_THREADS": "1"})

    assert started("whole").wait(60) == 0
    lines = (tmp_path / "whole.jsonl").read_text().splitlines()
    memo, killed = tmp_path / "cut.jsonl", 0
    for wanted in sorted(random.Random(0).sample(range(1, len(lines) - 20), 3)):
        process = started("cut")
        while process.poll() is None and not (memo.exists() and memo.read_text().count("\n") >= wanted):
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        killed += process.wait(60) == -signal.SIGKILL
    assert killed == 3
    assert not (tmp_path / "cut.json").exists()
    assert started("cut").wait(60) == 0
    assert (tmp_path / "cut.json").read_bytes() == (tmp_path / "whole.json").read_bytes()
    assert memo.read_text().splitlines() == lines  # nothing was scored twice


def rows_of(architectures, accuracy=concave, **more):
    names = column_names(7)
    rows = [[one.resolution, one.stem, *one.widths, *one.depths, one.head] for one in architectures]
    frame = pd.DataFrame(rows, columns=list(names))
    frame["accuracy"], frame["macs"] = [accuracy(one) for one in architectures], [macs_of(one) for one in architectures]
    return frame.assign(base="efficientnet_b0", status="ok", **more)


def offered_of(*architectures):
    from planner.searches.scoring import Candidate

    return [Candidate(one) for one in architectures]


def table_scorer(frame):
    """A scorer that looks accuracies up as a comparison does, seeds averaged."""
    known = LookedUp(as_table(frame, "efficientnet_b0").every, "the table")

    def scored(candidates):
        found = known([one.architecture for one in candidates])
        scores = [[score.accuracy for score in found[one.architecture]] for one in candidates]
        return [float(np.mean(here)) if here else None for here in scores]

    return scored


def test_a_table_answers_for_the_very_integers_it_holds():
    wider = replace(B0, widths=changed(B0.widths, 2, 2))
    scorer = table_scorer(rows_of([B0, wider]))
    unknown = replace(B0, head=1288)
    assert scorer(offered_of(wider, unknown, B0)) == [concave(wider), None, concave(B0)]
    assert scorer([]) == []


def test_a_table_averages_seeds_and_leaves_out_what_failed():
    frame = pd.concat([rows_of([B0], {B0: score}.get, seed=seed) for seed, score in enumerate((0.5, 0.6, 0.1))])
    frame = frame.reset_index(drop=True)
    frame.loc[2, "status"] = "diverged"
    assert table_scorer(frame)(offered_of(B0)) == [pytest.approx(0.55)]


def test_a_table_without_stem_and_head_takes_the_candidates():
    scorer = table_scorer(rows_of([B0]).drop(columns=["stem", "head"]))
    assert scorer(offered_of(replace(B0, stem=40))) == [concave(B0)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda frame: frame.assign(base="efficientnet_b1"),
            "its column base says efficientnet_b1, not efficientnet_b0",
        ),
        (lambda frame: frame.assign(r=1.0, d=1.0).drop(columns="width_3"), "no column width_3"),
    ],
)
def test_a_table_that_cannot_be_looked_up_is_refused(change, words):
    with pytest.raises(PlannerError, match=words):
        table_scorer(change(rows_of([B0])))


def test_a_search_on_a_table_is_the_search_on_what_the_table_holds():
    asked = []
    expected = grow(concave, iterations=2, asked=asked)
    trained = list(dict.fromkeys(one.architecture for one in asked))
    scorer = table_scorer(rows_of(trained))
    assert greedy(B0, B1_MACS, scorer, GreedyOptions(2, width_step=8), 1000, lambda line: None) == expected
    best = expected.steps[0].architecture
    holes = table_scorer(rows_of([one for one in trained if one != best]))
    found = greedy(B0, B1_MACS, holes, GreedyOptions(2, width_step=8), 1000, lambda line: None)
    assert found.architecture != best
