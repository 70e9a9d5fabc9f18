"""`planner doctor`: every problem is one line with the command that mends it, also where torch is broken."""

import json
import os
import subprocess
import sys
from collections import namedtuple
from importlib import metadata
from importlib.machinery import ModuleSpec

import pytest

import trainer.cores
from planner.doctor import installed, machine
from planner.doctor.installed import (
    PackageProbe,
    fit_check,
    gpu_check,
    known_good,
    package_checks,
    probe,
    requirements,
    satisfies,
)
from planner.doctor.machine import LEAST_DISK, Check, machine_checks
from planner.study import urls

FEW = {"click": "click", "torch": "torch", "torchvision": "torchvision", "timm": "timm"}
USAGE = namedtuple("USAGE", "total used free")
# As much of torch as the probe asks for.
TORCH = """
import types
cuda = types.SimpleNamespace(device_count=lambda: 0)
version = types.SimpleNamespace(cuda=None)
get_num_threads = lambda: 3
"""


@pytest.fixture
def broken(monkeypatch, tmp_path):
    """A function: packages of these texts stand before those installed; only few packages are looked at."""
    monkeypatch.setattr(installed, "PACKAGES", FEW)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "fake"), os.environ.get("PYTHONPATH", "")]))

    def fake(**texts):
        for name, text in texts.items():
            (tmp_path / "fake" / name).mkdir(parents=True)
            (tmp_path / "fake" / name / "__init__.py").write_text(text)

    return fake


def problems(checks):
    return {check.name: check for check in checks if check.problem}


def test_a_machine_on_which_all_is_well_is_0(run, monkeypatch):
    monkeypatch.setattr(installed, "PACKAGES", {name: FEW[name] for name in ("click", "torch", "torchvision")})
    code, out, err = run("doctor", "--json")
    answer = json.loads(out)
    assert (code, err, answer["ok"], answer["problems"]) == (0, "", True, [])
    found = {check["name"]: check["found"] for check in answer["checks"]}
    assert found["torch"].startswith(metadata.version("torch")) and found["torch with torchvision"] == "fit together"
    assert answer["torch"]["threads"] >= 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("raise ImportError('libcudart.so.13: cannot open\\nmore')", "does not import (ImportError: libcudart.so.13: "),
        ("import os; os.abort()", "does not import (ends Python by SIGABRT)"),
        ("import os; os._exit(7)", "does not import (ends Python with exit code 7)"),
        ("import sys; sys.exit('no')", "does not import (SystemExit: no)"),
    ],
)
def test_a_broken_torch_is_one_line_and_2(broken, run, text, words):
    broken(torch=text, torchvision="import torch", timm="import torch")
    code, out, err = run("doctor")
    lines = [line for line in out.splitlines() if words in line]
    assert (code, err) == (2, "") and len(lines) == 1
    pins = known_good()
    mend = f"pip install --force-reinstall torch=={pins['torch']} torchvision=={pins['torchvision']}"
    assert lines[0].startswith("  torch: ") and lines[0].endswith(f"; {mend}")
    assert "to mend (1):" in out  # torchvision and timm are not blamed


def test_a_broken_torch_does_not_bring_the_command_down(broken, tmp_path):
    broken(torch="import os; os.abort()")
    patch = (
        "import planner.doctor.installed as i; i.PACKAGES = {'torch': 'torch'}; from planner.cli import main; main()"
    )
    root = os.pathsep.join([os.environ["PYTHONPATH"], str(installed.shipped())])
    environment = {**os.environ, "PYTHONPATH": root}
    program = [sys.executable, "-c", patch, "doctor"]
    done = subprocess.run(program, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stderr) == (2, "") and "SIGABRT" in done.stdout


def test_only_torch_and_torchvision_are_imported(broken, run):
    broken(torch=TORCH, torchvision="", timm="import os; os.abort()", click="import os; os.abort()")
    assert probe().errors.keys() == {"torch", "torch's devices", "torchvision", "torchvision's operators"}
    found = {check.name: check for check in package_checks(probe())}
    assert not found["timm"].problem and found["timm"].found.startswith(metadata.version("timm"))


