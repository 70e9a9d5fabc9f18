"""What is installed: versions beside the known-good ones and what needs them, whether torch and torchvision work.

Only these two are imported, as only they are known to break with the machine (drivers, CUDA, builds that do not fit),
and as torch alone knows the GPUs. Of the others versions and files are looked at, which takes no time.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from planner.doctor.machine import DRIVER, Check
from planner.text.quantities import format_bytes
from planner.text.shipped import shipped
from trainer.gpu_sharing import MPS_START, has_multi_process_service

DISTRIBUTION = "scaling-planner"
# A package, its versions, with or without brackets, and under which condition.
_REQUIREMENT = re.compile(r"([\w.-]+)\s*\(?([<>=!~][^;)]*)?\)?\s*(;.*)?")
# Packages by the names they are imported under.
PACKAGES = {
    "numpy": "numpy",
    "scipy": "scipy",
    "pandas": "pandas",
    "sklearn": "scikit-learn",
    "threadpoolctl": "threadpoolctl",
    "torch": "torch",
    "torchvision": "torchvision",
    "timm": "timm",
    "gpytorch": "gpytorch",
    "botorch": "botorch",
    "optuna": "optuna",
    "pymoo": "pymoo",
    "PIL": "pillow",
    "safetensors": "safetensors",
    "pydantic": "pydantic",
    "click": "click",
    "tomli_w": "tomli-w",
    "tqdm": "tqdm",
    "rich": "rich",
    "matplotlib": "matplotlib",
}
# Those that are imported, in the order in which they need each other.
_IMPORTED = ("torch", "torchvision")
# What does as well as a module of those below.
_INSTEAD = {"psycopg2": ("psycopg",)}
# Modules of what is optional, and what it is for.
_EXTRAS = {
    "onnx": (("onnx", "onnxscript", "onnxruntime"), "planner export --to onnx, planner latency --runtime onnxruntime"),
    "ray": (("ray",), "trainings on several machines"),
    "slurm": (("submitit",), "trainings as Slurm jobs, --engine slurm"),
    "postgres": (("psycopg2",), "one study of several people, --storage postgresql://.."),
    "dashboard": (("optuna_dashboard",), "a study in the browser"),
    "parquet": (("pyarrow",), "planner front --out front.parquet"),
    "hf": (("datasets",), "images by --data hf:NAME"),
    "log": (("tensorboard", "wandb", "mlflow"), "trainings shown in these tools, --log NAME"),
}
_WHEELS = "--index-url https://download.pytorch.org/whl/cuXXX"
_LONGEST_PROBE = 300
_MARK = "planner-probe "
# Imports one package after the other, where a crash does no harm, and says what torch sees.
_PROBE = """
import importlib, json, sys

def say(**facts):
    print("planner-probe " + json.dumps(facts), flush=True)

for name in sys.argv[1:]:
    say(begun=name)
    try:
        importlib.import_module(name)
        error = ""
    except BaseException as found:
        error = type(found).__name__ + ": " + (str(found).strip().splitlines() or [""])[0]
    say(ended=name, error=error)
    if name == "torch" and not error:
        import torch
        say(begun="torch's devices")
        try:
            gpus = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
            gpus = [[one.name, one.total_memory] for one in gpus]
            say(threads=torch.get_num_threads(), cuda=torch.version.cuda, gpus=gpus)
            error = ""
        except Exception as found:
            error = type(found).__name__ + ": " + (str(found).strip().splitlines() or [""])[0]
        say(ended="torch's devices", error=error)
    if name == "torchvision" and not error:
        say(begun="torchvision's operators")
        try:
            torchvision = sys.modules["torchvision"]
            boxes = sys.modules["torch"].tensor([[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.9]])
            kept = torchvision.ops.nms(boxes, boxes[:, 3], 0.5).tolist()
            error = "" if kept == [0] else "nms gives " + str(kept)
        except Exception as found:
            error = type(found).__name__ + ": " + (str(found).strip().splitlines() or [""])[0]
        say(ended="torchvision's operators", error=error)
