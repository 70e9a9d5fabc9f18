"""Three readers of the formula file agree: the library, the README's plain Python, and evaluator.js under node."""

import itertools
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from planner.answers.formula import Formula
from planner.fitting.fit import fit
from planner.formulas.branch import Branch
from planner.formulas.codec import dumps
from planner.formulas.parts import parts_of, resolution_of, rounded_sizes
from planner.formulas.rungs import Rung, rung_at
from planner.gaussian.curve import Curve, power_law
from planner.rules import compound
from sampler import RULES, base, base_names, rule_named
from sampler.complexity import base_macs, count
from sampler.families import family_of
from sampler.scaling import scale
from sampler.solve import width_brackets

ROOT = Path(__file__).resolve().parents[3]
EVALUATOR = ROOT / "planner" / "formulas" / "evaluator.js"
EACH = 125  # random budgets of each formula: 1,000 of eight
LINES, SCRIPT_LINES = 68, 71
INTEGERS = ("resolution", "stem", "widths", "depths", "head", "macs")


def follows(name, rule, r, d, c_range, direction="shrink", at_one=(1.0, 1.0)):
    """A formula of power laws for any base network."""
    network = base(name)
    branch = Branch(rule, c_range, power_law(r, at_one[0]), power_law(d, at_one[1]))
    return Formula(
        name, network.resolution, 1000, base_macs(name, network.resolution, 1000), "compound", {direction: branch}
    )


def synthetic(compound_frame, base_resolution=224):
    """A fit of both directions to noisy power laws."""
    frame = compound_frame(0.21, 0.3, 0.05, 8.0, rows=24)
    rng = np.random.default_rng(5)
    for name in ("r", "d"):
        frame[name] *= np.exp(rng.normal(0, 0.05, len(frame)))
    return fit(frame, share=1.0, base="efficientnet_b0")


def laddered(formula):
    """A formula with a ladder that begins within its range; which networks stand on it is nothing to the readers."""
    low, high = formula.macs_range
    found = {}
    for budget in np.geomspace(1.5 * low, high, 40):
        answer = formula.predict(budget, extrapolate=True)
        found[answer.macs] = Rung(answer.architecture, answer.macs, 0.5, 0.4, 0.6)
    return replace(formula, ladder=tuple(found[macs] for macs in sorted(found)))


@pytest.fixture(scope="module")
def formulas(shipped, published, compound_frame, declared_formula):
    """Formulas of every kind, of one direction and of both, at other sizes, of five families, a declared network."""
    return {
        "shipped": shipped,
        "tinynet, 96 px, 10 classes": fit(published, "tinynet").at(96, 10),
        "compound": compound("efficientnet_b0", 160, 100),
        "compound through a training": follows(
            "efficientnet_b0", "inverse", 0.39, -0.03, (0.05, 0.5), at_one=(2.6, 0.4)
        ),
        "shrinking only": replace(shipped, branches={"shrink": shipped.branches["shrink"]}),
        "synthetic": synthetic(compound_frame),
        "mobilenetv3": follows("mobilenetv3_small_100", "mobilenetv3", 0.3, 0.2, (0.1, 1.0)),
        "regnet": follows("regnety_008", "pycls", 0.2, 0.25, (1.0, 12.0), "enlarge"),
        "convnext": follows("convnext_nano", "inverse", 0.25, 0.2, (0.05, 1.0)),
        "resnet": follows("resnet50", "inverse", 0.25, 0.2, (0.05, 1.0)),
        "declared": declared_formula,
        "declared, 64 px, 7 classes": declared_formula.at(64, 7),
        "vit": follows("vit_tiny_patch16", "multiples:64:16", 0.25, 0.2, (0.1, 1.0)),
        "cifar": laddered(follows("resnet20_cifar", "free", 0.2, 0.3, (0.1, 1.0))),
    }


@pytest.fixture(scope="module")
def documents(formulas):
    return {name: json.loads(dumps(formula)) for name, formula in formulas.items()}


@pytest.fixture(scope="module")
def budgets(formulas):
    """1,000 random budgets and more, some of them outside the formulas' ranges."""
    rng = np.random.default_rng(20260101)
    drawn = {}
    for name, formula in formulas.items():
        low, high = np.log(formula.macs_range)
        drawn[name] = np.exp(rng.uniform(low - 0.3, high + 0.3, EACH)).tolist()
    assert sum(map(len, drawn.values())) >= 1000
    return drawn


