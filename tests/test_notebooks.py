"""The notebooks in docs/ run from the first cell to the last, as a new user runs them."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
# A cell at a time in one namespace; of a last line that is an expression what a notebook would show of it.
RUNNER = """
import ast, json, sys, types
main = types.ModuleType("__main__")
sys.modules["__main__"] = main
for number, cell in enumerate(json.load(open(sys.argv[1]))["cells"]):
    if cell["cell_type"] != "code":
        continue
    tree = ast.parse("".join(cell["source"]), f"cell {number}")
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, f"cell {number}", "exec"), main.__dict__)
    shown = last and eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), main.__dict__)
    if shown is not None:
        print(f"cell {number}:", repr(shown), getattr(shown, "_repr_html_", str)())
"""


def cells(path, kind):
    return ["".join(cell["source"]) for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == kind]


@pytest.fixture
def ran(tmp_path):
    """A function: what a notebook shows, run in an empty folder by a process of its own; and its stderr."""

    def run(path):
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        caches = {"SCALING_PLANNER_CACHE": str(tmp_path / "cache"), "MPLBACKEND": "agg"}
        done = subprocess.run(
            [sys.executable, "-c", RUNNER, str(path)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, **caches, "PYTHONPATH": os.pathsep.join(paths)},
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout, done.stderr

    return run


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_what_it_printed(path):
    for cell in json.loads(path.read_text())["cells"]:
        assert cell["cell_type"] == "markdown" or (cell["outputs"], cell["execution_count"]) == ([], None)
    for code in cells(path, "code"):
        ast.parse(code)


@pytest.mark.slow
def test_a_new_user_s_day(ran, tmp_path):
    shown, said = ran(ROOT / "docs" / "notebooks" / "own_network.ipynb")
    # By hand: a convolution of five taps, stride two, over 64 samples; four of three taps; two outputs of 32 channels.
    macs = 32 * 5 * 32 + 4 * 32 * 3 * 32 * 32 + 32 * 2
    params = (5 * 32 + 3 * 32) + 4 * (3 * 32 * 32 + 3 * 32) + (32 * 2 + 2)
    assert f"{macs:,} MACs, {params:,} parameters" in shown
    assert "rmse" in shown and "accuracy" not in shown.lower() and "Warning" not in said
    table = (tmp_path / "results" / "waves" / "trials.csv").read_text().splitlines()
    assert len(table) == 1 + 26 and all(",ok," in line for line in table[1:])
    assert "torch.Size([1, 2])" in shown
    assert "rmse (lower is better)" in (tmp_path / "results" / "waves" / "report.html").read_text()
