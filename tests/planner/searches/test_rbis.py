"""RBIS: its increments against the thesis, its search against enumeration, kills, and Zen-score in accuracy's place."""

import itertools
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from planner.errors import InputError, PlannerError
from planner.latency.departure import Departure
from planner.latency.model import LatencyModel
from planner.searches.increments import HEAD, Increments, in_words, notation
from planner.searches.rbis import RbisOptions, rbis
from planner.searches.scoring import Candidate
from planner.searches.sizes import resolutions, sizes_above
from planner.searches.zen import ZenScorer
from sampler import Architecture, base, stack
from sampler.complexity import count

B0 = base("efficientnet_b0").architecture()
THESIS = RbisOptions(divisor=4)
# Table 5.1, EfficientNet-B0 scaled by RBIS at 256 px.
TABLE_5_1 = Architecture("efficientnet_b0", 256, 32, (16, 24, 40, 104, 112, 192, 384), (1, 2, 2, 5, 3, 7, 1), 1408)


def macs(architectures):
    return count(architectures).macs


def macs_of(one):
    return int(macs(stack([one]))[0])


def answer(candidates, accuracy):
    return [accuracy(one.architecture) for one in candidates]


def saturating(seed):
    """A closed-form accuracy: each stage's log width and log depth counts with a weight of its own."""
    weights = np.random.default_rng(seed).uniform(0.01, 1, 16)

    def accuracy(one):
        logs = np.log([*one.widths, *one.depths, one.head, one.resolution])
        return 1 - 3 / float(weights @ logs)

    return accuracy


# Increments


def test_two_picks_among_five_stages_are_fifteen_combinations():
    five = Increments(B0, RbisOptions(stages=(3, 4, 5, 6, 7), divisor=4))
    assert len(five.candidates(B0, "width", 2)) == 15
    assert len(five.candidates(B0, "depth", 2)) == 15
    assert len(five.candidates(B0, "depth", 1)) == 5


def test_by_default_the_last_five_move_and_the_head_has_no_depth():
    assert THESIS.movers(base("efficientnet_b0")) == (4, 5, 6, 7, HEAD)
    assert THESIS.movers(base("resnet18")) == (1, 2, 3, 4)
    moves = Increments(B0, THESIS)
    assert len(moves.candidates(B0, "width", 2)) == 15
    assert len(moves.candidates(B0, "depth", 2)) == 10


def test_the_picks_that_the_thesis_made_give_its_table_exactly():
    moves = Increments(B0, THESIS)
    one = replace(B0, resolution=256)
    turns = [("width", (4, 7)), ("depth", (4, 6)), ("width", (4, 7)), ("depth", (4, 6)), ("width", (4, HEAD))]
    for kind, combination in [*turns, ("depth", (6,))]:
        one = moves.after(one, kind, combination)
    assert one == TABLE_5_1


@pytest.mark.parametrize(
    ("reading", "divisor", "widths"),
    [
        ("of_base", 4, [320, 352, 384, 416]),
        ("of_base", 8, [80, 88, 96, 104, 112]),
        ("compounding", 4, [320, 352, 388]),
        ("compounding", 8, [320, 352, 384]),
        ("compounding", 8, [80, 88, 96, 104]),
        ("of_base", 4, [24, 28]),
        ("of_base", 4, [1280, 1408]),
        ("of_base", 8, [24, 24]),  # 26.4
        ("of_base", 4, [16, 16]),  # 17.6
        ("of_base", 8, [16, 16]),
        ("of_base", 8, [40, 48]),  # 44, halfway
    ],
)
def test_widths_grow_by_a_tenth_to_the_nearest_multiple(reading, divisor, widths):
    moves = Increments(B0, RbisOptions(width_reading=reading, divisor=divisor))
    for before, after in itertools.pairwise(widths):
        assert moves.grown(before, widths[0]) == after


def test_a_width_that_is_no_multiple_never_shrinks():
    assert Increments(B0, RbisOptions(divisor=8)).grown(17, 17) == 17


def test_a_move_that_changes_nothing_is_no_candidate_not_even_beside_one_that_does():
    # At multiples of 4, 16 channels stay, 24 become 28 and 80 become 88.
    moves = Increments(B0, RbisOptions(stages=(1, 2, 4), divisor=4))
    widths = [one.widths[:4] for one in moves.candidates(B0, "width", 2)]
    assert widths == [(16, 32, 40, 80), (16, 28, 40, 88), (16, 24, 40, 96)]
    assert moves.idle(B0) == {1: 16}
    assert len(moves.candidates(B0, "depth", 2)) == 6
    assert Increments(B0, RbisOptions(stages=(1, 2), divisor=8)).candidates(B0, "width", 2) == {}