def test_a_package_without_its_files_or_of_a_version_that_does_not_fit_is_a_problem(monkeypatch):
    monkeypatch.setattr(installed, "PACKAGES", {"no_such_module": "timm", "numpy": "numpy", "pandas": "pandas"})
    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "1.2" if name == "numpy" else real(name))
    monkeypatch.setattr(installed, "requirements", dict)
    found = problems(package_checks(PackageProbe()))
    assert found["timm"].problem == "has lost its module no_such_module"
    assert "--force-reinstall timm" in found["timm"].mend
    needs = found["pandas"].problem.removeprefix("wants ")
    assert needs.startswith("numpy>=") and found["pandas"].mend == f"pip install '{needs}'"


def test_a_torchvision_of_another_build_is_told_from_a_broken_one(broken):
    broken(torch=TORCH, torchvision="raise RuntimeError('operator torchvision::nms does not exist')", timm="")
    probed = probe()
    found = problems(package_checks(probed))
    assert probed.torch["threads"] == 3 and list(found) == ["torchvision"]
    assert "operator torchvision::nms does not exist" in found["torchvision"].problem
    assert " torch==" in found["torchvision"].mend and " torchvision==" in found["torchvision"].mend


def test_operators_that_do_not_run_do_not_fit(broken):
    broken(torch=TORCH, torchvision="", timm="")
    found = problems(package_checks(probe()))
    assert list(found) == ["torch with torchvision"] and "AttributeError" in found["torch with torchvision"].problem


def test_versions_that_do_not_belong_together_do_not_fit(monkeypatch):
    fine = PackageProbe({"torch": "", "torchvision": "", "torchvision's operators": ""})
    assert not fit_check(fine, {}).problem
    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "2.11.0" if name == "torch" else real(name))
    check = fit_check(fine, {})
    assert "wants torch>=" in check.problem and "torch 2.11.0 is installed" in check.problem
    assert check.mend == "pip install --force-reinstall torch torchvision"


def test_versions_are_held_against_what_is_needed_and_what_is_known(monkeypatch):
    monkeypatch.setattr(installed, "PACKAGES", {"numpy": "numpy", "nothing": "no-such-package", "click": "click"})
    monkeypatch.setattr(installed, "requirements", lambda: {"numpy": ">=99", "no-such-package": ">=1"})
    monkeypatch.setattr(installed, "known_good", lambda: {"click": "1.0"})
    checks = {check.name: check for check in package_checks(PackageProbe({"numpy": "", "click": ""}))}
    assert checks["numpy"].problem == ">=99 is wanted" and checks["numpy"].mend == "pip install --upgrade 'numpy>=99'"
    assert checks["no-such-package"].mend == "pip install 'no-such-package>=1'"
    assert not checks["click"].problem and "(known good: 1.0)" in checks["click"].found
    assert satisfies("2.15.0+cpu", "==2.15.0") and not satisfies("2.10.9", ">=2.11")


def test_what_the_planner_needs_is_what_it_declares():
    needs = requirements()
    assert needs["torch"].startswith(">=") and {"numpy", "timm", "optuna"} <= needs.keys()
    assert "pytest" not in needs and set(installed.PACKAGES.values()) == needs.keys()
    assert known_good()["numpy"]


@pytest.mark.parametrize(
    ("cuda", "words", "mend"),
    [
        (None, "this torch is for CPUs only", "pip install --force-reinstall torch torchvision"),
        (
            "13.2",
            "torch for CUDA 13.2 cannot use this NVIDIA driver",
            "pip install --force-reinstall torch torchvision --index-url https://download.pytorch.org/whl/cuXXX "
            "with the CUDA that `nvidia-smi` shows for cuXXX",
        ),
    ],
)
def test_a_gpu_that_torch_does_not_see_is_a_problem(monkeypatch, tmp_path, cuda, words, mend):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    seen = PackageProbe(torch={"threads": 1, "cuda": cuda, "gpus": []})
    monkeypatch.setattr(installed, "DRIVER", tmp_path / "none")
    assert not gpu_check(seen, {}).problem
    (tmp_path / "version").write_text("590")
    monkeypatch.setattr(installed, "DRIVER", tmp_path / "version")
    check = gpu_check(seen, {})
    assert words in check.problem and check.mend == mend
    seen.torch["gpus"] = [["H200", 150_000_000_000]]
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(tmp_path))
    assert gpu_check(seen, {}).found.startswith("H200 (150 GB)") and not gpu_check(seen, {}).problem
    assert "until `nvidia-cuda-mps-control -d` runs" in gpu_check(seen, {}).found
    (tmp_path / "control").touch()  # as the service makes it
    assert "multi-process" not in gpu_check(seen, {}).found
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    seen.torch["gpus"] = []
    assert not gpu_check(seen, {}).problem


