"""Which of the two answers is preferred and why; the command; what a surrogate may be asked."""

import json
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest

from planner import PlannerError
from planner.allocation.allocate import CAUTION, allocate
from planner.allocation.believe import at_bounds, surrogate_belief, taught
from planner.answers.formula import Formula
from planner.fitting.fit import fit
from sampler import (
    Architecture,
    SearchSpace,
    architecture_complexity,
    exact_limit,
    random_design,
    stack,
    stratified_design,
)
from sampler.complexity import base_macs, count
from sampler.moves import column_names

BASE, PIXELS, CLASSES = "resnet20_cifar", 32, 10
BUDGET = 20e6
SPACE = SearchSpace(BASE, PIXELS, CLASSES, kind="stage", window=(0.2, 1.0), r=(0.8, 1.05), w=(0.5, 1.6), d=(0.6, 1.4))


@dataclass(frozen=True)
class Believer:
    """A surrogate that believes in wide first stages, surely or not."""

    inputs: tuple[str, ...] = ("resolution", "width_1", "width_2", "depth_1")
    cost: str | None = "macs"
    slope: float = 0.1
    std: float = 0.001
    inside: bool = True

    def posterior_of(self, inputs, cost=None):
        assert inputs.shape[1] == len(self.inputs)
        assert (cost is None) == (self.cost is None)
        width = inputs[:, self.inputs.index("width_1")]
        return 0.5 + self.slope * np.log(width / 16), np.full(len(inputs), self.std)

    def intervals_of(self, inputs, cost=None, level=0.9):
        mean, std = self.posterior_of(inputs, cost)
        return mean, mean - 2 * std, mean + 2 * std

    def in_range_of(self, inputs, cost=None):
        return np.full(len(inputs), self.inside)


@pytest.fixture(scope="module")
def table():
    """Architectures drawn stage by stage."""
    drawn = random_design(SPACE, 40, seed=0)
    macs = count(drawn, CLASSES).macs
    frame = pd.DataFrame(drawn.integers(), columns=column_names(3))
    good = 0.4 + 0.1 * np.log(macs / macs.min())
    return frame.assign(macs=macs, accuracy=good, base=BASE, base_resolution=PIXELS, classes=CLASSES, rule="inverse")


@pytest.fixture(scope="module")
def staged(table):
    return replace(fit(table), surrogate=None)


@pytest.fixture
def believing(staged):
    """A function: the formula with a believer of such a slope and doubt."""
    return lambda **how: replace(staged, surrogate=Believer(**how))


def test_both_answers_cost_the_budget_exactly(believing):
    allocation = allocate(believing(), BUDGET)
    assert set(allocation.options) == {"curves", "search"}
    for option in allocation.options.values():
        answer = option.prediction
        cost = architecture_complexity(answer.architecture, CLASSES)
        assert (answer.macs, answer.params) == (cost.macs, cost.params)
        assert 0.99 * BUDGET <= answer.macs <= BUDGET
        assert sum(option.shares.values()) == pytest.approx(1)
        assert list(option.shares) == ["stem", "1", "2", "3", "head"]


def test_an_option_s_interval_is_the_surrogate_s_own_with_the_noise_of_a_training(believing):
    option = allocate(believing(std=0.01), BUDGET).best
    found = option.accuracy
    assert found["mean"] == pytest.approx(option.mean)
    assert found["upper"] - found["lower"] == pytest.approx(4 * 0.01)  # not 3.29, as of the mean alone
    assert option.as_dict()["accuracy"] == found == option.prediction.accuracy


def test_the_search_is_preferred_where_it_is_surely_better(believing):
    allocation = allocate(believing(std=0.001), BUDGET)
    assert allocation.preferred == "search"
    assert allocation.best.mean > allocation.options["curves"].mean
    assert "more than the uncertainty of the difference" in allocation.reason


def test_the_curves_are_preferred_where_the_difference_is_in_doubt(believing):
    allocation = allocate(believing(std=0.5), BUDGET)
    assert allocation.preferred == "curves"
    assert "less than the uncertainty of the difference" in allocation.reason
    assert "simpler" in allocation.reason


def test_a_search_that_finds_no_more_gives_way_to_the_curves(believing):
    allocation = allocate(believing(slope=0.0), BUDGET)
    assert allocation.preferred == "curves"