def test_a_family_that_cannot_build_a_width_grows_to_the_nearest_or_not_at_all():
    # Groups of 48 channels: 10 % more than 96 and 192 round back, 432 become 480 and 1008 become 1104.
    start = base("regnetx_032").architecture()
    moves = Increments(start, RbisOptions())
    assert [one.widths for one in moves.candidates(start, "width", 1)] == [(96, 192, 480, 1008), (96, 192, 432, 1104)]
    assert moves.idle(start) == {1: 96, 2: 192}


def test_the_divisor_is_the_scaling_rules_unless_given():
    assert Increments(B0, RbisOptions()).divisor == 8
    assert Increments(base("ghostnet_100").architecture(), RbisOptions()).divisor == 4


def test_picks_are_written_as_in_the_thesis():
    assert notation((3, 3, 4, 4), (4, 5, 5, 5)) == "width[3344] depth[4555]"
    assert notation((HEAD, 4, 7), ()) == "width[47h] depth[]"
    assert notation((12, 3), (12, 12)) == "width[3,12] depth[12,12]"
    assert in_words("width", (4, HEAD)) == "width of stage 4 and head"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"picks": 0}, "picks must be at least 1, got 0"),
        ({"keep": 0}, "keep must be at least 1"),
        ({"divisor": 0}, "divisor must be at least 1"),
        ({"width_growth": 10.0}, "0.1 is 10 %"),
        ({"width_reading": "both"}, "known: of_base, compounding"),
    ],
)
def test_impossible_options_are_refused(wrong, words):
    with pytest.raises(PlannerError, match=words):
        RbisOptions(**wrong)


@pytest.mark.parametrize("stages", [(), (8,), (0,), (4, 4)])
def test_stages_that_there_are_not_are_refused(stages):
    with pytest.raises(PlannerError, match="give some of 1, 2, 3, 4, 5, 6, 7, head for efficientnet_b0, each once"):
        rbis(B0, 1e9, macs, None, [224], RbisOptions(stages=stages))


# Step 1


def test_the_resolutions_of_the_thesis_are_those_before_a_jump_of_the_macs():
    assert resolutions(B0, 224, 304) == [240, 256, 272, 288]
    assert resolutions(B0, 224, 304, macs) == [240, 256, 272, 288]


def test_neighbours_are_the_grids():
    assert resolutions(B0, 236, 264, neighbours=True) == [236, 240, 244, 252, 256, 260]
    assert resolutions(B0, 224, 272, macs, neighbours=True) == [236, 240, 244, 252, 256, 260]


def test_by_default_the_first_four_above_the_start_are_taken_not_those_below_it():
    assert sizes_above(B0, 314) == [240, 256, 272, 288]
    assert sizes_above(B0, 314, most=5) == [240, 256, 272, 288, 304]
    assert sizes_above(B0, 314, macs, most=2) == [240, 256]
    assert sizes_above(replace(B0, resolution=128), 179) == [144, 160]  # 176 is the grid's end
    assert sizes_above(replace(B0, resolution=222), 314) == [240, 256, 272, 288]  # its grid begins at 224, too
    found = sizes_above(B0, 314, most=2, neighbours=True)  # of which none is counted
    assert found == [236, 240, 244, 252, 256, 260]
    cifar = base("resnet20_cifar").architecture()
    assert (cifar.resolution, sizes_above(cifar, 45)) == (32, [36, 40])


def test_a_jump_between_two_sizes_of_a_coarse_grid_counts_for_the_size_before():
    # The jumps after 240, 256, 272 and 288 px lie between 230 and 242, 254 and 266, 266 and 278, 278 and 290.
    assert resolutions(B0, 218, 290, step=12) == [230, 254, 266, 278]


def test_resolutions_by_latency_follow_a_latency_model():
    model = latency_model(fixed=1.0, macs=1e-7)
    assert resolutions(B0, 224, 304, model.of) == [240, 256, 272, 288]


def test_ranges_without_a_jump_are_refused():
    with pytest.raises(PlannerError, match="no jump between 241 and 253 px"):
        resolutions(B0, 241, 253)
    with pytest.raises(PlannerError, match="widen the range"):
        resolutions(B0, 240, 244)
    with pytest.raises(InputError, match="below efficientnet_b0's stride"):
        resolutions(B0, 4, 64, macs)


