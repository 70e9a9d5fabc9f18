"""Formula files of declared networks: what costs are comes with them, and every reader of them counts the same."""

import copy
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from planner import PlannerError
from planner.answers.formula import Formula
from planner.formulas.branch import Branch
from planner.formulas.codec import dumps, read_formula, signed
from planner.formulas.rungs import Rung
from planner.gaussian.curve import power_law
from sampler import architecture_complexity
from sampler.declared.expressions import evaluated
from sampler.declared.family import know_declared
from sampler.families import unregister_family
from sampler.families.registry import known_bases
from sampler.scaling import rule_named, scale

ROOT = Path(__file__).resolve().parents[3]
EVALUATOR = ROOT / "planner" / "formulas" / "evaluator.js"
EXPRESSIONS, NETWORKS = 400, 5
RESOLUTION = {"resolution": 64, "widths": [24, 40], "depths": [2, 5], "knobs": {"heads": [3, 4]}}


def in_node(script, *given):
    """What a script prints as JSON; it gets what is given as `input`, and `evaluate`."""
    if shutil.which("node") is None:
        pytest.skip("no node")
    program = f"""
        const {{ evaluate }} = require({json.dumps(str(EVALUATOR))});
        const input = JSON.parse(require("fs").readFileSync(0, "utf8"));
        console.log(JSON.stringify((() => {{ {script} }})()));
    """
    done = subprocess.run(["node", "-e", program], input=json.dumps(given), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def plain():
    """The README's reader, as a module's names."""
    blocks = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), flags=re.MULTILINE | re.DOTALL)
    names = {}
    exec(compile(next(block for block in blocks if "def evaluate" in block), "README", "exec"), names)
    return names


@pytest.fixture(scope="module")
def text(declared_formula):
    """The file of the declared network's formula."""
    return dumps(declared_formula)


@pytest.fixture
def forgotten(declared, declared_formula):
    """The declared network is unknown while a test runs."""
    description = known_family(declared).description
    unregister_family(declared.family)
    yield description
    know_declared(description, anew=True)


def known_family(network):
    from sampler.families import family_of

    return family_of(network)


def random_expression(rng, names, cells, depth=4):
    """An expression of some names and so many cells; divisors are positive."""

    def inner():
        return random_expression(rng, names, cells, depth - 1)

    kind = rng.integers(14 if depth else 2)
    if kind == 0 or (kind == 2 and not cells):
        return int(rng.integers(-9, 40))
    if kind == 1:
        return str(rng.choice(names))
    if kind == 2:
        return ["cell", int(rng.integers(cells))]
    if kind in (3, 4):
        name = str(rng.choice(["+", "*", "max", "min"]))
        return [name, *(inner() for _ in range(rng.integers(1, 4)))]
    if kind == 5:
        return ["-", inner(), inner()]
    if kind in (6, 7):
        return [str(rng.choice(["//", "%"])), inner(), int(rng.integers(1, 30))]
    if kind == 8:
        return [str(rng.choice(["==", "!=", "<", ">="])), inner(), inner()]
    if kind == 9:
        return ["round", inner(), int(rng.integers(1, 5)), int(rng.integers(1, 9))]
    if kind == 10:
        n, m, k = (int(one) for one in rng.integers(1, 9, 3))
        return ["divisible", inner(), n, m, k, int(rng.integers(2))]
    if kind == 11:
        values = [int(one) for one in rng.integers(-9, 99, 5)]
        return ["table", ["%", inner(), 5], [0, 1, 2, 3, 4], values]
    if kind == 12:
        return ["cycle", inner(), [int(one) for one in rng.integers(0, 99, rng.integers(1, 5))]]
    if "index" in names:
        return inner()
    body = random_expression(rng, [*names, "index"], 0, depth - 1)
    return ["sum", int(rng.integers(-2, 3)), ["%", inner(), 7], body]


def test_both_small_readers_evaluate_random_expressions_as_the_library_does(plain):
    rng = np.random.default_rng(7)
    names = ["resolution", "classes", *(f"{kind}_{i}" for kind in ("width", "depth", "heads") for i in (1, 2))]
    cells = []
    for _ in range(4):
        cells.append(random_expression(rng, names, len(cells), 2))
    wanted = [random_expression(rng, names, len(cells)) for _ in range(EXPRESSIONS)]
    counts = {"follows": {"heads_2": ["max", 1, ["//", "width_2", 16]]}, "cells": cells, "parts": []}
    formula = {"base": {"network": {"counts": counts}}, "classes": 10}
    networks = [
        {
            "resolution": int(rng.integers(1, 300)),
            "widths": rng.integers(1, 500, 2).tolist(),
            "depths": rng.integers(1, 9, 2).tolist(),
            "knobs": {"heads": rng.integers(1, 9, 2).tolist()},
        }
        for _ in range(NETWORKS)
    ]
    script = "return input[1].map((of) => input[2].map((network) => evaluate.count(input[0], network, of)))"
    node = in_node(script, formula, wanted, networks)
    compared = 0
    for row, network in enumerate(networks):
        known = {"resolution": network["resolution"], "classes": 10}
        for name, values in (("width", network["widths"]), ("depth", network["depths"]), *network["knobs"].items()):
            known |= {f"{name}_{i}": value for i, value in enumerate(values, 1)}
        for expression, said in zip(wanted, node, strict=True):
            found = plain["value"](expression, dict(known), cells)
            assert type(found) is int
            if abs(found) > 2**50:  # beyond what 64 bits hold on the way, or JavaScript's numbers
                continue
            library = evaluated(cells, expression, {name: np.array([value]) for name, value in known.items()})
            assert found == said[row] == int(library.reshape(-1)[0]), (expression, known)
            compared += 1
    assert compared > 0.9 * EXPRESSIONS * NETWORKS


