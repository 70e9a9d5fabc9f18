"""The first answers come without what is slow to import."""

import json
import subprocess
import sys

import pytest

HEAVY = {
    "torch",
    "torchvision",
    "timm",
    "botorch",
    "gpytorch",
    "sklearn",
    "pandas",
    "scipy",
    "optuna",
    "pymoo",
    "pydantic",
    "ray",
    "submitit",
    "psycopg2",
}


def modules_after(program, folder, lines=0):
    """Top-level modules that a fresh process holds after a program that says so many lines, and its exit code."""
    program = (
        "import json, sys\n"
        "code = 0\n"
        "try:\n" + "".join(f"    {line}\n" for line in program.splitlines()) + "except SystemExit as error:\n"
        "    code = error.code\n"
        "names = sorted({name.partition('.')[0] for name in sys.modules})\n"
        "print(json.dumps([code, names]), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=folder, timeout=120)
    *told, last = done.stderr.splitlines()
    assert len(told) == lines, told
    code, names = json.loads(last)
    return code, set(names), done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        *(["predict", "--flops", "200M", *more] for more in ([], ["--json"])),
        *(["predict", "--flops", "3M", *more] for more in ([], ["--smooth"])),  # of the reference study's surrogate
        ["--help"],
        ["cost", "efficientnet_b0"],
    ],
    ids=" ".join,
)
def test_a_first_answer_imports_nothing_heavy(arguments, tmp_path):
    program = f"sys.argv = ['planner', *{arguments!r}]\nfrom planner.cli import main\nmain()"
    code, names, printed = modules_after(program, tmp_path)
    assert code == 0 and printed
    assert "planner" in names
    assert not names & HEAVY


@pytest.mark.parametrize("arguments", [["--help"], ["predict", "--help"], ["--version"]], ids=" ".join)
def test_help_does_without_numpy_too(arguments, tmp_path):
    program = f"sys.argv = ['planner', *{arguments!r}]\nfrom planner.cli import main\nmain()"
    code, names, printed = modules_after(program, tmp_path)
    assert code == 0 and printed
    assert "sampler" in names and "numpy" not in names


@pytest.mark.parametrize(
    "end", ["--flops 200M --out b0.txt", "--flops 0.9M", "--params 1k", "--flops 200M --dtype float16"]
)
def test_an_export_that_cannot_be_is_refused_before_torch_is_imported(end, tmp_path):
    arguments = ["planner", "export", "--to", "timm", *end.split()]
    code, names, printed = modules_after(
        f"sys.argv = {arguments!r}\nfrom planner.cli import main\nmain()", tmp_path, lines=1
    )
    assert code == 2 and not printed and not names & HEAVY


def test_importing_the_planner_imports_nothing_heavy(tmp_path):
    _, names, _ = modules_after("import planner", tmp_path)
    assert "planner" in names
    assert not names & HEAVY


@pytest.mark.parametrize("name", ["Formula", "complexity", "base", "PlannerError", "Architecture", "Prediction"])
def test_what_needs_no_training_is_light_in_the_library_too(tmp_path, name):
    _, names, _ = modules_after(f"import planner\nplanner.{name}", tmp_path)
    assert not names & HEAVY


def test_an_engine_is_imported_only_where_it_is_chosen(tmp_path):
    _, names, _ = modules_after("import planner.training.loop, planner.study.ledger, trainer.engines.remote", tmp_path)
    assert {"planner", "trainer"} <= names
    assert not names & {"ray", "submitit", "psycopg2", "torch"}


def test_every_public_name_is_there():
    import planner

    assert set(planner.__all__) == set(planner.PUBLIC) == set(dir(planner))
    for name in planner.__all__:
        assert getattr(planner, name).__name__.rpartition(".")[2] == name


def test_every_public_name_of_the_sampler_is_there():
    import sampler

    assert sampler.__all__ == list(sampler._PUBLIC)
    for name, module in sampler._PUBLIC.items():
        assert getattr(sampler, name) is getattr(sys.modules[module], name)
    with pytest.raises(AttributeError, match="module 'sampler' has no attribute 'nope'; public names: RULES, Archi"):
        sampler.nope  # noqa: B018


def test_a_name_that_is_not_public_is_refused_with_those_that_are():
    import planner

    with pytest.raises(AttributeError, match="module 'planner' has no attribute 'nope'; public names: Architecture"):
        planner.nope  # noqa: B018