def latency_model(**coefficients):
    none = Departure(np.empty((0, 1)), np.empty(0), 1.0, 1.0)
    return LatencyModel({}, "pass", ("macs",), coefficients, none, {"macs": (1.0, 1e12)}, np.zeros(1))


# Step 2


def by_enumeration(parent, kind, cost, accuracy, budget, keep):
    """One iteration at multiples of 4, written out: the best network, and how many were scored."""
    column = [4, 5, 6, 7, "head"] if kind == "width" else [4, 5, 6, 7]
    found = {}
    for i, first in enumerate(column):
        for second in column[i:]:
            widths, depths, head = list(parent.widths), list(parent.depths), parent.head
            for name in (first, second):
                if kind == "depth":
                    depths[name - 1] += 1
                elif name == "head":
                    head = 4 * round((head + 128) / 4)
                else:
                    widths[name - 1] = 4 * round((widths[name - 1] + B0.widths[name - 1] / 10) / 4)
            one = Architecture(parent.base, parent.resolution, 32, tuple(widths), tuple(depths), head)
            found[one] = cost(one)
    cheapest = [one for one in sorted(found, key=found.get)[:keep] if found[one] <= budget]
    worth = {one: max(accuracy(one) - accuracy(parent), 0) / (found[one] - cost(parent)) for one in cheapest}
    return max(cheapest, key=worth.get), len(cheapest)


@pytest.mark.parametrize("seed", range(4))
def test_every_iteration_of_two_picks_agrees_with_an_enumeration(seed):
    accuracy, budget = saturating(seed), 650e6
    found = rbis(B0, budget, macs, lambda many: answer(many, accuracy), [240], THESIS)
    parent, full = replace(B0, resolution=240), 0
    for number, step in enumerate(found.steps):
        kind = ("width", "depth")[number % 2]
        if step.candidates != {"width": 15, "depth": 10}[kind]:
            assert step is found.steps[-1], "single picks may come last only"
            break
        best, scored = by_enumeration(parent, kind, macs_of, accuracy, budget, keep=10)
        assert (step.architecture, step.scored) == (best, scored)
        assert (step.iteration, step.macs, step.cost) == (number + 1, macs_of(best), macs_of(best))
        parent, full = step.architecture, full + 1
    assert full >= 3


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("picks", [1, 2, 3])
def test_the_result_fits_and_no_single_move_of_the_kind_in_turn_does(seed, picks):
    rng = np.random.default_rng(seed)
    budget, options = rng.uniform(450e6, 900e6), RbisOptions(divisor=4, picks=picks)
    accuracy = saturating(seed)
    found = rbis(B0, budget, macs, lambda many: answer(many, accuracy), [240], options)
    assert macs_of(found.architecture) <= budget
    moves = Increments(B0, options)
    number, one = len(found.steps), found.architecture
    singles = {kind: macs(stack(list(moves.candidates(one, kind, 1)))) for kind in ("width", "depth")}
    in_turn = singles[("width", "depth")[number % 2]]
    of_the_last = singles[("width", "depth")[(number - 1) % 2]]
    # Either the next iteration has nothing that fits, or the last had to do with fewer picks.
    assert in_turn.min() > budget or of_the_last.min() > budget
    costs = [step.cost for step in found.steps]
    assert costs == sorted(costs)
    assert all(f"{len(found.steps)} iterations" in note for note in found.notes if "width[" in note)


def test_a_scorer_that_knows_the_thesis_network_is_led_to_it():
    def nearness(one):
        picks = (*zip(one.widths, TABLE_5_1.widths, B0.widths, strict=True), (one.head, TABLE_5_1.head, B0.head))
        blocks = zip(one.depths, TABLE_5_1.depths, strict=True)
        missing = sum(abs(a - b) / c * 10 for a, b, c in picks) + sum(abs(a - b) for a, b in blocks)
        return 1 - missing / 100

    options = RbisOptions(divisor=4, keep=15)
    found = rbis(B0, macs_of(TABLE_5_1), macs, lambda many: answer(many, nearness), [256], options)
    assert found.architecture == TABLE_5_1
    assert len(found.steps) == 6
    assert "256 px: width[44477h] depth[44666], 6 iterations" in found.notes[-1]