def test_a_full_disk_shared_memory_and_wrong_threads_are_problems(run, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "4096")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: USAGE(10**12, 10**12, LEAST_DISK - 1))
    found = problems(machine_checks())
    assert list(found) == ["cores", "disk"]
    assert found["cores"].mend == "unset OMP_NUM_THREADS" and "less than 1 GB free" in found["disk"].problem
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: USAGE(10**12, 10**12, 1000))
    assert "size=1G" in problems(machine_checks())["shared"].mend


def test_threads_for_nested_regions_are_no_problem(monkeypatch):
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    for value, wrong in (("1,2", False), ("0", True), ("4096,1", True), ("many", True)):
        monkeypatch.setenv("OMP_NUM_THREADS", value)
        assert bool(machine.cores_check().problem) == wrong, value


def test_the_threads_that_trainings_will_have_are_told(monkeypatch, tmp_path):
    monkeypatch.setattr(trainer.cores, "QUOTA", tmp_path / "none")
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: set(range(8)))
    for value, words in (("1", "with --workers 1: 1 of 1 thread,"), ("4", "with --workers 1: 1 of 4 threads,")):
        monkeypatch.setenv("OMP_NUM_THREADS", value)
        assert f"by default: 8 of 1 thread each, {words}" in machine.cores_check().found


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg"])
def test_any_driver_of_postgresql_will_do_and_every_extra_is_told(monkeypatch, driver):
    specs = {name: ModuleSpec(name, None, origin=f"{name}.py") for name in (driver, "submitit")}
    specs["datasets"] = ModuleSpec("datasets", None)  # a folder of that name, as our repository has one
    monkeypatch.setattr(installed.importlib.util, "find_spec", specs.get)
    found = {check.name: check.found for check in installed.extra_checks()}
    assert found["[postgres]"] == found["[slurm]"] == "there" and found["[hf]"].startswith("not there, for images by")
    monkeypatch.setattr(urls, "find_spec", installed.importlib.util.find_spec)
    assert urls.with_driver("postgresql://me@host/db") == f"postgresql+{driver}://me@host/db"
    assert found["[ray]"].endswith("pip install 'scaling-planner[ray]'")
    declared = set(metadata.metadata(installed.DISTRIBUTION).get_all("Provides-Extra")) - {"dev"}
    assert declared <= {name.strip("[]") for name in found}


def test_without_a_driver_of_postgresql_the_extra_that_has_one_is_named(monkeypatch):
    monkeypatch.setattr(installed.importlib.util, "find_spec", lambda name: None)
    found = {check.name: check.found for check in installed.extra_checks()}
    assert found["[postgres]"].endswith("pip install 'scaling-planner[postgres]'")


def test_a_folder_that_cannot_be_written_is_a_problem(run, monkeypatch, tmp_path):
    (tmp_path / "results").write_text("a file")
    assert problems(machine_checks())["rights"].mend == "mv results results.old"
    (tmp_path / "results").unlink()
    assert "rights" not in problems(machine_checks())

    def refused(dir):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(machine.tempfile, "TemporaryFile", refused)
    check = problems(machine_checks())["rights"]
    assert "Permission denied" in check.problem and check.mend.startswith("chmod u+rwx /")


def test_a_container_with_less_time_than_cores_says_how_many_workers(monkeypatch, tmp_path):
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: set(range(64)))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    few = "has 2.5; trainings here by default: 2 of 1 thread each, with --workers 1: 1 of 2 threads"
    for text, words in (("250000 100000", few), ("max 100000", "")):
        (tmp_path / "cpu.max").write_text(text)
        monkeypatch.setattr(trainer.cores, "QUOTA", tmp_path / "cpu.max")
        found = machine.cores_check().found
        assert words in found and ("container" in found) == bool(words)


def test_problems_are_printed_one_a_line(run, monkeypatch):
    wrong = [Check("disk", "0 B", "full", "rm x"), Check("fine", "yes")]
    monkeypatch.setattr(machine, "machine_checks", lambda: wrong)
    monkeypatch.setattr(installed, "probe", lambda: PackageProbe())
    monkeypatch.setattr(installed, "package_checks", lambda _: [])
    code, out, err = run("doctor")
    assert (code, err) == (2, "") and out == "! disk  0 B\n  fine  yes\nto mend (1):\n  disk: full; rm x\n"
