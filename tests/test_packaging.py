"""The house rules that a build or an import would break silently."""

import ast
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAY_IMPORT = {"sampler": set(), "trainer": {"sampler"}, "planner": {"sampler", "trainer"}}
TOP_LEVEL = {
    *("planner", "sampler", "trainer", "datasets", "results", "tests", "docs"),
    *("CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md", "constraints.txt", "pyproject.toml"),
}


def imported_packages(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_point_one_way(package):
    allowed = MAY_IMPORT[package] | {package}
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for file in files:
        wrong = set(imported_packages(file)) & set(MAY_IMPORT) - allowed
        assert not wrong, f"{file.relative_to(ROOT)} imports {sorted(wrong)}; {package} may import {sorted(allowed)}"


def test_sampler_needs_nothing_but_numpy():
    # scipy stands inside one function: it is imported only where a Sobol design is asked for.
    allowed = {*sys.stdlib_module_names, "numpy", "scipy", "sampler"}
    for file in (ROOT / "sampler").rglob("*.py"):
        assert set(imported_packages(file)) <= allowed, file


def tracked():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return listed.stdout.split("\n")[:-1]


def test_datasets_and_results_hold_no_python():
    assert not [name for name in tracked() if name.startswith(("datasets/", "results/")) and name.endswith(".py")]


def test_no_images_checkpoints_or_other_big_files_are_kept():
    large = [name for name in tracked() if (ROOT / name).stat().st_size > 2_000_000]
    made = [name for name in tracked() if name.endswith((".npy", ".npz", ".pt", ".safetensors"))]
    assert not large and not made


def test_nothing_else_joins_the_top_level():
    found = {name.split("/")[0] for name in tracked()}
    assert {name for name in found if not name.startswith(".")} <= TOP_LEVEL


def settings():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def test_the_package_list_equals_the_folders_on_disk():
    on_disk = {
        ".".join(file.parent.relative_to(ROOT).parts)
        for package in MAY_IMPORT
        for file in (ROOT / package).rglob("__init__.py")
    }
    assert {name for name in settings()["packages"] if "_shipped" not in name} == on_disk


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    # A copy, so that the build leaves nothing in the checkout.
    source = tmp_path_factory.mktemp("source")
    for name in tracked():
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(source)],
        check=True,
        capture_output=True,
    )
    return zipfile.ZipFile(next(out.glob("*.whl")))


def test_the_wheels_top_level_names_are_the_three_packages(wheel):
    names = {name.split("/")[0] for name in wheel.namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == set(MAY_IMPORT)


def test_the_wheel_holds_what_the_planner_ships(wheel):
    names = set(wheel.namelist())
    for wanted in (
        "planner/_shipped/results/published/efficientnet_b0.csv",
        "planner/_shipped/results/published/formula.json",
        "planner/_shipped/results/published/README.md",
        "planner/formulas/formula.schema.json",
        "planner/formulas/evaluator.js",
        "planner/formulas/solver.js",
        "planner/report/page.js",
        "planner/report/style.css",
        "planner/report/template.html",
        "planner/py.typed",
    ):
        assert wanted in names


def test_the_wheel_holds_no_tests_and_no_importable_data_folder(wheel):
    assert not [name for name in wheel.namelist() if name.startswith(("tests/", "datasets/", "results/"))]
    assert not [name for name in wheel.namelist() if "_shipped" in name and name.endswith(".py")]


def test_constraints_name_no_host_and_no_path():
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert "/" not in line and "@" not in line, line
