"""The file an export is written to, checked before torch is imported and minutes are spent."""

from __future__ import annotations

import importlib.util
import keyword
import re
import sys
from functools import cache
from pathlib import Path
from typing import Literal

from planner.errors import PlannerError

ExportKind = Literal["timm", "torch", "onnx"]
_SUFFIXES: dict[str, str] = {"timm": ".py", "torch": ".safetensors", "onnx": ".onnx"}


def export_path(out: str, kind: ExportKind) -> Path:
    """The file, with the suffix of its kind.

    Raises:
        PlannerError: If it is a folder, of another kind, cannot be there, or cannot be imported where it is code.

    Example:
        >>> export_path("b0_200m", "timm").name
        'b0_200m.py'
    """
    path, suffix = Path(out), _SUFFIXES[kind]
    if path.is_dir() or not path.name:
        raise PlannerError(f"--out {out}: a folder; name the {suffix} file to write")
    path = path if path.suffix else path.with_name(path.name + suffix)
    if path.suffix != suffix:
        raise PlannerError(f"--out {out}: --to {kind} writes {suffix}; name a {suffix} file")
    if not all(folder.is_dir() or not folder.exists() for folder in path.parents):
        raise PlannerError(f"--out {out}: a folder of its path is a file; choose another --out")
    if kind != "onnx" and (not path.stem.isidentifier() or keyword.iskeyword(path.stem)):
        raise PlannerError(
            f"--out {path}: {path.stem!r} cannot be imported; letters, digits and underscores are wanted"
        )
    return path


def module_name(path: Path) -> str:
    """The name under which a file is imported, and its network known to timm.

    Raises:
        PlannerError: If Python or timm has another use for it.
    """
    name = path.stem
    found = None if name in sys.modules else importlib.util.find_spec(name)
    taken = found is not None and Path(found.origin or "").resolve() != path.with_suffix(".py").resolve()
    if taken or name in sys.modules or is_timm_model(name):
        raise PlannerError(f"--out {path}: {name} is the name of another module or of a timm model; take another name")
    return name


def is_timm_model(name: str) -> bool:
    """Whether timm has a model of that name, also one that it has renamed; from its files, as importing it takes long.

    Example:
        >>> is_timm_model("resnet50"), is_timm_model("resnet_50")
        (True, False)
    """
    return name in _timm_names()


@cache
def _timm_names() -> frozenset[str]:
    timm = importlib.util.find_spec("timm")
    folders = [] if timm is None else timm.submodule_search_locations or []
    names: set[str] = set()
    for file in (file for folder in folders for file in Path(folder, "models").glob("*.py")):
        text = file.read_text(encoding="utf-8")
        names.update(re.findall(r"^@register_model\s+def (\w+)\(", text, re.MULTILINE))
        renamed = text.partition("register_model_deprecations(__name__")[2]
        names.update(re.findall(r"""['"]([\w.-]+)['"]\s*:""", renamed))
    return frozenset(names)
