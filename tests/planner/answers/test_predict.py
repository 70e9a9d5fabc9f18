"""The answer to a budget: the best buildable network by all that was trained, or who answers instead and why."""

import json
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from planner import PlannerError
from planner.answers.formula import Formula
from planner.answers.predict import answer_for, smooth_answer
from planner.answers.words import integer_differences
from planner.formulas.budgets import prediction_within
from planner.rules import compound
from sampler import Architecture, SearchSpace, architecture_complexity, exact_limit, random_design, stack
from sampler.complexity import count
from sampler.moves import column_names

BASE, PIXELS, CLASSES = "resnet20_cifar", 32, 10
COLUMNS = column_names(3)
VARIED = ("resolution", "stem", "width_1", "width_2", "width_3", "depth_1", "depth_2", "depth_3")
SPACE = SearchSpace(BASE, PIXELS, CLASSES, window=(0.1, 1.2), r=(0.75, 1.1), w=(0.3, 1.6), d=(0.3, 1.4))


@dataclass(frozen=True)
class Surrogate:
    """Believes in pixels above all, then in MACs."""

    inputs: tuple[str, ...] = VARIED
    cost: str = "macs"

    def means(self, inputs, cost):
        return 0.1 + 0.012 * inputs[:, 0] + 0.02 * np.log(cost / 1e6)

    def intervals_of(self, inputs, cost=None, level=0.9):
        mean = self.means(inputs, cost)
        return mean, mean - 0.03, mean + 0.03

    def in_range_of(self, inputs, cost=None):
        return np.ones(len(inputs), dtype=bool)


@dataclass(frozen=True)
class Model:
    """A model of answers: what the surrogate says, less what it does not know, or what a training reached."""

    tried: np.ndarray
    reached: np.ndarray
    doubt: str = ""
    surrogate: Surrogate = field(default_factory=Surrogate)

    def scores(self, matrix, cautious=False):
        # Nobody knows much of deep networks.
        scores = self.surrogate.means(matrix[:, :-1], matrix[:, -1]) - cautious * 0.3 * matrix[:, 5]
        for row, value in zip(self.tried, self.reached, strict=True):
            scores[(matrix == row).all(axis=1)] = value
        return scores

    def expected(self, matrix):
        mean = self.scores(matrix) - 0.01  # as much as the best of many flatters itself
        return mean, mean - 0.02, mean + 0.02

    def in_range(self, matrix):
        return ((matrix >= self.tried.min(axis=0)) & (matrix <= self.tried.max(axis=0))).all(axis=1)


@pytest.fixture(scope="module")
def drawn():
    """Networks that were trained, all scaled uniformly."""
    return random_design(SPACE, 30, seed=0)


@pytest.fixture(scope="module")
def formula(drawn):
    """Curves of compound scaling, and a model of what those networks taught."""
    macs = count(drawn, CLASSES).macs
    rows = drawn.integers()
    tried = np.column_stack([rows[:, :-1], macs]).astype(float)  # without the head, which this base network has not
    reached = Surrogate().means(tried[:, :-1], tried[:, -1]) - 0.02
    known = Formula.of(compound(BASE, PIXELS, CLASSES))
    order = np.argsort(macs)
    points = tuple(
        {
            **{"c": float(macs[i] / known.base_macs), "d": 1.0, "macs": int(macs[i]), "trial": int(i)},
            **{"r": float(rows[i, 0] / PIXELS), "accuracy": float(reached[i] + 0.01)},
        }
        for i in order
    )
    ranges = {name: [float(rows[:, k].min()), float(rows[:, k].max())] for k, name in enumerate(COLUMNS)}
    ends = (float(macs.min() / known.base_macs), float(macs.max() / known.base_macs))
    return replace(
        known,
        kind="loglinear",
        branches={name: replace(one, c_range=ends) for name, one in known.branches.items()},
        front=points,
        provenance={"ranges": ranges, "rows": 30, "stage_varied": [0, 30]},
        surrogate=Surrogate(),
        answers=Model(tried, reached),
    )