def test_knobs_that_a_network_does_not_say_follow_in_both_small_readers(plain, declared, declared_formula, text):
    document = json.loads(text)
    one = declared.architecture()
    asked = [one, one.with_knobs({"heads": (1, 1, 8)}), one.with_knobs({"heads": (4, 2, 2), "kernel": (7,)})]
    exact = [architecture_complexity(each, declared_formula.classes).macs for each in asked]
    assert len(set(exact)) == 3
    given = [each.as_dict() for each in asked]
    assert [plain["count"](document, each) for each in given] == exact
    assert in_node("return input[1].map((one) => evaluate.count(input[0], one))", document, given) == exact


def test_a_ladder_of_networks_with_knobs_is_read_and_counted(plain, declared, declared_formula):
    base, rungs = declared.architecture(), []
    for heads in ((1, 1, 1), (2, 2, 4), (4, 4, 8)):
        one = base.with_knobs({"heads": heads})
        rungs.append(Rung(one, architecture_complexity(one, 20).macs, 0.5, 0.4, 0.6))
    formula = replace(declared_formula, ladder=tuple(sorted(rungs, key=lambda rung: rung.macs)))
    document = json.loads(dumps(formula))
    again = read_formula(json.dumps(document), Formula)
    assert [rung.architecture for rung in again.ladder] == [rung.architecture for rung in formula.ladder]
    for rung in document["ladder"]:
        assert set(rung["knobs"]) == {"heads"}
        assert plain["answer"](document, rung["macs"]) == rung
        assert plain["count"](document, rung) == rung["macs"]
    said = (
        "return input[0].ladder.map((rung) => [evaluate.answer(input[0], rung.macs), evaluate.count(input[0], rung)])"
    )
    assert in_node(said, document) == [[rung, rung["macs"]] for rung in document["ladder"]]
    known = [vector["ladder"] for vector in document["vectors"] if vector["ladder"]]
    assert known and all(set(one["knobs"]) == {"heads"} for one in known)
    document["ladder"][0]["knobs"] = {"weather": [1]}
    with pytest.raises(PlannerError, match=r"ladder\[0\] cannot be built: spectral: .* has no knob weather"):
        read_formula(json.dumps(signed(document)), Formula)


def test_sizes_give_the_librarys_integers_whatever_the_stages_divisors(plain, declared, text):
    sizes = json.loads(text)["branches"]["shrink"]["sizes"]
    rng = np.random.default_rng(3)
    w, d = np.exp(rng.uniform(np.log(1e-3), np.log(6), 2000)), np.exp(rng.uniform(np.log(0.05), np.log(6), 2000))
    ones = scale(declared, rule_named(declared.rule), 96, d, w)
    for row in range(len(w)):
        assert [plain["whole"](w[row], one["width"]) for one in sizes[1:-1]] == ones.widths[row].tolist()
        assert [plain["whole"](d[row], one["depth"]) for one in sizes[1:-1]] == ones.depths[row].tolist()
    assert [plain["whole"](1.0, sizes[end]["width"]) for end in (0, -1)] == [0, 0]


def test_a_file_alone_makes_the_network_known(forgotten, text, declared_formula):
    name = forgotten.name
    assert name not in known_bases()
    again = read_formula(text, Formula)
    assert known_bases()[name] == forgotten.base()
    assert known_family(known_bases()[name]).description == forgotten
    assert dumps(again) == text
    assert repr(again.predict("3M")) == repr(declared_formula.predict("3M"))