def test_where_no_score_is_positive_the_lowest_cost_is_taken_and_said():
    found = rbis(B0, 500e6, macs, lambda many: [0.5] * len(many), [240], THESIS)
    first = found.steps[0].architecture
    fewest = min(Increments(B0, THESIS).candidates(replace(B0, resolution=240), "width", 2), key=macs_of)
    assert first == fewest
    assert "240 px: no candidate of iteration 1 beats its parent; took the cheapest" in found.notes


def test_a_better_network_at_no_more_cost_comes_before_any_ratio():
    def cost(many):  # a wider head makes this device faster, as long as it is not twice as wide
        return np.where(many.head < 2 * 1280, macs(many) - 1e6 * (many.head - 1280), macs(many))

    def accuracy(one):
        return 0.5 + 1e-5 * (one.head - 1280) + 1e-3 * (sum(one.widths) + sum(one.depths))

    found = rbis(B0, 470e6, cost, lambda many: answer(many, accuracy), [240], THESIS)
    # The head twice costs least and is free, too, but gains less.
    assert found.steps[0].move == "240 px: width of stage 7 and head"
    assert "240 px: iteration 1 took a better network that costs no more than its parent" in found.notes


def test_widths_that_cannot_move_leave_the_turn_to_the_depths():
    options = RbisOptions(stages=(1, 2))  # 16 and 24 channels at multiples of 8
    found = rbis(B0, 600e6, macs, lambda many: answer(many, saturating(0)), [240], options)
    assert found.architecture.widths == B0.widths
    assert all("depth" in step.move for step in found.steps)
    assert "stage 1: 10 % more than 16 channels is 16 again at multiples of 8, so its width was no candidate" in (
        found.notes
    )
    assert len(set(found.notes)) == len(found.notes)


def test_a_head_alone_grows_by_widths():
    found = rbis(B0, 480e6, macs, lambda many: answer(many, saturating(0)), [240], RbisOptions(stages=(HEAD,)))
    assert (found.architecture.widths, found.architecture.depths) == (B0.widths, B0.depths)
    wider = replace(found.architecture, head=found.architecture.head + 128)
    assert macs_of(found.architecture) <= 480e6 < macs_of(wider)


def test_where_no_move_changes_anything_the_network_stays_as_it_is():
    start = replace(B0, head=8)
    found = rbis(start, 1e9, macs, lambda many: [0.5] * len(many), [240], RbisOptions(stages=(HEAD,)))
    assert (found.architecture, found.steps) == (replace(start, resolution=240), ())


def test_candidates_train_from_scratch_unless_told_to_inherit():
    asked = []

    def scorer(candidates):
        asked.append(list(candidates))
        return answer(candidates, saturating(1))

    rbis(B0, 550e6, macs, scorer, [240], THESIS)
    assert {one.parent for one in itertools.chain(*asked)} == {None}
    asked.clear()
    steps = rbis(B0, 550e6, macs, scorer, [240], replace(THESIS, inherit=True)).steps
    parents = [None, replace(B0, resolution=240), *(step.architecture for step in steps)]
    assert [{one.parent for one in many} for many in asked] == [{one} for one in parents[: len(asked)]]
    assert asked[1][0].label.startswith("iteration 1, 240 px: width of ")


def test_a_candidate_without_a_score_is_passed_over():
    start = replace(B0, resolution=240)
    diverged = rbis(B0, 600e6, macs, lambda many: answer(many, saturating(2)), [240], THESIS).steps[0].architecture

    def scorer(candidates):
        return [None if one.architecture == diverged else saturating(2)(one.architecture) for one in candidates]

    found = rbis(B0, 600e6, macs, scorer, [240], THESIS)
    assert found.steps[0].architecture not in (diverged, start)
    assert any("has no score" in note for note in found.notes)

    def starts_only(candidates):
        return [0.5 if one.architecture == start else math.nan for one in candidates]

    found = rbis(B0, 600e6, macs, starts_only, [240], THESIS)
    assert (found.architecture, found.steps) == (start, ())
    assert "240 px: ended, no candidate of iteration 1 has a score" in found.notes
    with pytest.raises(PlannerError, match="could be scored at no resolution; 240 px: start: has no score"):
        rbis(B0, 600e6, macs, lambda many: [None] * len(many), [240], THESIS)