def check_exact(answer):
    cost = architecture_complexity(answer.architecture, CLASSES)
    found = answer.prediction
    assert (found.macs, found.params, found.memory) == (cost.macs, cost.params, cost.memory)
    return cost


@pytest.mark.parametrize("macs", [6e6, 12e6, 25e6, "40M"])
def test_an_answer_costs_no_more_than_the_budget_and_is_no_worse_than_anything_known(formula, drawn, macs):
    answer = formula.answer(macs)
    budget = answer.prediction.budget
    assert check_exact(answer).macs <= budget
    assert answer.by == "search" and answer.prediction.in_range and answer.prediction.binding == "macs"
    model = formula.answers
    own = model.reached[model.tried[:, -1] <= budget]
    smooth = formula.predict(budget)
    assert answer.formula.accuracy["mean"] <= smooth.accuracy["mean"] - 0.01 + 1e-12  # corrected alike
    assert answer.accuracy["mean"] >= answer.formula.accuracy["mean"] or smooth.macs > budget
    assert answer.accuracy["mean"] + 0.01 >= own.max()
    row = stack([answer.architecture]).integers()[0]
    for name, value in zip(COLUMNS, row, strict=True):
        low, high = formula.provenance["ranges"][name]
        assert low <= value <= high
    assert answer.out_of_range == {}


def test_the_reason_says_how_much_better_and_in_what(formula):
    answer = formula.answer(12e6)
    gain = 100 * (answer.accuracy["mean"] - answer.formula.accuracy["mean"])
    assert gain > 0.5
    assert answer.reason.startswith(f"expected {answer.accuracy['mean']:.1%}, {gain:.1f} points above the formula's")
    assert answer.reason.endswith(f": {integer_differences(answer.architecture, answer.formula.architecture)}")


def test_a_formula_s_network_that_could_not_answer_is_said_to_be_none(formula):
    budgets = np.geomspace(6e6, 40e6, 12)
    dear = [one for one in formula.answer(budgets) if one.formula.macs > one.prediction.budget]
    words = ("costs a little more than the budget: ", "lies outside what was trained: ")
    said = [words[not one.formula.accuracy["in_range"]] in one.reason for one in dear]
    assert said and all(said)
    assert any(words[0] in one.reason for one in dear)


@pytest.mark.parametrize("macs", [None, 20e6])
@pytest.mark.parametrize("names", [("params",), ("memory",), ("params", "memory"), ("params", "memory", "activations")])
def test_limits_are_kept_all_at_once(formula, drawn, macs, names):
    cost = count(drawn, CLASSES)
    limits = [exact_limit(name, float(np.quantile(getattr(cost, name), 0.4))) for name in names]
    answer = formula.answer(macs, limits)
    check_exact(answer)
    assert answer.by in ("search", "training")
    assert set(answer.prediction.costs) == set(names)
    for limit in limits:
        assert answer.prediction.costs[limit.name] <= limit.largest
    assert answer.prediction.macs <= (macs or formula.macs_range[1] * 1.0001)
    kept = np.all([getattr(cost, one.name) <= one.largest for one in limits], axis=0) & (cost.macs <= (macs or np.inf))
    assert answer.accuracy["mean"] + 0.01 >= formula.answers.reached[kept].max()
    assert answer.best is not None and answer.best.reached == formula.answers.reached[kept].max()


def test_limits_alone_are_not_kept_by_walking_along_the_formula(formula):
    limits = [exact_limit("params", 100e3)]
    along, answer = prediction_within(formula, None, limits), formula.answer(None, limits)
    assert answer.accuracy["mean"] - 0.01 > along.accuracy["mean"]
    assert answer.prediction.binding in ("params", "range") and answer.prediction.budget == answer.prediction.macs


def test_the_budget_that_decides_is_the_one_spent_most(formula):
    free = formula.answer(20e6)
    tight = formula.answer(20e6, [exact_limit("params", 0.8 * free.prediction.params)])
    assert tight.prediction.binding == "params"
    spent = tight.prediction.costs["params"] / tight.prediction.limits["params"]
    assert tight.left == pytest.approx(1 - max(spent, tight.prediction.macs / 20e6))