def test_caution_compares_lower_bounds(believing, staged):
    @dataclass(frozen=True)
    class Doubting(Believer):
        """As sure of narrow first stages as it is unsure of wide ones."""

        def posterior_of(self, inputs, cost=None):
            mean, _ = super().posterior_of(inputs, cost)
            width = inputs[:, self.inputs.index("width_1")]
            return mean, 0.2 * np.maximum(width / 8 - 1, 0.01)

    formula = replace(staged, surrogate=Doubting())
    bold, careful = (allocate(formula, BUDGET, cautious=cautious).options["search"] for cautious in (False, True))
    first = [option.prediction.architecture.widths[0] for option in (bold, careful)]
    assert first[1] < first[0]
    assert careful.score(True) == pytest.approx(careful.mean - CAUTION * careful.std)
    assert careful.score(True) > bold.score(True)


def test_the_search_stays_where_the_trainings_were_and_says_when_it_touches_an_end(believing, table):
    search = allocate(believing(), BUDGET).options["search"]
    row = stack([search.prediction.architecture]).integers()[0]
    for name, value in zip(column_names(3), row, strict=True):
        if name not in ("stem", "head"):
            assert table[name].min() <= value <= table[name].max()
    widest = table["width_1"].max()
    assert ("width_1" in search.at_bounds) == (search.prediction.architecture.widths[0] == widest)


def test_ends_of_the_data_are_named():
    formula = fit_of_ranges({"width_1": (8, 24), "depth_2": (2, 3)})
    grid = taught(formula, "inverse")
    inner = stack([Architecture(BASE, 30, 16, (16, 32, 64), (3, 3, 3), 0)])
    assert at_bounds(grid, inner) == ("depth_2",)
    outer = stack([Architecture(BASE, 30, 24, (32, 32, 64), (3, 2, 3), 0)])
    assert at_bounds(grid, outer) == ("width_1", "depth_2")


def fit_of_ranges(ranges):
    from planner.rules import compound

    formula = compound(BASE, PIXELS, CLASSES)

    @dataclass(frozen=True)
    class Ranged(Believer):
        ranges: tuple = ()

    surrogate = Ranged()
    object.__setattr__(surrogate, "ranges", ranges)
    return replace(formula, surrogate=surrogate)


def test_a_surrogate_reads_every_number_of_an_architecture_by_its_name(staged):
    names = ("resolution", "stem", "width_3", "depth_2", "r", "d", "c", "params")
    seen = {}

    @dataclass(frozen=True)
    class Reader(Believer):
        inputs: tuple = names
        cost: str | None = "activations"

        def posterior_of(self, inputs, cost=None):
            seen.update(zip(names, inputs[0], strict=True), cost=cost[0])
            return np.zeros(len(inputs)), np.ones(len(inputs))

    one = Architecture(BASE, 24, 16, (16, 32, 72), (3, 4, 3), 0)
    surrogate_belief(replace(staged, surrogate=Reader()))(stack([one]))
    from sampler.moves import effective

    surrogate_belief(replace(staged, surrogate=Reader()))(effective(staged.network, stack([one])))
    cost = architecture_complexity(one, CLASSES)
    assert seen == pytest.approx(
        {
            "resolution": 24,
            "stem": 16,
            "width_3": 72,
            "depth_2": 4,
            "r": 0.75,
            "d": 10 / 9,
            "c": cost.macs / base_macs(BASE, PIXELS, CLASSES),
            "params": cost.params,
            "cost": cost.activations,
        }
    )


def test_a_surrogate_of_other_columns_is_refused_by_name(staged):
    with pytest.raises(PlannerError, match="the surrogate reads epochs, which an architecture alone does not have"):
        allocate(replace(staged, surrogate=Believer(inputs=("width_1", "epochs"))), BUDGET)


def test_where_the_curves_cannot_keep_to_a_limit_the_search_answers_alone(believing):
    limit = exact_limit("params", 0.7 * allocate(believing(), BUDGET).options["search"].prediction.params)
    allocation = allocate(believing(), BUDGET, [limit])
    assert allocation.preferred == "search"
    assert allocation.best.prediction.params <= limit.largest
    assert "no answer of the curves: at most" in allocation.reason


def test_limits_that_nothing_keeps_to_are_refused_with_both_reasons(believing):
    with pytest.raises(PlannerError, match="no answer of the curves: at most .* no answer of the search: no archi"):
        allocate(believing(), BUDGET, [exact_limit("params", 100)])


def test_without_a_surrogate_the_curves_answer_alone(staged):
    allocation = allocate(staged, BUDGET)
    assert set(allocation.options) == {"curves"}
    assert allocation.preferred == "curves"
    assert "holds no surrogate" in allocation.reason
    assert allocation.best.accuracy is None