def test_latency_can_be_the_budget():
    model = latency_model(fixed=2.0, macs=1e-7)
    found = rbis(B0, 60.0, model.of, lambda many: answer(many, saturating(3)), [240], THESIS)
    by_macs = rbis(B0, 58e7, macs, lambda many: answer(many, saturating(3)), [240], THESIS)
    assert found.architecture == by_macs.architecture
    assert found.steps[-1].cost == pytest.approx(2 + 1e-7 * found.steps[-1].macs)


# Step 3


@pytest.mark.parametrize("seed", range(4))
def test_the_most_accurate_over_the_resolutions_is_returned(seed):
    accuracy = saturating(seed)
    sizes = [288, 240, 256, 272, 240]
    found = rbis(B0, 650e6, macs, lambda many: answer(many, accuracy), sizes, THESIS)
    alone = [rbis(B0, 650e6, macs, lambda many: answer(many, accuracy), [size], THESIS) for size in sorted(set(sizes))]
    assert found.architecture == max((one.architecture for one in alone), key=accuracy)
    assert found.steps == tuple(step for one in alone for step in one.steps)
    assert found.method == "rbis"


def test_resolutions_beyond_the_budget_are_skipped_and_all_of_them_refused():
    found = rbis(B0, 500e6, macs, lambda many: answer(many, saturating(0)), [240, 320], THESIS)
    assert found.architecture.resolution == 240
    assert any(note.startswith("320 px: skipped") for note in found.notes)
    with pytest.raises(PlannerError, match="budget 4e.08 is below what efficientnet_b0 costs at every resolution") as e:
        rbis(B0, 400e6, macs, lambda many: answer(many, saturating(0)), [320, 240], THESIS)
    assert "at 240 px); rbis only grows" in str(e.value)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("budget", [0.0, -1.0, math.inf, math.nan])
def test_an_impossible_budget_is_refused(budget):
    with pytest.raises(PlannerError, match="budget must be positive and finite"):
        rbis(B0, budget, macs, lambda many: [0.5] * len(many), [240])


def test_no_resolution_is_refused():
    with pytest.raises(PlannerError, match="no resolution is given"):
        rbis(B0, 1e9, macs, lambda many: [0.5] * len(many), [])


def test_all_resolutions_of_an_iteration_are_scored_in_one_call():
    calls = []

    def scorer(candidates):
        calls.append([one.architecture.resolution for one in candidates])
        return answer(candidates, saturating(0))

    found = rbis(B0, 650e6, macs, scorer, [240, 256, 288], THESIS)
    assert calls[0] == [240, 256, 288] and calls[1] == [240] * 10 + [256] * 10 + [288] * 3  # that fit
    last = {step.architecture.resolution: step.iteration for step in found.steps}
    assert len(calls) == 1 + max(last.values())  # as many calls as the longest growth has iterations
    for iteration, call in enumerate(calls[1:], start=1):
        assert list(dict.fromkeys(call)) == [size for size in calls[0] if last[size] >= iteration]


# Killed and started anew

RUN = """
import json, math, sys, time
from pathlib import Path
from planner.searches.rbis import RbisOptions, rbis
from sampler import base
from sampler.complexity import count

memory, seconds = Path(sys.argv[1]), float(sys.argv[2])
whole = memory.read_bytes().rfind(b"\\n") + 1 if memory.exists() else 0
memory.touch()
with memory.open("rb+") as file:
    file.truncate(whole)
known = dict(map(json.loads, memory.read_text().splitlines()))

def accuracy(one):
    key = repr(one)
    if key not in known:
        time.sleep(seconds)
        logs = [*one.widths, *one.depths, one.head, one.resolution]
        known[key] = 1 - 3 / sum(math.log(v) / (1 + i % 5) for i, v in enumerate(logs))
        with memory.open("a") as file:
            file.write(json.dumps([key, known[key]]) + "\\n")
    return known[key]

found = rbis(base("efficientnet_b0").architecture(), 6.2e8, lambda many: count(many).macs,
             lambda many: [accuracy(one.architecture) for one in many], [240, 256, 272], RbisOptions(divisor=4))
print(found)
"""


def run(memory, seconds):
    path = Path(__file__).parents[3]
    environment = os.environ | {"PYTHONPATH": str(path), "OMP_NUM_THREADS": "1"}
    arguments = [sys.executable, "-c", RUN, str(memory), str(seconds)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=environment)


