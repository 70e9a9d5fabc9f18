"""The file an export is written to, checked before torch is imported and minutes are spent."""

from __future__ import annotations

import keyword
from pathlib import Path
from typing import Literal

from planner.errors import PlannerError

Kind = Literal["timm", "torch", "onnx"]
SUFFIXES: dict[str, str] = {"timm": ".py", "torch": ".safetensors", "onnx": ".onnx"}


def export_path(out: str, kind: Kind) -> Path:
    """The file, with the suffix of its kind.

    Raises:
        PlannerError: If it is a folder, of another kind, cannot be there, or cannot be imported where it is code.

    Example:
        >>> export_path("b0_200m", "timm").name
        'b0_200m.py'
    """
    path, suffix = Path(out), SUFFIXES[kind]
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
