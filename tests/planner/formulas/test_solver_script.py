"""solver.js, which the report's slider runs, gives what the library's `Formula.predict` gives, to the integer."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from planner.answers.formula import Formula
from planner.errors import InputError
from planner.fitting.fit import fit
from planner.formulas.branch import Branch
from planner.formulas.codec import dumps
from planner.gaussian.curve import power_law
from planner.tables.table import read_csv
from sampler import architecture_complexity, base, base_names
from sampler.complexity import base_macs

ROOT = Path(__file__).resolve().parents[3]
SOLVER = ROOT / "planner" / "formulas" / "solver.js"
BUDGETS = 10
AT_ONCE = 100  # ms: what an eye takes for no wait
NUDGES = ("pixels_nudged", "stage_nudged", "channels_nudged")
SHAPE = ("resolution", "stem", "widths", "depths", "head")


def follows(name, rule, r, d, c_range, direction="shrink"):
    """A formula of power laws for any base network."""
    network = base(name)
    branch = Branch(rule, c_range, power_law(r), power_law(d))
    return Formula(
        name, network.resolution, 1000, base_macs(name, network.resolution, 1000), "compound", {direction: branch}
    )


@pytest.fixture(scope="module", autouse=True)
def files_without_vectors():
    """The library's answers would be made for the file and again for the test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("planner.formulas.codec.vectors_of", lambda formula: [])
        yield


@pytest.fixture(scope="module")
def formulas(shipped):
    """Fitted ones and power laws, at 20 and at 1000 classes, of three families."""
    return {
        "shipped": shipped,
        "reference, 20 classes": fit(read_csv(ROOT / "results" / "reference" / "trials.csv")),
        "resnet18": follows("resnet18", "inverse", 0.25, 0.2, (0.05, 1.0)),
        "regnet": follows("regnety_008", "pycls", 0.2, 0.25, (0.05, 12.0)),
        "mobilenetv3": follows("mobilenetv3_small_100", "mobilenetv3", 0.3, 0.2, (0.1, 1.0)),
    }


def over_the_range(formula, n):
    """Whole budgets, evenly spaced in their logarithm inside the range."""
    low, high = formula.macs_range
    return [round(low * (high / low) ** ((i + 0.5) / n)) for i in range(n)]


def in_node(script, *documents):
    """What a script prints as JSON; it gets the documents as `input`, and `solve`, which gives an error as text."""
    if shutil.which("node") is None:
        pytest.skip("no node")
    program = f"""
        const {{ solve }} = require({json.dumps(str(SOLVER))});
        const input = JSON.parse(require("fs").readFileSync(0, "utf8"));
        const said = (formula, budget) => {{ try {{ return solve(formula, budget); }} catch (error) {{
          if (!(error instanceof RangeError)) throw error;
          return error.message;
        }} }};
        console.log(JSON.stringify((() => {{ {script} }})()));
    """
    done = subprocess.run(
        ["node", "-e", program], input=json.dumps(documents), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def solved(formula, budgets):
    script = "return input[1].map((budget) => said(input[0], budget))"
    return in_node(script, json.loads(dumps(formula)), budgets)


def library(formula, budget):
    """The library's answer in the script's words."""
    try:
        found = formula.predict(budget, extrapolate=True)
    except InputError as error:
        return str(error)
    answer = {name: getattr(found.architecture, name) for name in SHAPE}
    answer |= {name: list(answer[name]) for name in ("widths", "depths")}
    return answer | {name: getattr(found, name) for name in ("macs", *NUDGES, "c", "r", "d", "w")}


def assert_equal_answers(formula, budgets, place):
    """Every integer and word is equal, and so are the multipliers up to the last bits of an exponential."""
    nudged = set()
    for budget, ours in zip(budgets, solved(formula, budgets), strict=True):
        wanted = library(formula, budget)
        if isinstance(wanted, dict) and isinstance(ours, dict):
            for name in ("c", "r", "d", "w"):
                assert ours.pop(name) == pytest.approx(wanted.pop(name), rel=1e-9, abs=0), (place, budget, name)
            nudged |= {name for name in NUDGES[:2] if wanted[name] not in (0, None)}
        assert ours == wanted, (place, budget)
    return nudged


def test_it_gives_the_librarys_answers_over_the_whole_range(formulas):
    nudged = set()
    for name, formula in formulas.items():
        nudged |= assert_equal_answers(formula, over_the_range(formula, BUDGETS), name)
    assert nudged == {"pixels_nudged", "stage_nudged"}


@pytest.mark.slow
def test_it_gives_the_librarys_answers_to_a_hundred_budgets_of_each_formula(formulas):
    more = {
        "resnet50": follows("resnet50", "inverse", 0.25, 0.2, (0.05, 1.0)),
        "convnext": follows("convnext_nano", "inverse", 0.25, 0.2, (0.05, 1.0)),
        "cifar": follows("resnet20_cifar", "free", 0.2, 0.3, (0.1, 1.0)),
    }
    for name, formula in {**formulas, **more}.items():
        low, high = np.log(formula.macs_range)
        drawn = np.exp(np.random.default_rng(11).uniform(low - 0.3, high + 0.3, 100))
        assert_equal_answers(formula, [round(one) for one in drawn], name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in base_names() if base(name).family not in ("ghost", "vit")])