def test_a_training_is_the_answer_where_its_own_result_says_so(formula):
    best = int(np.flatnonzero(formula.answers.tried[:, -1] < 8e6)[0])
    reached = formula.answers.reached.copy()
    reached[best] = 0.8
    taught = replace(formula, answers=replace(formula.answers, reached=reached))
    answer = taught.answer(20e6)
    assert answer.by == "training"
    assert answer.prediction.macs == formula.answers.tried[best, -1]
    assert f"trial {best} was of this very network, worth 80.0% by its own result" in answer.reason
    assert answer.left == pytest.approx(1 - answer.prediction.macs / 20e6)
    assert any(note.startswith(f"leaves {answer.left:.1%} of the budget: dearer networks") for note in answer.notes)


def test_a_training_that_failed_its_promise_is_not_the_answer_again(formula):
    first = formula.answer(20e6)
    row = np.array([[*stack([first.architecture]).integers()[0][:-1], first.prediction.macs]], dtype=float)
    model = formula.answers
    more = Model(np.concatenate([model.tried, row]), np.append(model.reached, 0.1))
    again = replace(formula, answers=more).answer(20e6)
    assert again.architecture != first.architecture and again.prediction.macs <= 20e6


def test_the_best_training_stands_beside_with_what_it_measured(formula):
    answer = formula.answer(20e6)
    cheap = [one for one in formula.front if one["macs"] <= 20e6]
    best = max(cheap, key=lambda one: one["accuracy"])
    assert (answer.best.trial, answer.best.accuracy, answer.best.macs) == (
        best["trial"],
        best["accuracy"],
        best["macs"],
    )
    assert answer.best.architecture.resolution == round(best["r"] * PIXELS)
    assert answer.published.formula.kind == "compound" and answer.published.accuracy["of"] == "architecture"
    assert answer.published.accuracy["mean"] < answer.accuracy["mean"]


def test_where_the_model_is_in_doubt_the_formula_answers_and_says_why(formula):
    unsure = replace(formula, answers=replace(formula.answers, doubt="30 trainings of 8 columns are too few"))
    answer = unsure.answer(20e6)
    assert answer.by == "formula" and answer.architecture == formula.predict(20e6).architecture
    assert answer.reason == "the formula answers: 30 trainings of 8 columns are too few"
    assert answer.best is not None and answer.published is not None


def test_a_point_that_holds_integers_says_which_network_was_trained(formula, drawn):
    macs = count(drawn, CLASSES).macs
    points = tuple(
        {**one, **{name: getattr(network, name) for name in ("resolution", "stem", "widths", "depths", "head")}}
        for one in formula.front
        for network in [drawn[one["trial"]]]
    )
    best = replace(formula, answers=None, front=points).answer(20e6).best
    assert best.architecture == drawn[best.trial] and best.macs == macs[best.trial]
    assert replace(formula, answers=None).answer(20e6).best.architecture is None


def test_without_a_model_the_reason_is_what_was_never_learned(formula, shipped):
    assert "does not read the networks' integers" in replace(formula, answers=None).answer(20e6).reason
    facts = {**formula.provenance, "selection": {"by": "observed accuracies", "why": "asked for"}}
    bare = replace(formula, answers=None, surrogate=None, provenance=facts)
    assert bare.answer(20e6).reason.endswith("no surrogate of the accuracy tells one network from another (asked for)")
    elsewhere = formula.at(classes=100).answer(20e6)
    assert "learned at another resolution or number of classes" in elsewhere.reason
    assert elsewhere.best is None and elsewhere.out_of_range == {}
    published = Formula.of(compound(BASE, PIXELS, CLASSES)).answer(20e6)
    assert (published.by, published.published, published.best) == ("published rule", None, None)
    assert shipped.answer("200M").by == "formula"


def test_outside_the_range_the_formula_answers_where_that_is_asked_for_and_says_what_leaves_it(formula):
    beyond = 1.5 * formula.macs_range[1]
    with pytest.raises(PlannerError, match=r"is outside the .* that this formula was fitted on; .*--extrapolate"):
        formula.answer(beyond)
    answer = formula.answer(beyond, extrapolate=True)
    assert answer.by == "formula" and not answer.prediction.in_range
    assert "MACs is outside the" in answer.reason and "of the trainings" in answer.reason
    pixels, most = answer.architecture.resolution, int(formula.provenance["ranges"]["resolution"][1])
    assert pixels > most and answer.out_of_range["resolution"] == pixels - most
    assert any(f"resolution {pixels}, {pixels - most} above the " in note for note in answer.notes)


