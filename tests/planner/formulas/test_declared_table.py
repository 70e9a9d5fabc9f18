"""From a table of trainings of a declared network to its formula, its answers and its report."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from planner.answers.formula import Formula
from sampler import architecture_complexity


@pytest.fixture(scope="module")
def studied(declared, declared_table, tmp_path_factory):
    """The table's file, and the folder in which all is written."""
    folder = tmp_path_factory.mktemp("declared")
    declared_table.to_csv(folder / "table.csv", index=False)
    return folder


@pytest.mark.slow
def test_a_table_gives_a_formula_answers_and_a_report(declared, studied, run):
    code, out, told = run("fit", studied / "table.csv", "--out", studied / "f.json")
    assert code == 0, told
    formula = Formula.load(studied / "f.json")
    assert formula.base == declared.name and formula.ladder and formula.surrogate is not None
    for budget in np.geomspace(*formula.macs_range, 5)[1:-1].round().astype(int):
        code, out, told = run("predict", "--formula", studied / "f.json", "--flops", budget, "--json")
        assert code == 0, told
        answer = json.loads(out)
        assert 0.99 * budget <= answer["macs"] <= budget and answer["stem"] == answer["head"] == 0
        one = declared.architecture()
        shape = one.base, answer["resolution"], 0, answer["widths"], answer["depths"], 0
        again = type(one)(*shape).with_knobs(answer.get("knobs", {}))
        assert architecture_complexity(again, 20).macs == answer["macs"]
    code, out, told = run("predict", "--formula", studied / "f.json", "--flops", budget)
    assert code == 0 and "stem" not in out
    check_report(run, studied, formula)


def check_report(run, studied, formula):
    """The page counts as the library does, and speaks of no stem's or head's channels."""
    code, _, told = run(
        "report", studied / "table.csv", "--formula", studied / "f.json", "--out", studied / "report.html"
    )
    assert code == 0, told
    text = (studied / "report.html").read_text()
    listed = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    header = re.search(r"<table>(?:(?!</thead>).)*from MACs.*?</thead>", listed, re.DOTALL)[0]
    assert "stem" not in header and "depths" in header
    if shutil.which("node") is None:
        pytest.skip("no node")
    inside = re.search(r'id="formula">(.*?)</script>', text, re.DOTALL)[1]
    script = text[text.rindex("<script>") + len("<script>") : text.index("// The report's own script")]
    budgets = [rung.macs for rung in formula.ladder[:: len(formula.ladder) // 5]]
    program = f"""{script}; const formula = JSON.parse(require('fs').readFileSync(0)), budgets = {json.dumps(budgets)};
      console.log(JSON.stringify(budgets.map((one) => [solve(formula, one), evaluate.answer(formula, one)])))"""
    done = subprocess.run(["node", "-e", program], input=inside, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    for budget, (smooth, rung) in zip(budgets, json.loads(done.stdout), strict=True):
        assert rung["macs"] == budget >= smooth["macs"]
        assert smooth.get("coarse", False) or smooth["macs"] >= 0.99 * budget