def test_it_gives_the_librarys_answers_for_every_base_network(name):
    formula = follows(name, base(name).rule, 0.25, 0.2, (0.1, 2.0))
    assert_equal_answers(formula, over_the_range(formula, 4), name)


def assert_equal_or_coarse(formula, budgets):
    """The library's answers, or within the budget what one width and stage reach where that moves further numbers."""
    coarse = 0
    for budget, ours in zip(budgets, solved(formula, budgets), strict=True):
        found, wanted = formula.predict(budget, extrapolate=True), library(formula, budget)
        if ours.pop("coarse", False):
            coarse += 1
            assert ours["macs"] < 0.99 * budget and ours["macs"] <= found.macs <= budget
            one = replace(found.architecture.with_knobs({}), **{name: ours[name] for name in SHAPE})
            assert architecture_complexity(one, formula.classes).macs == ours["macs"]
        else:
            assert not found.finer
            for name in ("c", "r", "d", "w"):
                assert ours.pop(name) == pytest.approx(wanted.pop(name), rel=1e-9, abs=0), (budget, name)
            assert ours == wanted, budget
    return coarse


def test_it_never_passes_the_budget_of_a_network_with_steps_of_its_own(declared_formula):
    budgets = over_the_range(declared_formula, 6)
    assert 0 < assert_equal_or_coarse(declared_formula, budgets) < 6


@pytest.mark.slow
def test_it_answers_a_hundred_budgets_of_networks_with_steps_of_their_own(declared_formula):
    vit = follows("vit_tiny_patch16", "multiples:64:16", 0.25, 0.2, (0.1, 1.0))
    for formula in (declared_formula, vit):
        assert 0 < assert_equal_or_coarse(formula, over_the_range(formula, 100)) < 100


def test_it_looks_far_where_the_narrowest_network_is_near_the_budget():
    formula = follows("efficientnet_b0", "efficientnet", 0.02, 0.05, (0.004, 0.05))
    budgets = [4_000_000, 9_000_000]
    assert_equal_answers(formula, budgets, "far")
    moved = [one["pixels_nudged"] / one["resolution"] for one in solved(formula, budgets) if isinstance(one, dict)]
    assert any(abs(share) > 0.1 for share in moved)


def test_it_refuses_in_the_librarys_words(shipped):
    budgets = [1, 10**15]
    assert all(isinstance(library(shipped, budget), str) for budget in budgets)
    assert_equal_answers(shipped, budgets, "shipped")
    narrow = follows("resnet18", "inverse", 0.0, 0.0, (0.1, 1.0))
    assert_equal_answers(narrow, [10**14], "resnet18")
    assert "beyond any width" in library(narrow, 10**14)


def test_it_will_not_count_beyond_what_its_numbers_hold():
    (said,) = solved(follows("resnet20_cifar", "free", 0.2, 0.3, (0.1, 1.0)), [10**16])
    assert said == "so many MACs cannot be counted exactly here; give a smaller budget"


def test_it_leaves_the_width_of_a_ghost_network_to_the_planner():
    formula = follows("ghostnet_100", "ghost", 0.3, 0.2, (0.2, 1.0))
    budget = over_the_range(formula, 1)[0]
    (found,) = solved(formula, [budget])
    assert found["w"] is None and [found[name] for name in NUDGES] == [0, None, 0]
    answer = formula.predict(budget)
    assert found["resolution"] == answer.architecture.resolution - answer.pixels_nudged


def test_it_takes_one_name_of_a_page_and_nothing_from_outside(shipped):
    script = f"""
        const page = {{ formula: input[0] }}, solver = {json.dumps(str(SOLVER))};
        const files = [solver.replace("solver.js", "evaluator.js"), solver];
        const source = files.map((one) => require("fs").readFileSync(one, "utf8")).join("");
        require("vm").runInNewContext(source + "; answer = solve(formula, 200e6)", page);
        return [page.answer, solve(input[0], 200e6), Object.keys(page)];
    """
    page, node, names = in_node(script, json.loads(dumps(shipped)))
    assert page == node
    assert set(names) == {"formula", "evaluate", "solve", "answer"}


@pytest.mark.slow
def test_it_answers_while_a_slider_moves(shipped):
    script = """
        const times = input[1].map((budget) => { const start = performance.now(); solve(input[0], budget);
          return performance.now() - start; });
        return times.sort((one, other) => one - other);
    """
    times = in_node(script, json.loads(dumps(shipped)), over_the_range(shipped, 200))
    print(f"median {times[100]:.1f} ms, 95 % {times[190]:.1f} ms, most {times[-1]:.1f} ms", file=sys.stderr)
    assert times[190] < AT_ONCE