def test_what_nothing_inside_the_trainings_keeps_the_formula_is_asked_for(formula):
    with pytest.raises(PlannerError, match="cannot be kept: the smallest architecture of this formula has"):
        formula.answer(None, [exact_limit("params", 100)])
    low = formula.macs_range[0]
    narrow = replace(formula, provenance={**formula.provenance, "ranges": {"resolution": [64.0, 64.0]}})
    answer = narrow.answer(1.2 * low)
    assert answer.by == "formula" and answer.reason.endswith("no network inside what was trained keeps to the budget")


def test_caution_takes_the_best_lower_bound(formula):
    bold, careful = formula.answer(20e6), formula.answer(20e6, cautious=True)
    assert careful.architecture.depths[0] <= bold.architecture.depths[0]
    assert careful.reason.startswith("the best lower bound; ") and careful.architecture != bold.architecture


def test_several_are_distinct_and_the_best_comes_first(formula):
    found = answer_for(formula, 20e6, n=3)
    assert len({one.architecture for one in found}) == 3
    assert [one.accuracy["mean"] for one in found] == sorted((one.accuracy["mean"] for one in found), reverse=True)
    assert found[0].architecture == formula.answer(20e6).architecture
    several = formula.answer(["6M", 20e6])
    assert [one.prediction.budget for one in several] == [6e6, 20e6]
    assert [one.architecture for one in formula.answer(np.array([6e6]))] == [several[0].architecture]


def test_stages_differ_only_where_enough_trainings_scaled_them_apart(formula):
    alike = formula.answer(20e6, space="stage")
    assert alike.architecture == formula.answer(20e6).architecture
    assert any("scaled alike: the trainings scaled all stages alike" in note for note in alike.notes)
    some = replace(formula, provenance={**formula.provenance, "stage_varied": [6, 30]})
    apart = some.answer(20e6, space="stage")
    assert not any("alike" in note for note in apart.notes) and apart.prediction.macs <= 20e6
    assert apart.accuracy["mean"] >= alike.accuracy["mean"] - 1e-12
    with pytest.raises(PlannerError, match="space is 'stages'; uniform or stage is wanted"):
        formula.answer(20e6, space="stages")


def test_no_budget_is_refused(formula):
    with pytest.raises(PlannerError, match="no budget: give --flops"):
        formula.answer(None)


def test_the_smooth_answer_is_the_formula_s(formula):
    answer = smooth_answer(formula, 20e6)
    assert (answer.by, answer.architecture) == ("formula", formula.predict(20e6).architecture)
    assert answer.reason == "the formula answers: asked for"


def test_json_holds_the_answer_s_facts_at_the_top_and_the_others_beside_them(formula):
    answer = formula.answer(12e6)
    found = json.loads(json.dumps(answer.as_dict(), allow_nan=False))
    one = answer.architecture
    assert found["resolution"] == one.resolution and tuple(found["widths"]) == one.widths
    assert found["accuracy"] == answer.accuracy and found["macs"] == answer.prediction.macs
    assert (found["by"], found["reason"], found["left"]) == (answer.by, answer.reason, answer.left)
    assert found["formula_answer"]["macs"] == answer.formula.macs
    assert found["compound"]["kind"] == "compound" and found["compound"]["accuracy"]["of"] == "architecture"
    assert found["best_training"]["trial"] == answer.best.trial
    assert sum(found["shares"].values()) == pytest.approx(1)


def test_a_notebook_shows_the_answer_and_what_stands_beside_it(formula):
    answer = formula.answer(12e6)
    shown = answer._repr_html_()
    for words in ("Answer", "Beside it", "compound scaling", f"best training (trial {answer.best.trial})", "measured"):
        assert words in shown
    assert repr(answer) == f"Answer(12M MACs: {repr(answer.prediction).partition(': ')[2][:-1]}; by search)"