def test_a_file_answers_in_a_process_that_has_neither_torch_nor_the_users_file(tmp_path, text):
    path = tmp_path / "formula.json"
    path.write_text(text)
    script = (
        "import sys; sys.modules['torch'] = None; import runpy; sys.argv = ['planner', 'predict', '--formula', "
        f"{str(path)!r}, '--flops', '3M']; runpy.run_module('planner', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "spectral" in done.stdout and "stem" not in done.stdout


def test_a_file_of_another_network_of_a_known_name_is_refused_in_one_line(declared, text):
    document = json.loads(text)
    document["base"]["network"]["declared"]["least"] = 16
    with pytest.raises(PlannerError, match="network 'spectral' is known already, and another"):
        read_formula(json.dumps(signed(document)), Formula)
    assert known_family(declared).description.least == 32


def test_a_file_that_is_refused_leaves_no_network_behind(forgotten, text):
    document = json.loads(text)
    document["base"]["macs"] += 1
    with pytest.raises(PlannerError, match="macs of spectral is"):
        read_formula(json.dumps(signed(document)), Formula)
    assert forgotten.name not in known_bases()


def test_a_file_may_not_take_the_name_of_a_network_of_ours(text):
    told = json.loads(text.replace('"spectral"', '"efficientnet_b0"').replace("declared/spectral", "efficientnet"))
    with pytest.raises(PlannerError, match="'efficientnet_b0' is already known"):
        read_formula(json.dumps(signed(told)), Formula)


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("cells", 0), ["//", "resolution", 0], r"cells[0] holds ['//', 'resolution', 0]"),
        (("cells", 0), ["cell", 0], r"cells[0] holds ['cell', 0]"),
        (("cells", 1), "weather", r"cells[1] holds 'weather'"),
        (("cells", 1), ["+", True], r"cells[1] holds True"),
        (("cells", 1), [], r"cells[1] holds []"),
        (("cells", 1), [["+"], 1], r"cells[1] holds [['+'], 1]"),
        (("cells", 1), ["open", "width_1"], r"cells[1] holds ['open', 'width_1']"),
        (("parts", 1, "macs"), ["-", "width_1"], r"parts[1].macs holds ['-', 'width_1']"),
        (("parts", 1, "macs"), ["table", "width_1", [2, 1], [1, 2]], r"parts[1].macs holds ['table'"),
        (("parts", 1, "macs"), ["cycle", "width_1", []], r"parts[1].macs holds ['cycle'"),
        (("parts", 1, "macs"), ["sum", 1, 2, ["sum", 1, 2, "index"]], r"parts[1].macs holds ['sum'"),
        (("parts", 1, "macs"), "index", r"parts[1].macs holds 'index'"),
        (("parts", 1, "macs"), 1.5, "parts[1].macs is 1.5"),
        (("parts", 1, "part"), 4, "parts[1].part is 4"),
        (("alive",), ["cell", 99], "alive holds ['cell', 99]"),
        (("follows", "weather"), 3, "follows has 'weather'"),
        (("follows", "heads_1"), "heads_2", "follows.heads_1 holds 'heads_2'"),
    ],
)
def test_counts_that_nobody_could_evaluate_are_refused_by_their_place(text, place, value, words):
    document = json.loads(text)
    inner = document["base"]["network"]["counts"]
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    with pytest.raises(PlannerError) as told:
        read_formula(json.dumps(signed(document)), Formula)
    assert words in str(told.value) and "\n" not in str(told.value)


def test_expressions_that_are_too_deep_are_refused(text):
    document, deep = json.loads(text), "width_1"
    for _ in range(150):
        deep = ["+", deep]
    document["base"]["network"]["counts"]["alive"] = deep
    with pytest.raises(PlannerError, match="counts.alive holds"):
        read_formula(json.dumps(signed(document)), Formula)


def test_counts_that_the_network_does_not_have_are_refused(text):
    document = json.loads(text)
    changed = copy.deepcopy(document)
    del changed["base"]["network"]["declared"]
    with pytest.raises(PlannerError, match="its table of spectral is not this version's"):
        read_formula(json.dumps(signed(changed)), Formula)
    changed = copy.deepcopy(document)
    changed["branches"]["shrink"]["sizes"][1]["width"]["group"] = 24
    with pytest.raises(PlannerError, match="resolution or parts or sizes of shrink are not this version's"):
        read_formula(json.dumps(signed(changed)), Formula)


def test_the_file_of_a_network_that_is_traced_says_no_macs_and_needs_the_users_file(knows, declared):
    description = replace(known_family(declared).description, name="traced", counts=None)

    def tracer(sizes, classes):
        macs = sizes.resolution**2 * sizes.widths.sum(axis=1) * sizes.depths.sum(axis=1)
        return np.column_stack([macs, macs, macs, macs, 0 * macs])

    network = knows(description)
    know_declared(description, tracer, anew=True)
    macs = int(tracer(*sizes_and_classes(network))[0, 0])
    branch = Branch(network.rule, (0.1, 1.0), power_law(0.25), power_law(0.2))
    text = dumps(Formula("traced", network.resolution, 20, macs, "compound", {"shrink": branch}))
    document = json.loads(text)
    assert "counts" not in document["base"]["network"] and document["branches"]["shrink"]["parts"] == []
    assert "sizes" not in document["branches"]["shrink"]
    assert dumps(read_formula(text, Formula)) == text
    vector = document["vectors"][3]
    said = in_node("return evaluate(input[0], input[1])", document, vector["budget"])
    assert said["w"] is None and said["r"] == pytest.approx(vector["r"], rel=1e-9)
    know_declared(replace(description, derived={"traces": 1}), None, anew=True)
    with pytest.raises(
        PlannerError, match="traced is counted by tracing each architecture, which needs its file; name"
    ):
        read_formula(text, Formula)


def sizes_and_classes(network):
    """The base network's own sizes, as a tracer gets them."""
    from sampler import stack
    from sampler.complexity import sizes_of

    return sizes_of(stack([network.architecture()])), 20
