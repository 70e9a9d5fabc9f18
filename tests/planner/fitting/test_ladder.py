"""The ladder of a formula file: the best network for every budget, found once and read by bisection."""

import copy
import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from planner import PlannerError
from planner.answers.formula import Formula
from planner.answers.search import best_networks
from planner.fitting.fit import fit
from planner.fitting.ladder import RecordNetworks, with_ladder
from planner.formulas.branch import Branch
from planner.formulas.codec import dumps, read_formula, signed
from planner.formulas.document import formula_model
from planner.formulas.rungs import rung_at
from planner.formulas.trainings import trained_networks
from planner.gaussian.curve import power_law
from planner.text.documents import read_as
from sampler import base, rule_named
from sampler.architecture import concatenate
from sampler.complexity import base_macs, count
from sampler.moves import column_names, from_rows
from sampler.scaling import scale

NAME, RULE, CLASSES = "resnet20_cifar", "inverse", 10
NETWORK = base(NAME)
INPUTS = ("resolution", "width_1", "depth_2", "head")
RANGES = {
    **{"resolution": (16, 36), "stem": (8, 24), "head": (0, 0)},
    **{f"width_{i + 1}": (8 * 2**i, 24 * 2**i) for i in range(3)},
    **{f"depth_{i + 1}": (1, 5) for i in range(3)},
}
LARGEST = 25_000  # bytes of the reference study's ladder


class Judge:
    """An answers' model that knows the accuracy of every network by a rule of thumb, bumpy over the integers."""

    doubt = ""

    def __init__(self, tried, macs):
        self.surrogate, self.tried = self, np.column_stack([tried, macs]).astype(float)
        self.inputs, self.cost = column_names(3), "macs"

    def scores(self, rows, cautious=False):
        resolution, width, depth = rows[:, 0], rows[:, 2], rows[:, 6]
        even = 0.03 * (resolution % 4 == 0) + 0.02 * (depth % 2 == 0)
        scores = 0.2 + 0.05 * np.log(rows[:, -1] / 1e6) + 0.04 * np.log(width * depth) + even
        return scores + 0.2 * (rows[:, 3] == 100)  # no uniform network has such a stage

    def expected(self, rows):
        mean = self.scores(rows) - 0.01
        return mean, mean - 0.05, mean + 0.05


def within(formula, networks, budget):
    """Which networks are candidates for a budget: not dearer, and not cheaper than all trainings."""
    macs = macs_of(networks)
    return (macs <= budget) & (macs >= formula.answers.tried[:, -1].min())


def all_uniform():
    """Every uniform network of the ranges, by brute force over finely spaced multipliers."""
    fine = np.geomspace(0.1, 4, 20_001)
    depths = np.unique(scale(NETWORK, rule_named(RULE), 32, fine, 1.0).depths, axis=0)
    wide = scale(NETWORK, rule_named(RULE), 32, 1.0, fine)
    channels = np.unique(np.column_stack([wide.stem, wide.widths, wide.head]), axis=0)
    rows = [
        (side, *one[:4], *blocks, one[4]) for side in range(16, 37) for blocks in depths for one in channels.tolist()
    ]
    names = column_names(3)
    kept = [row for row in rows if all(RANGES[n][0] <= v <= RANGES[n][1] for n, v in zip(names, row, strict=True))]
    return from_rows(NETWORK, np.array(kept))


def macs_of(networks):
    return count(networks, CLASSES).macs


@pytest.fixture(scope="module")
def networks():
    return all_uniform()