def readme_block():
    blocks = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), flags=re.MULTILINE | re.DOTALL)
    return next(block for block in blocks if "def evaluate" in block)


@pytest.fixture(scope="module")
def plain():
    """The README's reader, as a module's names."""
    names = {}
    exec(compile(readme_block(), "README", "exec"), names)
    return names


def in_node(script, *documents):
    """What a script prints as JSON; it gets the documents as `input`, and `evaluate`."""
    if shutil.which("node") is None:
        pytest.skip("no node")
    program = f"""
        const {{ evaluate }} = require({json.dumps(str(EVALUATOR))});
        const input = JSON.parse(require("fs").readFileSync(0, "utf8"));
        console.log(JSON.stringify((() => {{ {script} }})()));
    """
    done = subprocess.run(
        ["node", "-e", program], input=json.dumps(documents), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def answers_of_node(documents, budgets):
    """One call of node for all formulas and budgets."""
    script = """
        const [documents, budgets] = input, answers = {};
        for (const name in documents) answers[name] = budgets[name].map((budget) => evaluate(documents[name], budget));
        return answers;
    """
    return in_node(script, documents, budgets)


def answers_of_library(formula, budgets):
    """c, r, d, w and the integers that the library's own curves, rules and count give."""
    budgets = np.array(budgets)
    c = budgets / formula.base_macs
    answers = []
    for one, budget in zip(c, budgets, strict=True):
        branch = formula.branch(one)
        rule = rule_named(branch.rule)
        r, d = branch.r(one)[0], branch.d(one)[0]
        side = max(int(rule.pixels(formula.resolution, r)[0]), formula.network.stride)
        answers.append({"c": one, "r": r, "d": d, "resolution": side, "budget": budget, "rule": rule})
    for rule in {row["rule"] for row in answers}:
        rows = [row for row in answers if row["rule"] == rule]
        if rows:
            sides, d, asked = (np.array([row[key] for row in rows]) for key in ("resolution", "d", "budget"))
            # The bisection compares element by element, and so takes a budget for each row as well as one for all.
            w, _ = width_brackets(formula.network, rule, sides, d, asked, formula.classes)
            w = np.where(np.isnan(w), 0.001, w)
            scaled = scale(formula.network, rule, sides, d, w)
            macs = count(scaled, formula.classes).macs
            for row, width, one, cost in zip(rows, w, scaled, macs, strict=True):
                row.update(w=width, macs=cost, stem=one.stem, widths=one.widths, depths=one.depths, head=one.head)
    return answers


def assert_agrees(ours, theirs, place):
    for name in ("c", "r", "d", "w"):
        assert ours[name] == pytest.approx(theirs[name], rel=1e-9, abs=0), (place, name)
    for name in INTEGERS:
        one, other = ours[name], theirs[name]
        assert (list(one) == list(other)) if name in ("widths", "depths") else one == other, (place, name)


def test_the_two_small_readers_are_small_and_import_nothing_else():
    python = [line for line in readme_block().splitlines() if line.strip()]
    script = [line for line in EVALUATOR.read_text().splitlines() if line.strip() and not line.strip().startswith("//")]
    assert len(python) <= LINES and len(script) <= SCRIPT_LINES
    assert max(map(len, python + script)) <= 120
    assert [line for line in python if "import" in line] == ["import bisect, json, math"]
    assert not re.search(r"\b(import|require|fetch|eval)\b", "\n".join(script))


def test_the_readers_agree_with_the_library_on_random_budgets(formulas, documents, budgets, plain):
    node = answers_of_node(documents, budgets)
    for name, formula in formulas.items():
        library = answers_of_library(formula, budgets[name])
        for budget, ours, script in zip(budgets[name], library, node[name], strict=True):
            assert_agrees(plain["evaluate"](documents[name], budget), ours, (name, budget, "python"))
            assert_agrees(script, ours, (name, budget, "javascript"))


def test_the_readers_agree_with_the_vectors_in_the_file(documents, plain):
    budgets = {name: [vector["budget"] for vector in document["vectors"]] for name, document in documents.items()}
    node = answers_of_node(documents, budgets)
    for name, document in documents.items():
        for vector, script in zip(document["vectors"], node[name], strict=True):
            wanted = {**vector, **vector["before_nudge"]}
            assert_agrees(plain["evaluate"](document, vector["budget"]), wanted, (name, "python"))
            assert_agrees(script, wanted, (name, "javascript"))


def test_the_readers_find_the_same_rung_of_the_ladder(formulas, documents, budgets, plain):
    formula, document = formulas["cifar"], documents["cifar"]
    near = itertools.chain.from_iterable((rung.macs - 1, rung.macs, rung.macs + 1) for rung in formula.ladder)
    asked = [*near, *budgets["cifar"], *(vector["budget"] for vector in document["vectors"]), 1, 1e18]
    library = [None if (rung := rung_at(formula.ladder, budget)) is None else rung.as_dict() for budget in asked]
    assert [plain["answer"](document, budget) for budget in asked] == library
    assert in_node("return input[1].map((budget) => evaluate.answer(input[0], budget))", document, asked) == library
    told = dict(zip(asked, library, strict=True))
    for vector in document["vectors"]:
        rung = told[vector["budget"]]
        assert vector["ladder"] == (rung and {name: rung[name] for name in INTEGERS})
    assert None in [vector["ladder"] for vector in document["vectors"]]


def test_a_file_without_a_ladder_has_no_rung(documents, plain):
    document = documents["shipped"]
    assert plain["answer"](document, 200e6) is None
    assert in_node("return [evaluate.answer(input[0], 200e6)]", document) == [None]


def test_the_library_answers_the_vectors_of_its_file_to_the_integer(formulas, documents):
    for name, document in documents.items():
        for vector in document["vectors"][::5]:
            answer = formulas[name].predict(vector["budget"], extrapolate=True)
            assert {**answer.architecture.as_dict(), "macs": answer.macs} == vector["answer"], name
            assert abs(answer.macs / vector["budget"] - 1) <= 0.01


def test_vectors_span_the_range_and_both_directions(formulas, documents):
    for name, document in documents.items():
        c = np.array([vector["c"] for vector in document["vectors"]])
        low, high = formulas[name].c_range
        assert 8 <= len(c) <= 10 and (np.diff(c) > 0).all()
        assert c[0] == pytest.approx(low, rel=1e-3) and c[-1] == pytest.approx(high, rel=1e-3)
        if len(document["branches"]) == 2:
            assert (c <= 1).sum() >= 4 and (c > 1).sum() >= 4


def test_a_vectors_width_is_the_widest_that_the_budget_affords(formulas, documents):
    for name, document in documents.items():
        formula = formulas[name]
        for vector in document["vectors"]:
            rule, before = rule_named(formula.branch(vector["c"]).rule), vector["before_nudge"]
            wider = scale(formula.network, rule, before["resolution"], vector["d"], vector["w"] * (1 + 1e-9))
            assert before["macs"] <= vector["budget"] < count(wider, formula.classes).macs[0], name


@pytest.mark.parametrize("name", [name for name in base_names() if base(name).family not in ("ghost", "vit")])
def test_parts_count_every_base_network_under_every_rule_to_the_unit(name, plain):
    rng = np.random.default_rng(len(name))
    network = base(name)
    for rule in RULES.values():
        r, d, w = rng.uniform(0.4, 1.5), rng.uniform(0.3, 2.0), 2 ** rng.uniform(-2.5, 1.5)
        side = plain["whole"](r, resolution_of(network, rule))
        assert side == max(rule.pixels(network.resolution, r)[0], network.stride)
        ours = scale(network, rule, side, d, w)
        found = plain["build"](parts_of(network, rule, 77), side, d, w)
        one = ours[0]
        assert found["macs"] == count(ours, 77).macs[0], rule.name
        assert (found["stem"], found["head"]) == (one.stem, one.head), rule.name
        assert (tuple(found["widths"]), tuple(found["depths"])) == (one.widths, one.depths), rule.name


@pytest.mark.parametrize("name", [name for name in base_names() if base(name).family == "vit"])
def test_counts_count_every_transformer_to_the_unit(name, plain):
    rng, network, classes = np.random.default_rng(len(name)), base(name), 77
    rule = rule_named(network.rule)
    said = {"counts": family_of(network).counts(network, classes)}
    for _ in range(20):
        r, d, w = rng.uniform(0.2, 1.5), rng.uniform(0.05, 2.0), 2 ** rng.uniform(-2.5, 1.5)
        side = plain["whole"](r, resolution_of(network, rule))
        assert side == max(rule.pixels(network.resolution, r)[0], network.stride)
        ours = scale(network, rule, side, d, w)
        sizes, formula = rounded_sizes(network, rule, classes), {"base": {"network": said}, "classes": classes}
        found = plain["build"](sizes, side, d, w, formula)
        assert found["macs"] == count(ours, classes).macs[0]
        assert (tuple(found["widths"]), tuple(found["depths"])) == (ours[0].widths, ours[0].depths)


def test_a_ghost_networks_file_gives_everything_but_the_width(plain):
    formula = follows("ghostnet_100", "ghost", 0.3, 0.2, (0.2, 1.0))
    document = json.loads(dumps(formula))
    assert document["branches"]["shrink"]["parts"] == []
    budgets = [vector["budget"] for vector in document["vectors"]]
    for vector, script in zip(document["vectors"], answers_of_node({"g": document}, {"g": budgets})["g"], strict=True):
        for name in ("c", "r", "d"):
            assert script[name] == pytest.approx(vector[name], rel=1e-9)
        assert script["resolution"] == vector["before_nudge"]["resolution"]
        assert script["w"] is None
        assert vector["answer"]["macs"] == pytest.approx(vector["budget"], rel=0.01)


def test_a_curve_on_top_of_another_is_evaluated_with_its_weight(documents, plain):
    def bump(slope, alpha):
        return Curve("log", "log", 0.02, slope, 0.1, 0.3, 0.8, 0.01, np.array([-1.0, 0.5]), np.array(alpha))

    def written(curve):
        lists = {name: getattr(curve, name).tolist() for name in ("inputs", "alpha")}
        numbers = {name: value for name, value in vars(curve).items() if name not in lists}
        return {**{name: value for name, value in numbers.items() if not name.startswith("prior")}, **lists}

    own, prior, oldest = bump(0.2, [0.1, -0.2]), bump(0.3, [0.4, 0.3]), bump(-0.1, [-0.2, 0.1])
    deep = {**written(prior), "prior": written(oldest), "prior_weight": 0.25}
    document = json.loads(json.dumps(documents["shrinking only"]))
    document["branches"]["shrink"]["r"] = {**written(own), "prior": deep, "prior_weight": 0.6}
    budgets = np.geomspace(3e7, 3e8, 7).tolist()
    node = answers_of_node({"p": document}, {"p": budgets})["p"]
    for budget, script in zip(budgets, node, strict=True):
        c = budget / document["base"]["macs"]
        wanted = np.exp(own.mean(c) + 0.6 * (prior.mean(c) + 0.25 * oldest.mean(c)))[0]
        assert script["r"] == pytest.approx(wanted, rel=1e-9)
        assert plain["evaluate"](document, budget)["r"] == pytest.approx(wanted, rel=1e-9)


def test_the_script_works_in_a_page_that_has_no_modules(documents):
    script = f"""
        const page = {{ formula: input[0] }};
        const source = require("fs").readFileSync({json.dumps(str(EVALUATOR))}, "utf8");
        require("vm").runInNewContext(source + "; answer = evaluate(formula, 200e6)", page);
        return [page.answer, evaluate(input[0], 200e6), Object.keys(page)];
    """
    page, node, names = in_node(script, documents["shipped"])
    assert page == node
    assert set(names) == {"formula", "evaluate", "answer"}  # one name of its own


@pytest.mark.parametrize("budget", [1.0, 1e4, 1e15])
def test_a_budget_beyond_any_width_ends_in_an_answer(documents, plain, budget):
    node = answers_of_node({"s": documents["shipped"]}, {"s": [budget]})["s"][0]
    for found in (node, plain["evaluate"](documents["shipped"], budget)):
        assert found["w"] == 0.001 or found["macs"] <= budget
