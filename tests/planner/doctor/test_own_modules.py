"""A user's own `trainer.py` or `sampler.py` hides none of our packages, or is named in one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import planner

ROOT = Path(planner.__file__).parents[1]
# What needs one package of ours each, and nothing heavy.
USE = "import planner, planner.training.resources\nassert planner.base('resnet18').name == 'resnet18'\n"
THEIRS = ("trainer.py", "sampler.py", "trainer/__init__.py", "sampler/__init__.py", "trainer/utils.py")


@pytest.fixture
def python(tmp_path):
    """A function: runs Python in a folder, which comes before ours on its path; gives what it printed."""

    def ran(*arguments):
        path = os.pathsep.join([str(tmp_path), str(ROOT)])
        environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return ran


@pytest.fixture
def theirs(tmp_path):
    """A function: makes a user's module."""

    def made(name):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("class Own:\n    pass\n")
        return path

    return made


@pytest.mark.parametrize("name", THEIRS)
def test_our_packages_are_found_beside_the_planner(theirs, python, name):
    theirs(name)
    python("-c", USE)


@pytest.mark.parametrize("name", ["trainer.py", "sampler/__init__.py"])
def test_the_command_line_runs_beside_them(theirs, python, name):
    theirs(name)
    assert "1,814,073,344" in python("-m", "planner", "cost", "resnet18")


@pytest.mark.parametrize("name", ["trainer.py", "sampler.py", "trainer/__init__.py"])
@pytest.mark.parametrize("order", ["{}, planner", "planner, {}"])
def test_a_module_that_the_user_imports_is_the_users_and_what_to_rename_is_one_line(theirs, python, name, order):
    path, module = theirs(name), name.removesuffix("/__init__.py").removesuffix(".py")
    said = python(
        "-c",
        f"import {order.format(module)}\n"
        f"print({module}.Own.__module__)\n"
        "for use in ('planner.fit', 'planner.base', 'import_module(\"planner.fitting.fit\")'):\n"
        "    try:\n"
        "        from importlib import import_module\n"
        "        eval(use)\n"
        "    except planner.PlannerError as error:\n"
        "        print(error)\n",
    )
    own, *lines = said.splitlines()
    assert own == module and len(lines) == 3
    for line in lines:
        assert line.startswith(f"{path}: imported as `{module}`") and f"rename yours, such as my_{module}" in line


def test_a_script_of_that_name_can_use_the_planner(theirs, python):
    theirs("trainer.py").write_text(USE + "print(__name__)")
    assert python("trainer.py") == "__main__\n"


def test_spawned_workers_find_ours(theirs, python, tmp_path):
    theirs("trainer.py")
    theirs("sampler.py")
    (tmp_path / "program.py").write_text(
        "import multiprocessing, sys\n"
        "import planner.training.loop\n"
        "if __name__ == '__main__':\n"
        "    ours = sys.modules['trainer.engines.own_packages']\n"
        "    before = list(sys.path)\n"
        "    with ours.first_for_processes():\n"
        "        process = multiprocessing.get_context('spawn').Process(target=ours.found)\n"
        "        process.start()\n"
        "    process.join()\n"
        "    print(process.exitcode, sys.path == before)\n"
    )
    program = (tmp_path / "program.py").read_text().replace("import planner.training.loop\n", "", 1)
    # As a file, whose worker imports the planner again, and as a notebook, whose worker does not.
    assert python("program.py") == "0 True\n"
    assert python("-c", "import planner.training.loop\n" + program) == "0 True\n"


def test_programs_and_machines_that_are_sent_work_find_ours(theirs, python):
    theirs("trainer.py")
    theirs("sampler.py")
    said = python(
        "-c",
        "import os, subprocess, sys\n"
        "import planner.training.loop\n"
        "ours, before = sys.modules['trainer.engines.own_packages'], dict(os.environ)\n"
        "with ours.first_for_programs():\n"
        "    subprocess.run([sys.executable, '-c', 'import sampler; print(sampler.__file__)'])\n"
        "for name in [name for name in sys.modules if name.partition('.')[0] in ('planner', 'sampler', 'trainer')]:\n"
        "    del sys.modules[name]\n"
        "sys.meta_path.pop(0)\n"
        "ours.importer()()\n"
        "print(sys.modules['trainer'].__file__, os.environ == before, flush=True)\n",
    )
    assert sorted(said.splitlines()) == sorted(
        [str(ROOT / "sampler" / "__init__.py"), f"{ROOT / 'trainer' / '__init__.py'} True"]
    )