def test_a_killed_search_goes_on_where_it_was(tmp_path):
    whole = run(tmp_path / "whole.jsonl", 0.0)
    wanted = whole.communicate()[0]
    assert whole.returncode == 0
    moments, memory, lines = random.Random(0), tmp_path / "killed.jsonl", [0]
    for _ in range(4):
        process = run(memory, 0.01)
        while not memory.exists() or len(memory.read_bytes().splitlines()) < lines[-1] + 5:
            assert process.poll() is None, "it ended before it was killed"
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.15))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        lines.append(len(memory.read_bytes().splitlines()))
    resumed = run(memory, 0.0)
    assert resumed.communicate()[0] == wanted
    assert memory.read_text().splitlines() == (tmp_path / "whole.jsonl").read_text().splitlines()


# Zen-score in accuracy's place

SMALL = base("resnet20_cifar").architecture()


def test_zen_scores_are_those_of_the_network_plain_or_per_block():
    from trainer.zero_cost import zen_score

    settings = {"seed": 3, "repeats": 2, "batch": 2}
    deeper = replace(SMALL, resolution=32, depths=(*SMALL.depths[:-1], SMALL.depths[-1] + 1))
    expected = [zen_score(one, 10, resolution=32, **settings) for one in (SMALL, deeper)]
    candidates = [Candidate(SMALL), Candidate(deeper, parent=SMALL)]
    plain = ZenScorer(10, resolution=32, **settings)
    assert plain(candidates) == [one.zen for one in expected]
    divided = ZenScorer(10, per_block=True, resolution=32, **settings)
    assert divided(candidates) == [one.zen_per_block for one in expected]


@pytest.fixture
def counted(monkeypatch):
    """Architectures whose Zen-score was computed; it is told apart by depth and seed."""
    from trainer import zero_cost

    computed = []

    def zen_score(architecture, classes, repeats, batch, seed, device, resolution):
        computed.append(architecture)
        zen = float(sum(architecture.depths) + 1000 * seed)
        return zero_cost.ZeroCost(zen, 0.0, 1.0, 0.0, 0.0)

    monkeypatch.setattr("planner.searches.zen.zen_score", zen_score)
    return computed


def test_a_zen_score_is_computed_once_and_remembered_in_a_file(counted, tmp_path):
    memory, blocks = tmp_path / "new" / "zen.jsonl", sum(B0.depths)
    scorer = ZenScorer(memory=memory)
    assert scorer([Candidate(B0), Candidate(B0)]) == [blocks, blocks]
    assert ZenScorer(memory=memory).score(B0) == blocks
    assert ZenScorer(memory=memory, per_block=True).score(B0) == 1
    assert counted == [B0]
    assert ZenScorer(seed=1, memory=memory).score(B0) == 1000 + blocks
    assert counted == [B0, B0]
    assert len(memory.read_text().splitlines()) == 2


def test_a_line_that_a_kill_cut_off_is_written_anew(counted, tmp_path):
    memory = tmp_path / "zen.jsonl"
    ZenScorer(memory=memory).score(B0)
    line = memory.read_bytes()
    for length in (1, 5, 60, len(line) - 1):
        memory.write_bytes(line + line[:length])
        deeper = replace(B0, depths=(2, *B0.depths[1:]))
        scorer = ZenScorer(memory=memory)
        assert (scorer.score(B0), scorer.score(deeper)) == (16, 17)
        assert [json.loads(each)["zen"] for each in memory.read_text().splitlines()] == [16, 17]


@pytest.mark.parametrize("content", ["a,b\n1,2\n", "{}\n", "[1]\n", '{"base": "x", "zen": "much"}\n', "one line", "\n"])
def test_a_file_that_is_no_memory_is_refused_and_left_alone(tmp_path, content):
    path = tmp_path / "table.csv"
    path.write_text(content)
    with pytest.raises(PlannerError, match="line 1 is no remembered Zen-score; name another file"):
        ZenScorer(memory=path)
    assert path.read_text() == content


def test_rbis_runs_on_zen_scores(counted):
    found = rbis(B0, 500e6, macs, ZenScorer(), [240], THESIS)
    assert sum(found.architecture.depths) > sum(B0.depths)
    assert found.steps[-1].accuracy == sum(found.architecture.depths)


def test_importing_the_search_costs_no_torch():
    path = Path(__file__).parents[3]
    code = "import sys, planner.searches.rbis, planner.searches.record; print({'torch', 'pandas'} & set(sys.modules))"
    environment = os.environ | {"PYTHONPATH": str(path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "set()"