@pytest.fixture(scope="module")
def tried(networks):
    """Trainings: a cheap one, the dearest, and one of which one stage is wider than uniform scaling would have it."""
    macs = macs_of(networks)
    ends = networks.take([macs.argsort()[50], macs.argmax(), len(networks) // 2])
    ends.widths[2, 1] = 100
    return ends


@pytest.fixture(scope="module")
def formula(tried):
    """A formula whose answers are known, with its ladder."""
    one, macs = base_macs(NAME, 32, CLASSES), macs_of(tried)
    branch = Branch(RULE, (macs.min() / one, macs.max() / one), power_law(0.2), power_law(0.3))
    ranges = {name: list(ends) for name, ends in RANGES.items()}
    bare = Formula(NAME, 32, CLASSES, one, "loglinear", {"shrink": branch}, provenance={"ranges": ranges})
    return with_ladder(replace(bare, answers=Judge(tried.integers(), macs)))


@pytest.fixture(scope="module")
def written(formula):
    """The file of that formula; what chose its answers is no surrogate that could be written."""
    return json.loads(dumps(replace(formula, answers=None)))


@pytest.fixture(scope="module")
def reference():
    """The reference study's formula, fitted."""
    return fit(Path(__file__).resolve().parents[3] / "results" / "reference" / "trials.csv")


def score(formula, networks):
    return formula.answers.scores(np.column_stack([networks.integers(), macs_of(networks)]).astype(float))


def test_every_rung_is_the_best_of_all_networks_within_its_macs(formula, networks, tried):
    everything = concatenate([networks, tried])
    macs, scores = macs_of(everything), score(formula, everything)
    assert len(formula.ladder) > 20
    for rung in formula.ladder:
        affordable = np.flatnonzero(within(formula, everything, rung.macs))
        best = affordable[scores[affordable].argmax()]
        assert everything[best] == rung.architecture and macs[best] == rung.macs


def test_any_budget_gets_an_answer_within_it_that_is_the_best_of_two_per_cent_less(formula, networks, tried):
    everything = concatenate([networks, tried])
    scores = score(formula, everything)
    known = dict(zip(map(bytes, everything.integers()), scores, strict=True))
    low, high = formula.macs_range
    for budget in np.exp(np.random.default_rng(0).uniform(np.log(low * 1.02), np.log(high * 1.2), 100)):
        rung = rung_at(formula.ladder, budget)
        ours = known[bytes(np.array(_row(rung.architecture)))]
        assert rung.macs <= budget
        least, most = (within(formula, everything, min(budget, high) / step) for step in (1.02, 1))
        assert scores[least].max() <= ours <= scores[most].max()


def _row(one):
    return (one.resolution, one.stem, *one.widths, *one.depths, one.head)


def test_expected_scores_never_fall_with_the_budget(formula):
    rows = np.array([_row(rung.architecture) for rung in formula.ladder])
    found = score(formula, from_rows(NETWORK, rows))
    assert (np.diff(found) > 0).all() and (np.diff([rung.accuracy for rung in formula.ladder]) > 0).all()
    assert [rung.accuracy for rung in formula.ladder] == pytest.approx(found - 0.01, abs=1e-5)


def test_the_search_for_one_budget_finds_the_rung(formula, tried):
    def known(networks):
        return np.where(within(formula, networks, np.inf), score(formula, networks), -np.inf)

    for rung in formula.ladder[::8]:
        (found,) = best_networks(
            formula.network,
            RULE,
            CLASSES,
            known,
            macs=rung.macs + 0.5,  # searches may lose the very last one to a rounding
            ranges=RANGES,
            starts=tried,
        )
        assert (found.architecture, found.macs) == (rung.architecture, rung.macs)


def test_what_is_cheaper_than_every_training_is_no_answer(formula, networks):
    assert macs_of(networks).min() < formula.macs_range[0] * 0.99
    assert formula.ladder[0].macs >= round(formula.macs_range[0])


def test_a_training_that_no_uniform_scaling_gives_is_an_answer_where_it_is_the_best(formula):
    assert any(rung.architecture.widths[1] == 100 for rung in formula.ladder)


def test_below_the_first_rung_there_is_no_answer_and_above_the_last_it_stays(formula):
    first, last = formula.ladder[0], formula.ladder[-1]
    assert rung_at(formula.ladder, first.macs - 1) is None and rung_at((), 1e9) is None
    assert rung_at(formula.ladder, first.macs) is first and rung_at(formula.ladder, 1e18) is last


def test_networks_that_are_not_known_are_no_trainings(formula):
    unknown = {name: ends for name, ends in formula.provenance["ranges"].items() if name != "stem"}
    judge = copy.copy(formula.answers)
    judge.surrogate, judge.inputs, judge.tried = judge, INPUTS, judge.tried[:, [0, 2, 6, 8, 9]]
    assert trained_networks(replace(formula, answers=judge, provenance={"ranges": unknown})) is None


@pytest.mark.parametrize("doubt", [None, "12 trainings say too little"])
def test_where_nothing_chooses_answers_or_they_are_in_doubt_there_is_no_ladder(formula, doubt):
    judge = copy.copy(formula.answers)
    judge.doubt = doubt
    bare = replace(formula, ladder=(), answers=judge if doubt else None)
    assert with_ladder(bare) is bare
    assert '"ladder"' not in dumps(replace(bare, answers=None))


def test_records_are_the_rows_that_beat_every_cheaper_one(networks):
    rng = np.random.default_rng(1)
    some = networks.take(np.arange(200))
    macs, scores = rng.integers(1, 40, 200), rng.integers(0, 30, 200).astype(float)
    wanted, best = [], -np.inf
    for place in sorted(range(200), key=lambda i: (macs[i], -scores[i], some.integers()[i].tolist())):
        if scores[place] > best:
            wanted, best = [*wanted, place], scores[place]
    whole = RecordNetworks.of(some, macs, scores)
    halves = [RecordNetworks.of(some.take(part), macs[part], scores[part]) for part in (slice(0, 90), slice(90, 200))]
    for found in (whole, halves[0].among(halves[1])):
        assert (found.networks.integers() == some.take(wanted).integers()).all()
        assert found.macs.tolist() == macs[wanted].tolist() and found.scores.tolist() == scores[wanted].tolist()


def test_the_file_keeps_the_ladder_and_answers_its_vectors(formula, written):
    assert read_as(formula_model(), written) == written
    assert read_formula(json.dumps(written), Formula).ladder == formula.ladder
    assert len(written["vectors"]) >= 8
    for vector in written["vectors"]:
        rung = rung_at(formula.ladder, vector["budget"])
        assert vector["ladder"] == {name: rung.as_dict()[name] for name in vector["ladder"]}
    assert len({json.dumps(vector["ladder"]) for vector in written["vectors"]}) > 4


def test_at_another_size_there_is_no_ladder(formula):
    assert formula.at(32, CLASSES).ladder == formula.ladder
    assert formula.at(48).ladder == formula.at(None, 100).ladder == ()


def test_a_file_without_a_ladder_is_read_as_before(written):
    vectors = [{name: value for name, value in one.items() if name != "ladder"} for one in written["vectors"]]
    old = {name: value for name, value in written.items() if name != "ladder"}
    assert refusal({**old, "vectors": vectors}) is None
    assert refusal({**written, "vectors": vectors}) is None


def test_the_reference_studys_ladder_is_small_and_its_scores_never_fall(reference):
    document = json.loads(dumps(reference))
    assert len(json.dumps(document["ladder"])) < LARGEST and 30 <= len(reference.ladder) <= 125
    macs = np.array([rung.macs for rung in reference.ladder])
    low, high = reference.macs_range
    assert macs[0] <= low and macs[-1] <= high and (np.diff(macs) > 0).all()
    rows = np.array([_row(rung.architecture) for rung in reference.ladder])
    networks = from_rows(reference.network, rows)
    assert (count(networks, reference.classes).macs == macs).all()
    columns = dict(zip(column_names(7), rows.T.astype(float), strict=True)) | {"macs": macs.astype(float)}
    inputs = (*reference.answers.surrogate.inputs, "macs")
    scores = reference.answers.scores(np.column_stack([columns[name] for name in inputs]))
    assert (np.diff(scores) > 0).all()


def refusal(document):
    """The line with which a document is refused; None where it is read."""
    try:
        read_formula(json.dumps(signed(document)), Formula, "f.json")
    except PlannerError as error:
        assert "\n" not in str(error)
        return str(error)
    return None


def with_rung(document, index, **changes):
    ladder = copy.deepcopy(document["ladder"])
    ladder[index] |= changes
    return {**document, "ladder": ladder}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"macs": 12_345}, "ladder[3].macs is 12345; its network costs "),
        ({"macs": "many"}, "ladder[3].macs is 'many'; integer is wanted"),
        ({"macs": 1e7}, "ladder[3].macs is 10000000.0; integer is wanted"),
        ({"resolution": True}, "ladder[3].resolution is True; integer is wanted"),
        ({"resolution": 3}, "ladder[3] cannot be built: 3 px is below resnet20_cifar's stride"),
        ({"resolution": 10**30}, "ladder[3] cannot be built: resolution must be between 1 and 16384"),
        ({"widths": [8, 16]}, "ladder[3] cannot be built: 2 widths and 3 depths"),
        ({"widths": [8, 16], "depths": [1, 1]}, "ladder[3] cannot be built: resnet20_cifar has 3 stages"),
        ({"depths": [1, 0, 1]}, "ladder[3].depths[1] is 0; at least 1 is wanted"),
        ({"head": 5}, "ladder[3] cannot be built: resnet20_cifar has no head"),
        ({"accuracy": 1.5}, "ladder[3].accuracy is 1.5; at most 1 is wanted"),
        ({"accuracy": 0.0}, "ladder[3].accuracy is 0.0, outside its own interval"),
        ({"accuracy": None}, "ladder[3].accuracy is None; number is wanted"),
        ({"colour": 1}, "ladder[3].colour is unknown"),
    ],
)
def test_a_damaged_rung_is_refused_by_its_place(written, changes, words):
    told = refusal(with_rung(written, 3, **changes))
    assert told is not None and words in told


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda ladder: ladder[::-1], "ladder[1].macs is "),
        (lambda ladder: [*ladder, ladder[-1]], "rising MACs are wanted"),
        (lambda ladder: [], "ladder is []; at least 1 is wanted"),
        (lambda ladder: ladder[0], "; array is wanted"),
        (lambda ladder: None, "ladder is None; array is wanted"),
        (lambda ladder: ladder[:4], "give another rung of the ladder than its test vector says"),
        (lambda ladder: [ladder[0], ladder[-1]], "give another rung of the ladder than its test vector says"),
    ],
)
def test_a_damaged_ladder_is_refused(written, damage, words):
    told = refusal({**written, "ladder": damage(copy.deepcopy(written["ladder"]))})
    assert told is not None and words in told


def test_a_vector_of_a_ladder_that_is_not_there_is_refused(written):
    told = refusal({name: value for name, value in written.items() if name != "ladder"})
    assert told is not None and "give another rung of the ladder than its test vector says" in told


@pytest.mark.parametrize("seed", range(60))
def test_random_damage_of_a_ladder_is_refused_in_one_line(written, seed):
    rng = random.Random(seed)
    changed = copy.deepcopy(written)
    ladder = changed["ladder"]
    rung = rng.choice(ladder)
    name = rng.choice(sorted(rung))
    inner, key = (rung[name], rng.randrange(3)) if isinstance(rung[name], list) and rng.random() < 0.5 else (rung, name)
    if rng.random() < 0.2:
        del inner[key]
    else:
        value = rng.choice([None, True, 0, -1, 10**30, 1e300, -0.5, 7.25, "x", [], {}, [0], inner[key]])
        inner[key] = {"a": 1} if value == inner[key] else value
    assert refusal(changed) is not None