def test_without_curves_the_search_answers_alone():
    ranges = {"resolution": (28, 32), "width_1": (8, 24), "width_2": (16, 40), "width_3": (32, 80)}
    allocation = allocate(fit_of_ranges(ranges), BUDGET)
    assert set(allocation.options) == {"search"}
    assert "no curves of the stages: the table was scaled uniformly" in allocation.reason


def test_a_formula_that_knows_nothing_of_stages_says_what_to_do(shipped):
    with pytest.raises(PlannerError, match="knows nothing of single stages.*planner sample --space stage"):
        allocate(shipped, 200e6)


def varied(formula, number, rows=40):
    """The formula, as if so many of its trainings had scaled stages apart."""
    return replace(formula, provenance={**formula.provenance, "stage_varied": [number, rows]})


def test_a_fit_counts_the_trainings_that_scaled_stages_apart(table, staged):
    assert staged.provenance["stage_varied"] == [39, 40]  # one came out as a uniform one would
    alike = stratified_design(replace(SPACE, kind="uniform"), 30, seed=1)
    rows = pd.DataFrame(alike.integers(), columns=column_names(3)).assign(macs=count(alike, CLASSES).macs)
    rows = rows.assign(accuracy=0.4 + 0.1 * np.log(rows["macs"] / 1e6))
    mixed = pd.concat([table.head(6), rows.assign(**{name: table[name].iloc[0] for name in table.columns[-4:]})])
    assert fit(mixed.drop_duplicates(list(column_names(3))), raw=True).provenance["stage_varied"][0] == 6


def test_stage_expectations_are_believed_from_a_fifth_of_the_trainings_on(believing):
    enough = allocate(varied(believing(), 8), BUDGET)
    assert enough.preferred == "search"
    assert "expected by 8 of 40 trainings that scaled stages apart" in enough.best.notes
    few = allocate(varied(believing(), 7), BUDGET)
    assert set(few.options) == {"curves"} and few.preferred == "curves"
    words = "7 of 40 trainings scaled stages apart, and what is expected of single stages is believed from a fifth on"
    assert words in few.reason and "(8)" in few.reason
    assert few.best.accuracy is None  # nor does the curves' answer promise anything


def test_a_surrogate_that_saw_only_uniform_networks_promises_nothing_of_stages():
    formula = varied(fit_of_ranges({"width_1": (8, 24)}), 0)
    with pytest.raises(PlannerError, match="knows nothing of single stages"):
        allocate(formula, BUDGET)
    few = varied(fit_of_ranges({"width_1": (8, 24)}), 3)
    with pytest.raises(PlannerError, match="3 of 40 trainings scaled stages apart.*planner propose --space stage"):
        allocate(few, BUDGET)


def test_a_file_says_how_many_scaled_stages_apart(staged, tmp_path):
    staged.save(tmp_path / "formula.json")
    assert Formula.load(tmp_path / "formula.json").provenance["stage_varied"] == [39, 40]


def test_a_budget_outside_the_range_is_refused_as_ever(staged):
    with pytest.raises(PlannerError, match="is outside the .* that this formula was fitted on"):
        allocate(staged, 400e6)
    with pytest.raises(PlannerError, match="no budget: give --flops"):
        allocate(staged, None)


def test_at_another_resolution_or_number_of_classes_the_surrogate_is_left_behind(believing):
    formula = believing()
    assert formula.at(PIXELS, CLASSES).surrogate is formula.surrogate
    assert formula.at(PIXELS, 100).surrogate is None
    assert formula.at(64, CLASSES).surrogate is None


def test_the_command_answers_by_the_curves_of_the_stages_where_nothing_else_is_known(run, staged, tmp_path):
    staged.save(tmp_path / "stage.json")
    asked = ("predict", "--space", "stage", "--flops", "20M", "--formula", tmp_path / "stage.json")
    code, out, err = run(*asked)
    assert (code, err) == (0, "")
    assert "resnet20_cifar for 20M MACs, 10 classes" in out and "answer, on the formula's curves:" in out
    assert "why: the formula answers: no surrogate of the accuracy" in out
    assert "share of MACs  stem" in out
    found = json.loads(run(*asked, "--json")[1])
    curves = allocate(staged, BUDGET).options["curves"]
    assert (found["space"], found["by"], found["macs"]) == ("stage", "formula", curves.prediction.macs)
    assert found["shares"] == pytest.approx(curves.shares)


def test_a_uniform_formula_answers_alike_stages_and_says_so(run):
    code, out, err = run("predict", "--flops", "200M", "--space", "stage")
    assert (code, err) == (0, "")
    assert (
        "all stages are scaled alike: this formula holds no surrogate of the accuracy; fit one with `planner fit`"
        in out
    )