def test_differences_are_named_the_largest_first_and_the_others_counted():
    one = Architecture(BASE, 30, 16, (16, 32, 64), (3, 1, 3), 0)
    assert integer_differences(one, one) == ""
    other = Architecture(BASE, 32, 16, (16, 32, 64), (3, 2, 3), 0)
    assert integer_differences(one, other) == "1 block instead of 2 in stage 2, 30 px instead of 32"
    far = Architecture(BASE, 32, 24, (24, 40, 72), (4, 4, 3), 0)
    assert integer_differences(one, far).endswith(" and 4 more integers")
    assert integer_differences(one, far).startswith("1 block instead of 4 in stage 2, ")


@pytest.fixture
def asked(run, formula, monkeypatch):
    """A function: `planner predict ARGS --flops 12M` with that formula."""
    from planner.answers import formulas
    from planner.formulas.choice import Choice

    monkeypatch.setattr(formulas, "formula_for", lambda macs, *_: Choice("mine.json", formula, macs))
    return lambda *arguments: run("predict", "--flops", "12M", *arguments)


def test_the_command_prints_the_answer_why_it_differs_and_what_else_there_is(asked, formula):
    answer = formula.answer(12e6)
    code, out, err = asked()
    assert (code, err) == (0, "")
    assert f"{BASE} for 12M MACs, 10 classes\nformula: mine.json (30 points, " in out
    assert "answer, the best of all networks by what 30 trainings taught:\n" in out
    assert f"  resolution  {answer.architecture.resolution} px" in out and f"{answer.prediction.macs:,} (" in out
    assert f"expected accuracy: {answer.accuracy['mean']:.1%} (" in out
    assert f"why: {answer.reason}\n" in out
    formulas, best, rule = out.partition("beside it:\n")[2].splitlines()
    assert formulas.startswith(f"  formula: {answer.formula.accuracy['mean']:.1%} expected")
    assert best.startswith(f"  best training: trial {answer.best.trial}, {answer.best.accuracy:.1%} measured")
    assert rule.startswith("  inverse compound (EfficientNet's constants): ") and "expected" in rule


def test_the_command_s_json_smooth_and_caution(asked, formula):
    found = json.loads(asked("--json")[1])
    assert (found["by"], found["formula"], found["space"], found["cautious"]) == (
        "search",
        "mine.json",
        "uniform",
        False,
    )
    smooth = json.loads(asked("--json", "--smooth")[1])
    assert (smooth["by"], smooth["macs"]) == ("formula", formula.predict(12e6).macs)
    assert "answer, on the formula's curves:" in asked("--smooth")[1]
    careful = json.loads(asked("--json", "--cautious")[1])
    assert careful["cautious"] and careful["reason"].startswith("the best lower bound")
    code, _, err = asked("--smooth", "--cautious")
    assert code == 2 and "--cautious has no effect beside --smooth" in err


@pytest.fixture(scope="module")
def reference():
    """The formula of the reference study, fitted anew."""
    from pathlib import Path

    from planner.fitting.fit import fit

    return fit(Path(__file__).parents[3] / "results" / "reference" / "trials.csv")


def test_the_reference_study_answers_with_networks_that_are_expected_to_beat_its_formula(reference):
    for macs, limits in ((6e6, []), (2e6, [exact_limit("memory", 1e6), exact_limit("params", 110e3)])):
        answer = reference.answer(macs, limits)
        assert answer.by in ("search", "training") and answer.prediction.macs <= macs
        assert all(answer.prediction.costs[one.name] <= one.largest for one in limits)
        assert answer.best.accuracy is not None or limits
        columns = [COLUMNS_B0.index(name) for name in reference.answers.surrogate.inputs]
        rows = [stack([one]).integers()[0] for one in (answer.architecture, answer.formula.architecture)]
        costs = [answer.prediction.macs, answer.formula.macs]
        matrix = np.column_stack([np.array(rows)[:, columns], costs]).astype(float)
        ours, formulas = reference.answers.scores(matrix)
        assert ours >= formulas or answer.formula.macs > macs


COLUMNS_B0 = column_names(7)