"""


@dataclass
class PackageProbe:
    """What importing the packages gave.

    Attributes:
        errors: Words of errors by module, "" where it imports.
        torch: Threads, version of CUDA and GPUs, as torch says; empty where it does not import.
    """

    errors: dict[str, str] = field(default_factory=dict)
    torch: dict[str, Any] = field(default_factory=dict)


def probe() -> PackageProbe:
    """Imports the packages in another process, which a broken one may bring down."""
    program = [sys.executable, "-P", "-c", _PROBE, *_IMPORTED]
    try:
        done = subprocess.run(program, capture_output=True, text=True, errors="replace", timeout=_LONGEST_PROBE)
        ended, lines = _ending(done.returncode), done.stdout.splitlines()
    except subprocess.TimeoutExpired as error:
        text = error.stdout or b""
        ended = f"takes more than {_LONGEST_PROBE} s"
        lines = (text.decode(errors="replace") if isinstance(text, bytes) else text).splitlines()
    probed, begun = PackageProbe(), ""
    for facts in (json.loads(line.removeprefix(_MARK)) for line in lines if line.startswith(_MARK)):
        if "begun" in facts:
            begun = facts["begun"]
        elif "ended" in facts:
            probed.errors[facts["ended"]] = facts["error"]
        else:
            probed.torch = facts
    if begun not in probed.errors:
        probed.errors[begun or _IMPORTED[0]] = ended
    return probed


def _ending(code: int) -> str:
    if code < 0:
        return f"ends Python by {signal.Signals(-code).name}"
    return f"ends Python with exit code {code}"


def package_checks(probed: PackageProbe) -> list[Check]:
    """One check for each package, and those of torch with torchvision and of the GPUs."""
    wanted, good = requirements(), known_good()
    checks = [_package(name, module, probed, wanted, good) for module, name in PACKAGES.items()]
    return [*checks, fit_check(probed, good), gpu_check(probed, good), *extra_checks()]


def requirements() -> dict[str, str]:
    """The versions that the planner needs, such as `>=2.11`, by package; empty where it is not installed."""
    try:
        lines = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return {}
    return _needs(lines)


def _needs(lines: list[str]) -> dict[str, str]:
    """Versions by package, of lines such as `torch (>=2.14)`; those of extras are left out."""
    parts = [_REQUIREMENT.fullmatch(line) for line in lines]
    return {part[1].lower(): (part[2] or "").strip() for part in parts if part and not part[3]}


def known_good() -> dict[str, str]:
    """The versions of constraints.txt by package; empty where it does not ship."""
    file = shipped("constraints.txt")
    if not file.is_file():
        return {}
    pins = [line.split("==") for line in file.read_text(encoding="utf-8").splitlines() if "==" in line]
    return {name.strip().lower(): version.strip() for name, version in pins}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _package(name: str, module: str, probed: PackageProbe, wanted: dict[str, str], good: dict[str, str]) -> Check:
    version, needs, error = _version(name), wanted.get(name, ""), probed.errors.get(module)
    there = error == "" or _is_there(module)
    if version is None and not there:
        return Check(name, "none", "not installed", f"pip install '{name}{needs}'")
    known = good.get(name)
    found = version or "of unknown version"
    found += "" if known is None else " (known good)" if same(known, found) else f" (known good: {known})"
    if error and module != _IMPORTED[0] and probed.errors.get(_IMPORTED[0]):
        return Check(name, f"{found}, cannot work without {_IMPORTED[0]}")
    if error:
        return Check(name, found, f"does not import ({error})", _anew(name, good))
    if not there:
        return Check(name, found, f"has lost its module {module}", _anew(name, good))
    if version is not None and not satisfies(version, needs):
        return Check(name, found, f"{needs} is wanted", f"pip install --upgrade '{name}{needs}'")
    if unmet := _unmet(name):
        return Check(name, found, f"wants {unmet}", f"pip install '{unmet}'")
    return Check(name, found + (", not tried" if module in _IMPORTED and error is None else ""))


def _unmet(name: str) -> str:
    """The first package of ours that a package needs in another version, such as `numpy>=2.4`; "" for none.

    Of torchvision's need of torch `fit_check` tells.
    """
    try:
        from packaging.requirements import Requirement

        lines = metadata.requires(name) or []
    except (ImportError, metadata.PackageNotFoundError):
        return ""
    for need in map(Requirement, () if name in _IMPORTED else lines):
        version = _version(need.name) if need.name in PACKAGES.values() else None
        applies = need.marker is None or need.marker.evaluate({"extra": ""})
        if version is not None and applies and not satisfies(version, str(need.specifier)):
            return f"{need.name}{need.specifier}"
    return ""


def same(known: str, version: str) -> bool:
    """Whether a version is the known one, of whatever build (`2.15.0+cpu`)."""
    return version.partition("+")[0] == known


def satisfies(version: str, needs: str) -> bool:
    """Whether a version is one of those needed; also where nothing is installed that could tell."""
    try:
        from packaging.specifiers import SpecifierSet
    except ImportError:
        return True
    return SpecifierSet(needs).contains(version, prereleases=True)


def _anew(name: str, good: dict[str, str]) -> str:
    """The command that installs a package anew; torch and torchvision only together, from one index."""
    names = ("torch", "torchvision") if name in ("torch", "torchvision") else (name,)
    pinned = " ".join(f"{one}=={good[one]}" if one in good else one for one in names)
    return f"pip install --force-reinstall {pinned}"


def fit_check(probed: PackageProbe, good: dict[str, str]) -> Check:
    """Whether torch and torchvision are of one build."""
    name, versions = "torch with torchvision", (_version("torch"), _version("torchvision"))
    if None in versions or probed.errors.get("torch") != "":
        return Check(name, "cannot be told")
    needs = _needs(metadata.requires("torchvision") or []).get("torch", "")
    if not satisfies(str(versions[0]), needs):
        problem = f"torchvision {versions[1]} wants torch{needs}, and torch {versions[0]} is installed"
        return Check(name, "do not fit", problem, _anew("torch", good))
    if probed.errors.get("torchvision") != "":  # which is a problem of its own
        return Check(name, "cannot be told")
    if error := probed.errors.get("torchvision's operators"):
        return Check(name, "do not fit", f"torchvision does not work with this torch ({error})", _anew("torch", good))
    return Check(name, "fit together")


def gpu_check(probed: PackageProbe, good: dict[str, str]) -> Check:
    """The GPUs that torch sees, and whether there are others."""
    facts, cuda = probed.torch, probed.torch.get("cuda")
    if not facts:
        return Check("gpus", "cannot be told", probed.errors.get("torch's devices", ""), _anew("torch", good))
    found = ", ".join(f"{name} ({format_bytes(size)})" for name, size in facts["gpus"]) or "none"
    found += f"; torch for CUDA {cuda}" if cuda else "; torch for CPUs only"
    if facts["gpus"] and not has_multi_process_service():
        found += f"; no multi-process service: several trainings on one GPU take turns until `{MPS_START}` runs"
    if facts["gpus"] or not DRIVER.is_file() or "CUDA_VISIBLE_DEVICES" in os.environ:
        return Check("gpus", found)
    if cuda is None:
        return Check("gpus", found, "there is an NVIDIA driver, but this torch is for CPUs only", _anew("torch", good))
    mend = f"{_anew('torch', good)} {_WHEELS} with the CUDA that `nvidia-smi` shows for cuXXX"
    return Check("gpus", found, f"torch for CUDA {cuda} cannot use this NVIDIA driver", mend)


def _is_there(module: str) -> bool:
    found = importlib.util.find_spec(module)
    return found is not None and found.origin is not None  # a mere folder of that name has none


def extra_checks() -> list[Check]:
    """What is optional; that it is missing is no problem."""
    try:
        declared = set(metadata.metadata(DISTRIBUTION).get_all("Provides-Extra") or [])
    except metadata.PackageNotFoundError:
        declared = set()
    checks = []
    for name, (modules, use) in _EXTRAS.items():
        missing = [module for module in modules if not any(map(_is_there, (module, *_INSTEAD.get(module, ()))))]
        wanted = f"'{DISTRIBUTION}[{name}]'" if name in declared else " ".join(missing).replace("_", "-")
        found = f"not there, for {use}: pip install {wanted}" if missing else "there"
        checks.append(Check(f"[{name}]", found))
    return checks
